"""Between index entries and the rows of the index tables, and between type names and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, Literal

from fhir_server.search import entries as e
from fhir_server.search.entries import IndexEntry
from fhir_server.spec.definitions import resource_types
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
    for entry in entries:
        table, row = _ROWS[type(entry)]
        listed = found.get(table)
        if listed is None:
            listed = found[table] = set()
        listed.add(row(entry, key))
    return found


def _token(entry: e.TokenEntry, key: int) -> Row:
    return (entry.parameter, fit(entry.code), key, system_number(entry.system))


def _string(entry: e.StringEntry, key: int) -> Row:
    return (entry.parameter, fit(entry.folded), key, fit(entry.value))


def _reference(entry: e.ReferenceEntry, key: int) -> Row:
    number = type_numbers().get(entry.target_type, 0)
    return (entry.parameter, entry.target_id, key, number, fit(entry.url), fit(entry.version))


def _range(entry: e.DateEntry | e.NumberEntry, key: int) -> Row:
    return (entry.parameter, entry.low, entry.high, key)


def _quantity(entry: e.QuantityEntry, key: int) -> Row:
    system = system_number(entry.system)
    return (
        entry.parameter, entry.low, entry.high, key, system, fit(entry.code), fit(entry.unit),
    )  # fmt: skip


def _uri(entry: e.UriEntry, key: int) -> Row:
    return (entry.parameter, fit(entry.value), key, fit(entry.version))


# By class: some thirty entries are turned into rows at every write.
_ROWS: dict[type[IndexEntry], tuple[str, Callable[[Any, int], Row]]] = {
    e.TokenEntry: ("token", _token),
    e.StringEntry: ("string", _string),
    e.ReferenceEntry: ("reference", _reference),
    e.DateEntry: ("date", _range),
    e.NumberEntry: ("number", _range),
    e.QuantityEntry: ("quantity", _quantity),
    e.UriEntry: ("uri", _uri),
}
