"""Between index entries and the rows of the index tables, and between type names and their numbers."""

from __future__ import annotations

from collections.abc import Iterable
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
        table, row = _row(entry, key)
        found.setdefault(table, set()).add(row)
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
