"""Many writers and readers at once, through two stores on one database as two processes would be.

https://hl7.org/fhir/R4/http.html#concurrency
"""

from __future__ import annotations

import itertools
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import orjson
import pytest
from writing import current, put, write

from fhir_server.interactions.call import Conditions, Context, Create, History, Policy, Update
from fhir_server.interactions.perform import execute
from fhir_server.search import expression as x
from fhir_server.search.expression import Query
from fhir_server.spec.errors import FhirError
from fhir_server.store import postgresql
from fhir_server.store.contract import HistoryQuery, Store, Transaction
from fhir_server.store.open import open_store

THREADS = 8
Json = dict[str, Any]


@pytest.fixture
def pair(database_url: str) -> Iterator[tuple[Store, Store]]:
    """Two stores on one empty database."""
    opened = open_store(database_url), open_store(database_url)
    yield opened
    for store in opened:
        store.close()


def context(now: Callable[[], int] = lambda: time.time_ns() // 1000) -> Context:
    return Context(Policy(cursor_key=b"k" * 32), now, lambda: str(uuid.uuid4()))


def at_once(work: Callable[[int], Any], number: int = THREADS) -> list[Any]:
    """The results of work(0), work(1), ... on threads that start together."""
    barrier = threading.Barrier(number)

    def run(place: int) -> Any:
        barrier.wait()
        return work(place)

    with ThreadPoolExecutor(number) as threads:
        return list(threads.map(run, range(number)))


def counter(value: int) -> Json:
    return {"resourceType": "Basic", "id": "counter", "code": {"text": str(value)}}


def test_increments_with_if_match_are_never_lost(pair: tuple[Store, Store]) -> None:
    execute(Update("Basic", "counter", counter(0), Conditions()), context(), pair[0])
    each = 10
    refused = itertools.count()

    def work(place: int) -> None:
        store, done = pair[place % 2], 0
        while done < each:
            found = current(store, "Basic/counter")
            assert found is not None
            value = int(orjson.loads(found.body)["code"]["text"])
            match = Conditions(if_match=f'W/"{found.version_id}"')
            try:
                execute(Update("Basic", "counter", counter(value + 1), match), context(), store)
            except FhirError as refusal:
                assert refusal.status == 412  # noqa: PT017 - another writer was faster, nothing else
                next(refused)
            else:
                done += 1

    at_once(work)
    found = current(pair[1], "Basic/counter")
    assert found is not None
    assert orjson.loads(found.body)["code"]["text"] == str(THREADS * each)
    assert found.version_id == THREADS * each + 1
    assert next(refused) > 0


def test_versions_have_no_gaps_and_ascend_in_time_whatever_the_clock_says(
    pair: tuple[Store, Store],
) -> None:
    chance = Random(1)

    def jumping() -> int:
        return time.time_ns() // 1000 + chance.randrange(-3_600_000_000, 3_600_000_000)

    def work(place: int) -> None:
        for value in range(12):
            call = Update("Basic", "counter", counter(value), Conditions())
            execute(call, context(jumping), pair[place % 2])

    at_once(work)
    with pair[0].read() as view:
        versions = [
            hit.version for hit in view.history(HistoryQuery("Basic", "counter", limit=1000))
        ][::-1]
    assert [item.version_id for item in versions] == list(range(1, THREADS * 12 + 1))
    moments = [item.last_updated for item in versions]
    assert moments == sorted(set(moments))
    told = [orjson.loads(item.body)["meta"]["versionId"] for item in versions]
    assert told == [str(item.version_id) for item in versions]


@pytest.mark.parametrize("round_number", range(3))
def test_conditional_creates_at_once_make_one_resource(
    pair: tuple[Store, Store], round_number: int
) -> None:
    resource = {"resourceType": "Patient", "identifier": [{"system": "http://s", "value": "1"}]}
    spellings = ("identifier=http://s|1", "identifier=http%3A%2F%2Fs%7C1")

    def work(place: int) -> tuple[int, str | None]:
        call = Create("Patient", resource, if_none_exist=spellings[place % 2])
        result = execute(call, context(), pair[place // 2 % 2])
        return result.status, result.location

    results = at_once(work, 32)
    assert sorted(status for status, _ in results) == [200] * 31 + [201]
    assert len({location for _, location in results}) == 1
    assert len(pair[0].keys("Patient")) == 1


def test_the_same_new_id_is_created_once(pair: tuple[Store, Store]) -> None:
    resource = {"resourceType": "Basic", "id": "counter", "code": {"text": "x"}}

    def work(place: int) -> int:
        call = Update("Basic", "counter", resource, Conditions())
        return execute(call, context(), pair[place % 2]).status

    assert sorted(at_once(work)) == [200] * (THREADS - 1) + [201]


def test_a_reader_never_sees_half_a_transaction(pair: tuple[Store, Store]) -> None:
    ids = ("a", "b", "c")
    ended = threading.Event()

    def change(transaction: Transaction) -> None:
        for logical_id in ids:
            put(transaction, f"Patient/{logical_id}")
            time.sleep(0.0005)

    def turn(place: int) -> int:
        if place == 0:
            for number in range(60):
                pair[number % 2].write(change)
            ended.set()
            return 0
        looks = 0
        while not ended.is_set():
            with pair[place % 2].read() as view:
                found = [view.current("Patient", logical_id) for logical_id in ids]
                hits = view.search(Query(("Patient",), x.And(())))
                total = view.history_total(HistoryQuery("Patient"))
            versions = [item.version_id if item else 0 for item in found]
            assert len(set(versions)) == 1, versions
            assert [hit.version.version_id for hit in hits] == versions[: len(hits)]
            assert total == sum(versions)
            looks += 1
        return looks

    assert sum(at_once(turn, 4)) > 10


class Follower:
    """Reads the system history again and again, and goes on from what it was told or has seen."""

    def __init__(self, store: Store, *, by_bundle: bool) -> None:
        self.store = store
        self.by_bundle = by_bundle
        self.since: str | None = None
        self.seen: set[tuple[str, str]] = set()

    def poll(self) -> None:
        """All pages of what was new."""
        parameters = (("_count", "7"), *((("_since", self.since),) if self.since else ()))
        newest: list[str] = []
        while True:
            bundle = orjson.loads(
                execute(History(None, None, parameters), context(), self.store).body
            )
            for entry in bundle.get("entry", ()):
                meta = entry["resource"]["meta"]
                self.seen.add((entry["resource"]["id"], meta["versionId"]))
                newest.append(meta["lastUpdated"])
            if "meta" in bundle:
                told = bundle["meta"]["lastUpdated"]
            following = [link["url"] for link in bundle["link"] if link["relation"] == "next"]
            if not following:
                break
            query = following[0].partition("?")[2].replace("%2B", "+")
            parameters = tuple(tuple(item.split("=", 1)) for item in query.split("&"))
        if newest:
            self.since = told if self.by_bundle else max(newest)


@pytest.mark.parametrize("by_bundle", [True, False])
def test_who_follows_the_history_misses_nothing_that_commits_out_of_order(
    pair: tuple[Store, Store], by_bundle: bool
) -> None:
    """Writers take their time between putting and committing, so that later versions are committed first."""
    running = threading.Event()
    follower = Follower(pair[1], by_bundle=by_bundle)

    def work(place: int) -> None:
        chance = Random(place)
        if place == 0:
            while not running.is_set():
                follower.poll()
            return
        for number in range(25):
            call = Update(
                "Basic", f"b{place}-{number % 3}", _basic(place, number % 3), Conditions()
            )
            pair[place % 2].write(lambda transaction, call=call: _slowly(call, transaction, chance))

    def writers(place: int) -> None:
        try:
            work(place)
        finally:
            if place and next(left) == THREADS - 2:
                running.set()

    left = itertools.count()
    at_once(writers)
    follower.poll()
    with pair[0].read() as view:
        committed = {
            (hit.version.logical_id, str(hit.version.version_id))
            for hit in view.history(HistoryQuery(limit=10_000))
        }
    assert len(committed) == 25 * (THREADS - 1)
    assert committed - follower.seen == set()


def _basic(place: int, number: int) -> Json:
    return {"resourceType": "Basic", "id": f"b{place}-{number}", "code": {"text": "x"}}


def _slowly(call: Update, transaction: Transaction, chance: Random) -> None:
    from fhir_server.interactions.change import update

    update(call, context(), transaction)
    time.sleep(chance.random() * 0.004)


def test_what_was_acknowledged_is_in_the_history_while_others_still_write(
    pair: tuple[Store, Store],
) -> None:
    if type(pair[0]).__name__ == "SqliteStore":
        pytest.skip("there is one writer at a time")
    begun = threading.Event()

    def long(transaction: Transaction) -> None:
        put(transaction, "Patient/long")
        begun.set()
        time.sleep(0.2)

    held = pair[0].submit(long)
    assert begun.wait(5)
    write(pair[1], "Patient/quick")
    with pair[1].read() as view:
        settled = view.settled()
        found = {hit.version.logical_id for hit in view.history(HistoryQuery(until=settled))}
    assert found == {"quick", "long"}
    held.result()


def test_a_writer_that_goes_on_for_long_does_not_hold_up_readers_of_the_history(
    pair: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    if type(pair[0]).__name__ == "SqliteStore":
        pytest.skip("there is one writer at a time")
    monkeypatch.setattr(postgresql, "_SETTLE_SECONDS", 0.05)
    write(pair[1], "Patient/early", at=time.time_ns() // 1000)
    time.sleep(0.01)
    begun, let_go = threading.Event(), threading.Event()

    def long(transaction: Transaction) -> None:
        put(transaction, "Patient/long")
        begun.set()
        let_go.wait(10)

    held = pair[0].submit(long)
    assert begun.wait(5)
    time.sleep(0.01)
    write(pair[1], "Patient/late")
    with pair[1].read() as view:
        settled = view.settled()
        found = [hit.version.logical_id for hit in view.history(HistoryQuery(until=settled))]
    # What came after the long one waits for it: else a follower would go on from there and miss the long one.
    assert found == ["early"]
    let_go.set()
    held.result()
    with pair[1].read() as view:
        query = HistoryQuery(since=settled, until=view.settled())
        assert {hit.version.logical_id for hit in view.history(query)} >= {"long", "late"}


def test_spans_of_the_history_hold_each_version_once_whoever_writes_it(
    pair: tuple[Store, Store],
) -> None:
    writes = 25
    with pair[0].read() as view:
        begin = view.settled_position()
    found: list[tuple[str, int]] = []
    ended = threading.Event()

    def follow() -> None:
        nonlocal begin
        last = False
        while not last:
            last = ended.is_set()
            with pair[0].read() as view:
                until = view.settled_position()
                query = HistoryQuery("Patient", begin=begin, after=until, limit=10_000)
                hits = view.history(query)
            found.extend((hit.version.logical_id, hit.version.version_id) for hit in hits)
            begin = until

    def work(place: int) -> None:
        chance = Random(place)
        for number in range(writes):

            def slow(transaction: Transaction, number: int = number) -> None:
                # Of one moment for all of them, where the store allows it.
                put(transaction, f"Patient/{place}-{number}")
                time.sleep(chance.random() * 0.004)

            pair[place % 2].write(slow)

    reader = threading.Thread(target=follow)
    reader.start()
    at_once(work, 4)
    ended.set()
    reader.join()
    assert sorted(found) == sorted((f"{p}-{n}", 1) for p in range(4) for n in range(writes))
