"""Histories, on every store (https://hl7.org/fhir/R4/http.html#history)."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from writing import NOON, SECOND, put, write

from fhir_server.interactions.call import Context, Create, History, Policy
from fhir_server.interactions.grammar import parse_query
from fhir_server.interactions.perform import execute
from fhir_server.store.contract import HistoryQuery, Store, StoredVersion, Transaction

# (identity, method, second after noon); the last three in the same instant.
_STORY = (
    ("Patient/a", "PUT", 1),
    ("Slot/s", "POST", 2),
    ("Patient/a", "PATCH", 3),
    ("Patient/b", "PUT", 5),
    ("Patient/a", "DELETE", 7),
    ("Slot/s", "PUT", 9),
    ("Patient/c", "PUT", 9),
    ("Patient/b", "PUT", 9),
)


@pytest.fixture
def story(store: Store) -> list[StoredVersion]:
    """The story's versions, oldest first; the moments are after every clock, so they stay what they are."""
    later = 10**16
    return [
        write(store, identity, method=method, at=later + second * SECOND)
        for identity, method, second in _STORY
    ]


def listed(store: Store, query: HistoryQuery) -> list[StoredVersion]:
    with store.read() as view:
        return [hit.version for hit in view.history(query)]


def test_the_system_history_is_newest_first_and_then_last_put_first(
    store: Store, story: list[StoredVersion]
) -> None:
    assert listed(store, HistoryQuery()) == story[::-1]


def test_a_type_and_an_instance_have_their_own(store: Store, story: list[StoredVersion]) -> None:
    patients = [item for item in story if item.resource_type == "Patient"]
    assert listed(store, HistoryQuery("Patient")) == patients[::-1]
    mine = [item for item in patients if item.logical_id == "a"]
    assert listed(store, HistoryQuery("Patient", "a")) == mine[::-1]
    assert listed(store, HistoryQuery("Patient", "never")) == []
    assert listed(store, HistoryQuery("Practitioner")) == []


def test_since_includes_its_instant_and_until_too(store: Store, story: list[StoredVersion]) -> None:
    moment = story[3].last_updated
    assert listed(store, HistoryQuery(since=moment)) == story[:2:-1]
    assert listed(store, HistoryQuery(since=moment + 1)) == story[:3:-1]
    assert listed(store, HistoryQuery(until=moment)) == story[3::-1]
    assert listed(store, HistoryQuery(until=moment - 1)) == story[2::-1]


def test_at_gives_what_was_current_at_some_moment_of_the_interval(
    store: Store, story: list[StoredVersion]
) -> None:
    def at(low: float, high: float) -> list[StoredVersion]:
        base = story[0].last_updated - SECOND
        return listed(
            store, HistoryQuery(at_low=base + int(low * SECOND), at_high=base + int(high * SECOND))
        )

    assert at(0, 1) == []
    assert at(0, 1.5) == [story[0]]
    assert at(2.5, 2.6) == [story[1], story[0]]
    # a's first version ends where its second begins: at that moment only the second is current.
    assert at(3, 3.1) == [story[2], story[1]]
    assert at(2.9, 3.1) == [story[2], story[1], story[0]]
    assert at(20, 21) == [story[index] for index in (7, 6, 5, 4)]


def test_the_total_ignores_the_page(store: Store, story: list[StoredVersion]) -> None:
    with store.read() as view:
        assert view.history_total(HistoryQuery(limit=2)) == len(story)
        assert view.history_total(HistoryQuery("Patient", "a", limit=1)) == 3
        assert view.history_total(HistoryQuery(since=story[4].last_updated)) == 4
        page = view.history(HistoryQuery(limit=2))
        assert view.history_total(HistoryQuery(limit=2, after=page[-1].position)) == len(story)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
@pytest.mark.parametrize(
    "query", [HistoryQuery(), HistoryQuery("Patient"), HistoryQuery("Patient", "b")]
)
def test_pages_make_up_the_whole(
    store: Store, story: list[StoredVersion], size: int, query: HistoryQuery
) -> None:
    whole = listed(store, query)
    found: list[StoredVersion] = []
    page_query = replace(query, limit=size)
    with store.read() as view:
        while page := view.history(page_query):
            assert len(page) <= size
            found += [hit.version for hit in page]
            page_query = replace(page_query, after=page[-1].position)
    assert found == whole


def test_pages_are_not_disturbed_by_what_is_written_meanwhile(
    store: Store, story: list[StoredVersion]
) -> None:
    with store.read() as view:
        first = view.history(HistoryQuery(limit=3))
    write(store, "Patient/a", at=story[-1].last_updated + SECOND)
    rest = listed(store, HistoryQuery(after=first[-1].position))
    assert [hit.version for hit in first] + rest == story[::-1]


def test_settled_is_not_before_what_was_acknowledged(store: Store) -> None:
    for number in range(5):
        made = write(store, f"Patient/p{number}", at=0)
        with store.read() as view:
            assert view.settled() >= made.last_updated


def test_a_settled_position_divides_what_was_written_before_from_what_comes_after(
    store: Store,
) -> None:
    def several(first: int) -> list[StoredVersion]:
        # Of one moment, and on the stores with one writer the next ones are of the same.
        return store.write(
            lambda transaction: [
                put(transaction, f"Patient/p{number}", at=0) for number in range(first, first + 3)
            ]
        )

    made, positions = [], [(0, 0)]
    for first in (0, 3, 6):
        made.append(several(first))
        with store.read() as view:
            positions.append(view.settled_position())
    for (begin, end), versions in zip(itertools.pairwise(positions), made, strict=True):
        assert listed(store, HistoryQuery("Patient", begin=begin, after=end)) == versions[::-1]
    with store.read() as view:
        query = HistoryQuery("Patient", begin=positions[1])
        assert view.history_total(query) in (6, None)


def test_no_transaction_starts_below_what_was_settled(store: Store) -> None:
    write(store, "Patient/a")
    with store.read() as view:
        settled = view.settled()
    assert store.write(lambda transaction: transaction.floor) >= settled


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(moments=st.lists(st.integers(-5, 5), min_size=1, max_size=6))
def test_time_does_not_go_back_in_the_order_of_commits(store: Store, moments: list[int]) -> None:
    made = []
    for moment in moments:
        made.append(write(store, "Patient/a", at=NOON + moment * SECOND).last_updated)
        with store.read() as view:
            assert view.settled() >= 0
    assert made == sorted(made)


def test_what_a_transaction_puts_is_in_its_own_view(store: Store) -> None:
    def work(transaction: Transaction) -> list[StoredVersion]:
        put(transaction, "Patient/a")
        put(transaction, "Patient/a")
        return [hit.version for hit in transaction.history(HistoryQuery("Patient", "a"))]

    assert [item.version_id for item in store.write(work)] == [2, 1]


def test_all_pages_of_a_history_end_at_the_same_moment(store: Store) -> None:
    """What is written while a client reads the pages belongs to its next look, so every page tells the same."""
    clock = itertools.count(NOON, 1000)
    context = Context(Policy(cursor_key=b"k" * 32), lambda: next(clock), lambda: str(next(clock)))

    def make() -> None:
        resource = {"resourceType": "Basic", "code": {"text": "x"}}
        execute(Create("Basic", resource), context, store)

    def bundle(*parameters: tuple[str, str]) -> dict[str, Any]:
        found = execute(History("Basic", None, parameters), context, store)
        return orjson.loads(found.body or b"")

    for _ in range(3):
        make()
    first = bundle(("_count", "2"))
    make()
    (following,) = [link["url"] for link in first["link"] if link["relation"] == "next"]
    second = bundle(*parse_query(following.partition("?")[2]))
    assert second["meta"] == first["meta"]
    assert second["total"] == first["total"] == 3
    assert len(second["entry"]) == 1
    since = bundle(("_since", first["meta"]["lastUpdated"]))
    assert {entry["fullUrl"] for entry in since["entry"]} >= {
        entry["fullUrl"] for entry in bundle(("_count", "1"))["entry"]
    }
