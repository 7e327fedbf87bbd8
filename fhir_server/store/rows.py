"""Between index entries and the rows of the index tables, and between type names and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal

from fhir_server.search import entries as e
from fhir_server.search.entries import IndexEntries, IndexEntry
from fhir_server.search.narrower import narrower
from fhir_server.spec.definitions import resource_types
from fhir_server.store.projections import Dates, Values, hot_numbers, projected
from fhir_server.store.schema import LONGEST_KEY, fit, system_number

Row = tuple[Any, ...]
METHODS: tuple[Literal["POST", "PUT", "PATCH", "DELETE"], ...] = ("POST", "PUT", "PATCH", "DELETE")


@cache
def type_numbers() -> dict[str, int]:
    """Resource type -> its number, from 1; 0 is no type."""
    return {name: number for number, name in enumerate(resource_types(), 1)}


@cache
def type_names() -> tuple[str, ...]:
    """Number -> resource type."""
    return ("", *resource_types())


def rows(entries: IndexEntries, key: int) -> dict[str, set[Row]]:
    """Table -> rows in the order (parameter, *INDEX_COLUMNS[table])."""
    found: dict[str, set[Row]] = {}
    values: Values = {}
    dates: Dates = {}
    hot = hot_numbers()
    for entry in entries:
        table, made, narrowed = _ROWS[entry.__class__]
        row = made(entry, key)
        number = row[0]
        if narrowed and (inner := narrower(number)) and _twice(entry, inner, entries):
            pass
        elif table in found:
            found[table].add(row)
        else:
            found[table] = {row}
        if number not in hot:
            continue
        if table == "date":
            dates.setdefault(number, []).append(row)
        elif table == "token":
            values.setdefault(number, set()).add((row[1], row[3]))
        elif table == "reference":
            known = values.setdefault(number, set())
            if not row[4]:
                known.add((row[1], row[3]))
    if len(texts := found.get("words", ())) > 1:
        found["words"] = {_together(texts)}
    if dates and (of_several := projected(values, dates, key)):
        found["projection"] = of_several
    return found


def _twice(entry: IndexEntry, inner: dict[str, int], entries: IndexEntries) -> bool:
    """Whether it is there under one of those narrower parameters too."""
    values: Row = entry[1:]
    return not entries.isdisjoint([(number, *values) for number in inner.values()])


def _token(entry: e.TokenEntry, key: int) -> Row:
    parameter, system, code = entry
    return (parameter, code if len(code) <= LONGEST_KEY else fit(code), key, system_number(system))


def _string(entry: e.StringEntry, key: int) -> Row:
    parameter, folded, value = entry
    return (parameter, fit(folded), key, value and fit(value))


def _reference(entry: e.ReferenceEntry, key: int) -> Row:
    parameter, target_type, target_id, url, version = entry
    number = type_numbers().get(target_type, 0)
    return (parameter, target_id, key, number, url and fit(url), version and fit(version))


def _range(entry: e.DateEntry | e.NumberEntry, key: int) -> Row:
    parameter, low, high = entry
    return (parameter, low, high, key)


def _quantity(entry: e.QuantityEntry, key: int) -> Row:
    system = system_number(entry.system)
    return (
        entry.parameter, entry.low, entry.high, key, system, fit(entry.code), fit(entry.unit),
    )  # fmt: skip


def _uri(entry: e.UriEntry, key: int) -> Row:
    return (entry.parameter, fit(entry.value), key, fit(entry.version))


def _position(entry: e.PositionEntry, key: int) -> Row:
    return (entry.parameter, entry.z, entry.x, entry.y, key)


def _words(entry: e.WordsEntry, key: int) -> Row:
    """Each word after the parameter's number, and before them the number alone: of a resource that has words."""
    number = entry.parameter
    return (number, key, f"{number}: {number}:{entry.words.replace(' ', f' {number}:')}")


def _together(texts: Iterable[Row]) -> Row:
    """The words of all parameters in the one row of a resource."""
    listed = sorted(texts)
    return (*listed[0][:2], " ".join([row[2] for row in listed]))


def _unique(entry: e.UniqueEntry, key: int) -> Row:
    return (entry.parameter, fit(entry.code), system_number(entry.system), key)


_RANGED = (e.DateEntry, e.NumberEntry, e.QuantityEntry)


def _composite(entry: e.CompositeEntry, key: int) -> Row:
    """The parts side by side: the first is a text, the second anything, the third, where there is one, a range."""
    parts = entry.parts
    text1, system1, _ = _named(parts[0])
    text2, system2, unit2 = _named(parts[1])
    ranges = [
        (float(item.low), float(item.high)) if isinstance(item, _RANGED) else (0.0, 0.0)
        for item in parts
    ]
    third = ranges[2] if len(ranges) > 2 else (0.0, 0.0)
    return (entry.parameter, text1, key, system1, text2, system2, unit2, *ranges[1], *third)


def _named(entry: e.SimpleEntry) -> tuple[str, int, str]:
    """What of an entry is text and what names its system; an absolute reference has the system -1."""
    match entry:
        case e.TokenEntry(_, system, code):
            return fit(code), system_number(system), ""
        case e.StringEntry(_, folded, _):
            return fit(folded), 0, ""
        case e.ReferenceEntry(_, target_type, target_id, url, _):
            return (
                (fit(url), -1, "") if url else (target_id, type_numbers().get(target_type, 0), "")
            )
        case e.QuantityEntry(_, _, _, system, code, unit):
            return fit(code), system_number(system), fit(unit)
        case e.UriEntry(_, value, _):
            return fit(value), 0, ""
    return "", 0, ""


# By class, as some fifty entries are turned into rows at every write: the table, the row, and whether such an entry may
# be there under a narrower parameter too: a reference, or what :identifier or :text finds one by.
_ROWS: dict[type[IndexEntry], tuple[str, Callable[[Any, int], Row], bool]] = {
    e.TokenEntry: ("token", _token, True),
    e.StringEntry: ("string", _string, True),
    e.ReferenceEntry: ("reference", _reference, True),
    e.DateEntry: ("date", _range, False),
    e.NumberEntry: ("number", _range, False),
    e.QuantityEntry: ("quantity", _quantity, False),
    e.UriEntry: ("uri", _uri, False),
    e.PositionEntry: ("position", _position, False),
    e.WordsEntry: ("words", _words, False),
    e.UniqueEntry: ("unique_identifier", _unique, False),
    e.CompositeEntry: ("composite", _composite, False),
}
