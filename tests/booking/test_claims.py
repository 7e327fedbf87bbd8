"""The contract of claims and replies, the same in memory, on SQLite and on PostgreSQL.

https://hl7.org/fhir/R4/slot.html
"""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest

from fhir_server.store.claims import Claim
from fhir_server.store.memory import MemoryStore
from fhir_server.store.open import open_store

BOOKED = Claim("s", 0, "booked", "one", "a")


@pytest.fixture(params=["memory", "database"])
def store(request, new_database):
    made = MemoryStore() if request.param == "memory" else open_store(new_database())
    yield made
    made.close()


def taken(store, claim):
    return store.write(lambda transaction: transaction.claims.take(claim))


def of(store, *slots):
    with store.read() as transaction:
        return transaction.claims.of_slots(slots)


def test_a_seat_is_taken_once(store):
    assert taken(store, BOOKED)
    assert not taken(store, replace(BOOKED, appointment_id="b"))
    assert taken(store, replace(BOOKED, seat=1, appointment_id="b"))
    assert [claim.appointment_id for claim in of(store, "s")] == ["a", "b"]


def test_what_may_be_replaced(store):
    block = Claim("s", 0, "blocked", "one")
    assert taken(store, block)
    assert not taken(store, replace(BOOKED, owner="two"))
    assert taken(store, BOOKED)
    assert taken(store, replace(BOOKED, kind="held"))
    assert not taken(store, block)


def test_an_expired_claim_can_be_taken_and_a_running_one_cannot(store):
    with store.read() as transaction:
        now = transaction.claims.now()
    hold = Claim("s", 0, "held", "one", "a", now + 3_600_000_000)
    assert taken(store, hold)
    assert not taken(store, replace(BOOKED, appointment_id="b"))
    assert taken(store, replace(hold, expires_at=now - 1))
    with store.read() as transaction:
        assert [claim.expired for claim in transaction.claims.lapsed(10)] == [True]
        assert transaction.claims.holds("one") == 0
    assert taken(store, replace(BOOKED, appointment_id="b", owner="two"))
    assert [claim.owner for claim in of(store, "s")] == ["two"]


def test_holds_are_counted_by_appointment(store):
    with store.read() as transaction:
        later = transaction.claims.now() + 3_600_000_000
    for slot, appointment, owner in (
        ("s", "a", "one"),
        ("t", "a", "one"),
        ("u", "b", "one"),
        ("v", "c", "two"),
    ):
        assert taken(store, Claim(slot, 0, "held", owner, appointment, later))
    with store.read() as transaction:
        assert transaction.claims.holds("one") == 2
        assert {claim.slot_id for claim in transaction.claims.of_appointments(["a"])} == {"s", "t"}


def test_only_the_claim_that_was_meant_is_released(store):
    taken(store, BOOKED)
    store.write(lambda t: t.claims.release([replace(BOOKED, appointment_id="b")]))
    assert len(of(store, "s")) == 1
    store.write(lambda t: t.claims.release([BOOKED]))
    assert of(store, "s") == []


def test_nothing_of_a_refused_work_remains(store):
    def work(transaction):
        transaction.claims.take(BOOKED)
        transaction.replies.begin("c", "k", "d", 1)
        raise RuntimeError("refused")

    with pytest.raises(RuntimeError):
        store.write(work)
    assert of(store, "s") == []
    assert store.write(lambda t: t.replies.begin("c", "k", "d", 1)) is None


def test_pages_of_all_claims(store):
    for name in "abc":
        for seat in range(2):
            taken(store, Claim(name, seat, "blocked", "one"))
    with store.read() as transaction:
        first = transaction.claims.everything(("", -1), 4)
        rest = transaction.claims.everything((first[-1].slot_id, first[-1].seat), 4)
    assert [(claim.slot_id, claim.seat) for claim in (*first, *rest)] == [
        (name, seat) for name in "abc" for seat in range(2)
    ]


def test_a_reply_is_kept_and_forgotten(store):
    def begin(digest):
        return store.write(lambda t: t.replies.begin("c", "k", digest, 5))

    def finish(transaction):
        transaction.replies.begin("c", "k", "d", 5)
        transaction.replies.finish("c", "k", b"answer")

    store.write(finish)
    found = begin("other")
    assert (found.digest, found.answer) == ("d", b"answer")
    assert store.write(lambda t: t.replies.forget(5, 10)) == 0
    assert store.write(lambda t: t.replies.forget(6, 10)) == 1
    assert begin("d") is None


def test_of_many_threads_one_takes_the_seat(store):
    start = threading.Barrier(8)
    won = []

    def contend(number):
        start.wait()
        if taken(store, replace(BOOKED, appointment_id=f"a{number}")):
            won.append(number)

    threads = [threading.Thread(target=contend, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
