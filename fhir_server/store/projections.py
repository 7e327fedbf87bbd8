"""Projections: rows over several parameters of a type that is searched much, declared in capability/projections.json.

A row is (projection, value of one parameter, value of another, a date), in that order, so that who, what and when are
one walk of one index. Rows are made of the same index entries as all others; the planner chooses, never the caller.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_server.search.extent import single, width
from fhir_server.search.parameters import SearchParameter, parameter
from fhir_server.spec.published import declared

Row = tuple[Any, ...]
# Parameter -> the codes with their systems, or the ids with their types.
Values = dict[int, set[tuple[str, int]]]
# Parameter -> its rows of the table of dates.
Dates = dict[int, list[Row]]

# What stands for a value that is not declared or not there.
NONE = ""
_ONLY = {(NONE, 0)}
_NOTHING: set[tuple[str, int]] = set()


@dataclass(frozen=True, slots=True)
class Projection:
    """number: its place in the file, from 1; by None: the first value is not used; width: the most a date covers."""

    number: int
    resource_type: str
    by: SearchParameter | None
    also: SearchParameter
    date: SearchParameter
    width: int


@cache
def projections() -> tuple[Projection, ...]:
    """All that are declared."""
    return tuple(_read(number, item) for number, item in enumerate(declared("projections"), 1))


def _read(number: int, item: dict[str, str]) -> Projection:
    name = item["resourceType"]
    date = _parameter(name, item["date"])
    most = width(date.number)
    assert most is not None, f"{name}.{date.code} may have no end, so no index bounds it"
    assert single(date.number), f"{name}.{date.code} may be there several times"
    return Projection(
        number,
        name,
        _parameter(name, item["by"]) if "by" in item else None,
        _parameter(name, item["and"]),
        date,
        most,
    )


def _parameter(resource_type: str, code: str) -> SearchParameter:
    found = parameter(resource_type, code)
    assert found is not None, f"{resource_type} has no {code}"
    return found


@cache
def hot_numbers() -> frozenset[int]:
    """The numbers of the parameters that a projection is made of."""
    return frozenset(
        part.number
        for item in projections()
        for part in (item.by, item.also, item.date)
        if part is not None
    )


@cache
def places(number: int) -> tuple[tuple[str, str], ...]:
    """The columns of projections that hold the parameter's code, each with the projections' numbers, as SQL."""
    found: dict[str, list[str]] = {}
    for item in projections():
        for column, part in (("value1", item.by), ("value2", item.also)):
            if part is not None and part.number == number:
                found.setdefault(column, []).append(str(item.number))
    return tuple((column, ", ".join(numbers)) for column, numbers in found.items())


@cache
def _dated() -> dict[int, list[Projection]]:
    """The number of a date -> the projections that it ends."""
    found: dict[int, list[Projection]] = {}
    for item in projections():
        found.setdefault(item.date.number, []).append(item)
    return found


def projected(values: Values, dates: Dates, key: int) -> set[Row]:
    """The rows (parameter, value1, value2, low, key, high, system1, system2) of the values of hot parameters."""
    found: set[Row] = set()
    for number, ranges in dates.items():
        for item in _dated().get(number, ()):
            first = _ONLY if item.by is None else values.get(item.by.number, _NOTHING)
            second = values.get(item.also.number, _ONLY)
            found.update([
                (item.number, value1, value2, low, key, high, system1, system2)
                for value1, system1 in first
                for value2, system2 in second
                for _, low, high, _ in ranges
            ])  # fmt: skip
    return found
