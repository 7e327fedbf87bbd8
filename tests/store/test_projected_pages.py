"""Pages of a search that a projection answers, over several of its values (https://hl7.org/fhir/R4/http.html#paging)."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from writing import put

from fhir_server.interactions.call import Context, Policy
from fhir_server.interactions.grammar import parse_query
from fhir_server.interactions.write import index
from fhir_server.search.expression import Query
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.store.contract import Match, Store, Transaction

CONTEXT = Context(Policy(), lambda: 0, lambda: "new")
WEEK = "start=ge2026-03-02&start=lt2026-03-09"
# id, schedule, status, day: in the order in which they are written.
SLOTS = [
    (f"{schedule}{day}{status}", schedule, status, day)
    for day in (6, 3, 9, 4, 2)
    for schedule in ("c", "a", "b", "d")
    for status in ("free", "busy", "entered-in-error")
]


@pytest.fixture
def filled(store: Store) -> Store:
    def fill(transaction: Transaction) -> None:
        for logical_id, schedule, status, day in SLOTS:
            slot = {
                "resourceType": "Slot",
                "id": logical_id,
                "schedule": {"reference": f"Schedule/{schedule}"},
                "status": status,
                "start": f"2026-03-{day:02}T09:00:00Z",
                "end": f"2026-03-{day:02}T09:20:00Z",
            }
            put(transaction, f"Slot/{logical_id}", index(slot, CONTEXT))

    store.write(fill)
    return store


def query(schedules: str, statuses: str, sort: str) -> Query:
    named = ",".join(f"Schedule/{item}" for item in schedules)
    text = f"schedule={named}&status={statuses}&{WEEK}&_sort={sort}"
    return parse_search(("Slot",), parse_query(text), settings=SearchSettings()).query


def ids(page: list[Match]) -> list[str]:
    return [item.logical_id for item in page]


@pytest.mark.parametrize("sort", ["start", "-start"])
@pytest.mark.parametrize(
    ("schedules", "statuses"),
    [("ac", "free"), ("abcd", "free,busy"), ("abcd", "free,busy,entered-in-error")],
)
def test_pages_go_through_all_values_in_the_order_of_the_date(
    filled: Store, schedules: str, statuses: str, sort: str
) -> None:
    expected = [
        logical_id
        for logical_id, schedule, status, day in sorted(SLOTS, key=lambda item: item[3])
        if schedule in schedules and status in statuses.split(",") and day < 9
    ]
    if sort == "-start":
        expected.reverse()
    asked = query(schedules, statuses, sort)
    with filled.read() as view:
        assert ids(view.page(replace(asked, limit=100))) == expected
        pages = [view.page(replace(asked, limit=3))]
        while len(page := view.page(replace(asked, limit=3, after=pages[-1][-1].position))):
            pages.append(page)
        assert [item for page in pages for item in ids(page)] == expected
        for before, page in pairwise(pages):
            back = replace(asked, limit=3, after=page[0].position, backward=True)
            assert view.page(back) == before
        assert view.count(asked.resource_types, asked.where) == len(expected)
