"""The in-memory predicate and order (https://hl7.org/fhir/R4/search.html#prefix)."""

from __future__ import annotations

from functools import cmp_to_key
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.search.entries import DateEntry, IndexEntry
from fhir_server.search.expression import Position, Prefix, Range, SortKey
from fhir_server.search.matcher import Candidate, compare, position, precedes

# The search value is [10, 20); each stored range stands in another relation to it.
_TRUTH = {
    (0, 5): {"ne", "lt", "le", "eb"},
    (0, 10): {"ne", "lt", "le", "eb"},
    (5, 15): {"ne", "lt", "le", "ap"},
    (10, 20): {"eq", "ge", "le", "ap"},
    (12, 15): {"eq", "ge", "le", "ap"},
    (15, 25): {"ne", "gt", "ge", "ap"},
    (5, 25): {"ne", "gt", "lt", "ge", "le", "ap"},
    (20, 25): {"ne", "gt", "ge", "sa"},
    (30, 40): {"ne", "gt", "ge", "sa"},
}


@pytest.mark.parametrize("stored", _TRUTH)
def test_the_prefixes_compare_bounds_as_the_table_says(stored: tuple[int, int]) -> None:
    found = {name for name in get_args(Prefix) if compare(Range(name, 10, 20), *stored)}
    assert found == _TRUTH[stored]


_RANGES = st.tuples(st.integers(-50, 50), st.integers(0, 20)).map(lambda r: (r[0], r[0] + r[1]))


@given(_RANGES, _RANGES)
def test_ne_is_the_complement_of_eq(wanted: tuple[int, int], stored: tuple[int, int]) -> None:
    assert compare(Range("eq", *wanted), *stored) != compare(Range("ne", *wanted), *stored)


def candidate(key: int, *ranges: tuple[int, int]) -> Candidate:
    found: set[IndexEntry] = {DateEntry(1, low, high) for low, high in ranges}
    return Candidate(key, "Slot", f"s{key}", 0, frozenset(found))


@pytest.mark.parametrize(("descending", "order"), [(False, [2, 1, 4, 3]), (True, [1, 2, 4, 3])])
def test_repeats_sort_by_lowest_or_highest_missing_last_and_ties_by_key(
    descending: bool, order: list[int]
) -> None:
    listed = [candidate(1, (5, 9), (20, 30)), candidate(2, (1, 2), (7, 10)), candidate(3)]
    listed.append(candidate(4, (6, 8)))
    sort = (SortKey("date", (1,), descending),)

    def by_order(left: Position, right: Position) -> int:
        return -1 if precedes(left, right, sort) else 1

    places = sorted((position(item, sort) for item in listed), key=cmp_to_key(by_order))
    assert [place[-1] for place in places] == order
