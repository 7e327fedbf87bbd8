"""Turns of brief works on an event loop: what is promised of a write holds whoever runs it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from writing import current, put, write

from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import Transaction
from fhir_server.store.open import open_store
from fhir_server.store.promise import Promise
from fhir_server.store.sqlite import SqliteStore
from fhir_server.store.sqlite_driver import connect


class Loop:
    """Runs what it is given when it is told to, on the thread that tells it."""

    def __init__(self) -> None:
        self.given: list[Callable[[], None]] = []

    def soon(self, turn: Callable[[], None]) -> None:
        self.given.append(turn)

    def run(self) -> int:
        """How many turns there were."""
        turns, self.given = self.given, []
        for turn in turns:
            turn()
        return len(turns)

    def run_until(self, futures: Sequence[Promise[Any]]) -> None:
        until = time.monotonic() + 10
        while not all(future.done() for future in futures) and time.monotonic() < until:
            self.run() or time.sleep(0.001)


@pytest.fixture
def store(empty_database: Callable[[str], str]) -> Iterator[SqliteStore]:
    opened = open_store(empty_database("sqlite"), lock_timeout=0.3)
    assert isinstance(opened, SqliteStore)
    yield opened
    opened.close()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_a_brief_work_runs_in_the_turn_of_its_loop_and_is_told_when_it_is_durable(
    store: SqliteStore, loop: Loop
) -> None:
    threads: list[int] = []

    def work(transaction: Transaction) -> int:
        threads.append(threading.get_ident())
        return put(transaction, "Patient/a").version_id

    future = store.submit(work, loop.soon)
    assert not future.done()
    assert not threads
    assert loop.run() == 1
    assert future.result(10) == 1
    assert threads == [threading.get_ident()]
    assert current(store, "Patient/a") is not None


def test_works_are_run_in_their_order_whoever_runs_them(store: SqliteStore, loop: Loop) -> None:
    order: list[int] = []

    def work(number: int, transaction: Transaction) -> None:
        put(transaction, f"Patient/p{number}")
        order.append(number)

    futures = [
        store.submit(lambda t, n=n: work(n, t), loop.soon if n % 4 else None) for n in range(40)
    ]
    loop.run_until(futures)
    assert [future.exception(0) for future in futures] == [None] * 40
    assert order == list(range(40))


def test_a_refusal_takes_back_what_its_work_did_and_nothing_else(
    store: SqliteStore, loop: Loop
) -> None:
    def work(number: int, transaction: Transaction) -> None:
        put(transaction, f"Patient/p{number}")
        if number == 3:
            raise errors.business_rule("not this one")

    futures = [store.submit(lambda t, n=n: work(n, t), loop.soon) for n in range(6)]
    loop.run_until(futures)
    assert [future.exception(0) is None for future in futures] == [n != 3 for n in range(6)]
    assert [current(store, f"Patient/p{n}") is None for n in range(6)] == [n == 3 for n in range(6)]


def test_a_turn_does_not_hold_up_its_loop_for_long(store: SqliteStore, loop: Loop) -> None:
    """What does not fit into the turn waits for the next one."""

    def work(number: int, transaction: Transaction) -> None:
        put(transaction, f"Patient/p{number}")
        time.sleep(0.02)

    futures = [store.submit(lambda t, n=n: work(n, t), loop.soon) for n in range(5)]
    began = time.monotonic()
    loop.run()
    assert time.monotonic() - began < 0.08
    loop.run_until(futures)
    assert [future.exception(0) for future in futures] == [None] * 5


def test_a_lock_of_another_process_is_waited_for_by_the_stores_thread(
    store: SqliteStore, loop: Loop
) -> None:
    other = connect(store.path)
    other.execute("BEGIN IMMEDIATE")
    future = store.submit(lambda t: put(t, "Patient/a"), loop.soon)
    began = time.monotonic()
    loop.run()
    assert time.monotonic() - began < 0.2
    error = future.exception(10)
    assert isinstance(error, FhirError)
    assert error.status == 503
    late = store.submit(lambda t: put(t, "Patient/b"), loop.soon)
    loop.run()
    other.execute("ROLLBACK")
    other.close()
    assert late.result(10).version_id == 1
    assert current(store, "Patient/a") is None


def test_a_statement_that_goes_on_for_long_is_given_up_and_run_by_the_stores_thread(
    store: SqliteStore, loop: Loop
) -> None:
    threads: list[int] = []
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000)"

    def work(transaction: Transaction) -> int:
        threads.append(threading.get_ident())
        put(transaction, "Patient/a")
        driver = transaction._driver  # type: ignore[attr-defined] # of the SQL stores only
        return driver.fetch(f"{numbers} SELECT COUNT(*) FROM n", ())[0][0]

    before = store.submit(lambda t: put(t, "Patient/before"), loop.soon)
    future = store.submit(work, loop.soon)
    loop.run_until([before, future])
    assert future.result(0) == 3_000_000
    assert before.result(0).version_id == 1
    assert threads[0] == threading.get_ident()
    assert threads[-1] != threading.get_ident()
    assert current(store, "Patient/a").version_id == 1


def test_closing_writes_what_waits_for_a_loop_that_will_not_run_again(
    empty_database: Callable[[str], str], loop: Loop
) -> None:
    url = empty_database("sqlite")
    store = open_store(url)
    future = store.submit(lambda t: put(t, "Patient/a"), loop.soon)
    store.close()
    assert future.result(0).version_id == 1
    assert loop.run() == 1
    late = store.submit(lambda t: put(t, "Patient/b"), loop.soon)
    assert isinstance(late.exception(0), FhirError)
    again = open_store(url)
    assert current(again, "Patient/a") is not None
    again.close()


def test_a_work_that_is_no_longer_wanted_is_not_begun(store: SqliteStore, loop: Loop) -> None:
    wanted = store.submit(lambda t: put(t, "Patient/a"), loop.soon)
    given_up = store.submit(lambda t: put(t, "Patient/b"), loop.soon)
    assert given_up.cancel()
    loop.run()
    assert wanted.result(10).version_id == 1
    assert write(store, "Patient/b").version_id == 1
