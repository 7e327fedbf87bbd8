"""Between index entries and the rows of the index tables, and between type names and their numbers."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any, Literal

from fhir_server.search import entries as e
from fhir_server.search.entries import IndexEntry
from fhir_server.spec.definitions import resource_types
from fhir_server.store.projections import hot_numbers, projected
from fhir_server.store.schema import fit, system_number

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


def rows(entries: Iterable[IndexEntry], key: int) -> dict[str, set[Row]]:
    """Table -> rows in the order (parameter, *INDEX_COLUMNS[table])."""
    found: dict[str, set[Row]] = {}
    hot = []
    numbers = hot_numbers()
    for entry in entries:
        table, row = _row(entry, key)
        found.setdefault(table, set()).add(row)
        if entry.parameter in numbers and not isinstance(entry, e.UniqueEntry):
            hot.append(entry)
    if hot and (rows_of_hot := projected(hot, key)):
        found["projection"] = rows_of_hot
    return found


def _row(entry: IndexEntry, key: int) -> tuple[str, Row]:
    match entry:
        case e.TokenEntry(parameter, system, code):
            return "token", (parameter, fit(code), key, system_number(system))
        case e.StringEntry(parameter, folded, value):
            return "string", (parameter, fit(folded), key, fit(value))
        case e.ReferenceEntry(parameter, target_type, target_id, url, version):
            number = type_numbers().get(target_type, 0)
            return "reference", (parameter, target_id, key, number, fit(url), fit(version))
        case e.DateEntry(parameter, low, high):
            return "date", (parameter, low, high, key)
        case e.NumberEntry(parameter, low, high):
            return "number", (parameter, low, high, key)
        case e.QuantityEntry(parameter, low, high, system, code, unit):
            row = (parameter, low, high, key, system_number(system), fit(code), fit(unit))
            return "quantity", row
        case e.UriEntry(parameter, value, version):
            return "uri", (parameter, fit(value), key, fit(version))
        case e.PositionEntry(parameter, x, y, z):
            return "position", (parameter, z, x, y, key)
        case e.UniqueEntry(parameter, system, code):
            return "unique_identifier", (parameter, fit(code), system_number(system), key)
        case e.CompositeEntry(parameter, parts):
            return "composite", _composite(parameter, parts, key)


_RANGED = (e.DateEntry, e.NumberEntry, e.QuantityEntry)


def _composite(parameter: int, parts: tuple[e.SimpleEntry, ...], key: int) -> Row:
    """The parts side by side: the first is a text, the second anything, the third, where there is one, a range."""
    text1, system1, _ = _named(parts[0])
    text2, system2, unit2 = _named(parts[1])
    ranges = [
        (float(item.low), float(item.high)) if isinstance(item, _RANGED) else (0.0, 0.0)
        for item in parts
    ]
    third = ranges[2] if len(ranges) > 2 else (0.0, 0.0)
    return (parameter, text1, key, system1, text2, system2, unit2, *ranges[1], *third)


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
