"""All of a transaction or nothing, on every store (https://hl7.org/fhir/R4/http.html#transaction)."""

from __future__ import annotations

import contextlib
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from writing import current, put, write

from fhir_server.search.entries import TokenEntry
from fhir_server.search.expression import And, Query
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import AGAIN, OverBudget, Store, Transaction, VersionConflict

_CODED = [TokenEntry(1, "", "x")]


def test_what_raises_leaves_nothing(store: Store) -> None:
    def fail(transaction: Transaction) -> None:
        put(transaction, "Patient/a", _CODED)
        put(transaction, "Patient/b")
        raise errors.conflict("no")

    with pytest.raises(FhirError, match="409"):
        store.write(fail)
    assert current(store, "Patient/a") is None
    assert store.keys() == []


def test_what_raises_does_not_change_what_was_there(store: Store) -> None:
    before = write(store, "Patient/a", _CODED)

    def fail(transaction: Transaction) -> None:
        put(transaction, "Patient/a")
        raise KeyError("a fault of the work itself")

    with pytest.raises(KeyError):
        store.write(fail)
    assert current(store, "Patient/a") == before
    with store.read() as view:
        assert view.index_difference(before.key, frozenset(_CODED)) == (0, 0)


def test_a_transaction_sees_what_it_has_put(store: Store) -> None:
    """The newest version of its own, whether it says beforehand that the id is new or not, and no deletion."""
    write(store, "Patient/old")

    def work(transaction: Transaction) -> None:
        transaction.unused([("Patient", "new"), ("Patient", "never")])
        assert transaction.current("Patient", "new") is None
        assert transaction.many([("Patient", "new"), ("Patient", "old")]).keys() == {
            ("Patient", "old")
        }
        for name in ("new", "other", "old"):
            put(transaction, f"Patient/{name}", _CODED)
            last = put(transaction, f"Patient/{name}")
            assert transaction.current("Patient", name) == last
            assert transaction.many([("Patient", name)]) == {("Patient", name): last}
            assert transaction.by_key([last.key]) == {last.key: last}
        gone = put(transaction, "Patient/other", method="DELETE")
        assert transaction.current("Patient", "other") == gone
        assert transaction.many([("Patient", "other"), ("Patient", "never")]) == {}
        assert transaction.current("Patient", "never") is None

    store.write(work)
    assert current(store, "Patient/new").version_id == 2
    assert current(store, "Patient/old").version_id == 3


def test_an_id_that_was_thought_new_is_not_written_over(store: Store) -> None:
    before = write(store, "Patient/a")

    def work(transaction: Transaction) -> None:
        transaction.unused([("Patient", "a")])
        put(transaction, "Patient/a", _CODED, previous=None)

    with pytest.raises(FhirError, match="503"):
        store.write(work)
    assert current(store, "Patient/a") == before


def test_a_failing_call_among_good_ones_fails_alone(store: Store) -> None:
    """The calls are queued while the store is busy with one, so that SQLite commits them as a group."""
    busy = threading.Event()

    def hold(_: Transaction) -> None:
        busy.wait(5)

    def work(number: int, transaction: Transaction) -> int:
        put(transaction, f"Patient/p{number}", _CODED)
        if number % 3 == 0:
            raise errors.conflict(str(number))
        if number % 3 == 1:
            raise ZeroDivisionError
        return number

    with ThreadPoolExecutor(1) as thread:
        held = thread.submit(store.write, hold)
        busy.set() if type(store).__name__ == "MemoryStore" else None
        futures = [store.submit(lambda t, n=n: work(n, t)) for n in range(30)]
        busy.set()
        held.result()
    for number, future in enumerate(futures):
        if number % 3 == 2:
            assert future.result() == number
        else:
            assert isinstance(
                future.exception(), FhirError if number % 3 == 0 else ZeroDivisionError
            )
    with store.read() as view:
        there = view.many([("Patient", f"p{number}") for number in range(30)])
    assert sorted(int(name[1:]) for _, name in there) == list(range(2, 30, 3))


def test_a_work_that_lost_a_race_is_run_again_from_the_start(store: Store) -> None:
    runs = []

    def work(transaction: Transaction) -> int:
        runs.append(1)
        version = put(transaction, "Patient/a")
        if len(runs) <= AGAIN:
            raise VersionConflict("Patient/a")
        return version.version_id

    assert store.write(work) == 1
    assert len(runs) == AGAIN + 1


def test_a_work_that_loses_every_race_is_told_to_try_again(store: Store) -> None:
    def work(transaction: Transaction) -> None:
        put(transaction, "Patient/a")
        raise VersionConflict("Patient/a")

    with pytest.raises(FhirError) as refusal:
        store.write(work)
    assert refusal.value.status == 503
    assert current(store, "Patient/a") is None


def test_a_work_that_only_locks_and_reads_gives_its_result(store: Store) -> None:
    write(store, "Patient/a")

    def work(transaction: Transaction) -> int:
        transaction.lock([("Patient", "a"), ("Patient", ""), ("Patient", "a")])
        transaction.lock([("Patient", "b"), ("Patient", "a")])
        found = transaction.current("Patient", "a")
        assert found is not None
        return found.version_id

    assert store.write(work) == 1


def test_a_lock_keeps_others_out_until_the_end(store: Store) -> None:
    inside: list[int] = []

    def work(number: int, transaction: Transaction) -> None:
        transaction.lock([("Patient", ""), ("Patient", "shared")])
        inside.append(number)
        time.sleep(0.005)
        inside.append(number)

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(store.write, lambda t, n=n: work(n, t)) for n in range(16)]:
            future.result()
    assert inside[::2] == inside[1::2]


def test_locks_in_any_order_do_not_block_each_other_for_good(store: Store) -> None:
    identities = [("Patient", f"p{number}") for number in range(6)]

    def work(number: int, transaction: Transaction) -> None:
        turned = identities[number % 6 :] + identities[: number % 6]
        transaction.lock(turned)
        for _, logical_id in turned:
            put(transaction, f"Patient/{logical_id}")

    with ThreadPoolExecutor(8) as threads:
        for future in [threads.submit(store.write, lambda t, n=n: work(n, t)) for n in range(24)]:
            future.result()
    found = current(store, "Patient/p3")
    assert found is not None
    assert found.version_id == 24


def test_a_reader_keeps_the_view_it_began_with(store: Store) -> None:
    if type(store).__name__ == "MemoryStore":
        pytest.skip("writers wait for the readers of the in-memory reference")
    first = write(store, "Patient/a", _CODED)
    with store.read() as view:
        assert view.current("Patient", "a") == first
        write(store, "Patient/a")
        write(store, "Patient/b")
        assert view.current("Patient", "a") == first
        assert view.current("Patient", "b") is None
        assert view.index_difference(first.key, frozenset(_CODED)) == (0, 0)


def test_a_view_that_asks_more_than_it_told_has_a_snapshot_from_there(store: Store) -> None:
    if type(store).__name__ == "MemoryStore":
        pytest.skip("writers wait for the readers of the in-memory reference")
    everybody = Query(("Patient",), And(()), limit=10)
    with store.read() as view:
        view.alone()
        assert view.current("Patient", "a") is None
        write(store, "Patient/a", body=b"a")
        assert view.derived(everybody, bytes.upper) == [b"A"]
        write(store, "Patient/b", body=b"b")
        assert view.derived(everybody, bytes.upper) == [b"A"]
        assert view.current("Patient", "b") is None


def test_close_finishes_what_was_submitted_and_takes_no_more(store: Store) -> None:
    def slow(number: int, transaction: Transaction) -> int:
        time.sleep(0.002)
        return put(transaction, f"Patient/p{number}").version_id

    futures = [store.submit(lambda t, n=n: slow(n, t)) for n in range(20)]
    store.close()
    assert [future.result(0) for future in futures] == [1] * 20
    late = store.submit(lambda transaction: put(transaction, "Patient/late"))
    with pytest.raises(FhirError) as refusal:
        late.result(1)
    assert refusal.value.status == 503
    store.close()


def test_whatever_is_submitted_while_closing_ends(store: Store) -> None:
    """No future hangs: each is done or refused, whichever thread is faster."""
    futures = []

    def submit() -> None:
        futures.extend(
            store.submit(lambda t, n=n: put(t, f"Patient/p{n}", previous=None)) for n in range(200)
        )

    thread = threading.Thread(target=submit)
    thread.start()
    store.close()
    thread.join()
    for future in futures:
        error = future.exception(5)
        assert error is None or isinstance(error, FhirError)


def test_a_view_that_was_given_up_leaves_the_store_readable(store: Store) -> None:
    """A deadline that has passed must interrupt the search only, not the end of its transaction."""
    made = write(store, "Patient/a")
    for _ in range(6000):
        with contextlib.suppress(OverBudget), store.read(1e-9) as view:
            view.current("Patient", "a")
    assert current(store, "Patient/a") == made


def test_a_mark_is_another_one_after_every_commit_that_renews_it(store: Store) -> None:
    def renew(transaction: Transaction) -> bytes | None:
        transaction.renew_mark("definitions")
        return transaction.mark("definitions")

    with store.read() as view:
        assert view.mark("definitions") is None
    marks = [store.write(renew) for _ in range(3)]
    assert None not in marks
    assert len(set(marks)) == 3
    with store.read() as view:
        assert view.mark("definitions") == marks[-1]
        assert view.mark("another") is None
