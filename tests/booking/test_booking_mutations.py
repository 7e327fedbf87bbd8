"""Each guard is needed: with any one of them taken out, a check fails that passes with all of them.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

import base64
import itertools
from dataclasses import replace

import orjson
import pytest

from fhir_server.booking import appointments, invariants, refusals, slots, statuses
from fhir_server.booking.checking import faults
from fhir_server.booking.operations import operations
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.rules import BookingRules
from fhir_server.booking.seats import Seats
from fhir_server.interactions import perform as performing
from fhir_server.interactions.call import (
    Conditions,
    Context,
    PatchDocument,
    Policy,
    Request,
    RetryKey,
)
from fhir_server.interactions.grammar import parse_call
from fhir_server.interactions.operation import Operations
from fhir_server.interactions.perform import execute
from fhir_server.interactions.rules import Ruled
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse
from fhir_server.store import memory
from fhir_server.store.claims import Claim
from fhir_server.store.contract import VersionConflict
from fhir_server.store.memory import MemoryStore
from fhir_server.store.memory_claims import MemoryClaims
from fhir_server.store.open import open_store
from fhir_server.store.sql_claims import SqlClaims
from tools.booking_simulation.scenarios import NOW, appointment, slot

POLICY = BookingPolicy(maximum_holds=2)


class Desk:
    """A server without the wire: requests go through the grammar, prepare and perform, into a store in memory."""

    def __init__(self):
        numbers = itertools.count(1)
        self.now = NOW
        self.store = MemoryStore()
        self.store.ledger.clock = lambda: self.now
        self.context = Context(
            Policy(cursor_key=b"k" * 32), lambda: self.now, lambda: f"n-{next(numbers)}",
            operations=Operations(operations(POLICY)), rules=BookingRules(POLICY),
        )  # fmt: skip

    def __call__(self, method, path, body=None, client="anonymous", key=None, conditions=None):
        """The status and the resource of an answer."""
        retry = RetryKey(key, repr(body)) if key else None
        context = replace(self.context, client=client, retry=retry)
        try:
            request = Request(method, path, (), conditions or Conditions(), body)
            result = execute(parse_call(request), context, self.store)
        except FhirError as refusal:
            return refusal.status, refusal.issues[0].code
        return result.status, parse(result.body) if result.body else None

    def put(self, resource, **more):
        return self("PUT", f"{resource['resourceType']}/{resource['id']}", resource, **more)

    def post(self, resource, **more):
        return self("POST", resource["resourceType"], resource, **more)

    def status(self, name):
        return self("GET", f"Slot/{name}")[1]["status"]

    def sound(self):
        assert list(faults(self.store, self.context)) == []


A, B, WIDE = slot("a"), slot("b", place=1), slot("a", capacity=2)


def desk(*resources):
    made = Desk()
    for resource in resources:
        assert made.put(resource)[0] == 201
    return made


def transaction(*entries):
    listed = [
        {"request": {"method": method, "url": url}} | ({"resource": resource} if resource else {})
        for method, url, resource in entries
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": listed}


BOOKED = [{"op": "replace", "path": "/status", "value": "booked"}]


def check_create():
    at = desk(A)
    assert at.post(appointment(A))[0] == 201
    assert at.status("a") == "busy"
    assert at.post(appointment(A))[0] == 409
    at.sound()


def check_update():
    at = desk(A)
    assert at.put(appointment(A, id="x"))[0] == 201
    assert at.put(appointment(A, id="y"))[0] == 409
    at.sound()


def check_patch():
    at = desk(
        A, appointment(A, id="x", status="proposed"), appointment(A, id="y", status="proposed")
    )
    document = PatchDocument("json-patch", BOOKED)
    assert at("PATCH", "Appointment/x", document)[0] == 200
    assert at("PATCH", "Appointment/y", document)[0] == 409
    at.sound()


def check_patch_in_a_transaction():
    at = desk(A, appointment(A, id="x", status="proposed"), appointment(A, id="y"))
    data = base64.b64encode(orjson.dumps(BOOKED)).decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}
    assert at("POST", "", transaction(("PATCH", "Appointment/x", binary)))[0] == 409
    at.sound()


def check_delete():
    at = desk(A, appointment(A, id="x"))
    assert at("DELETE", "Slot/a")[0] == 409
    assert at("DELETE", "Appointment/x")[0] == 204
    assert at.status("a") == "free"
    at.sound()


def check_seats():
    at = desk(WIDE)
    assert [at.post(appointment(WIDE))[0] for _ in range(3)] == [201, 201, 409]
    assert at.status("a") == "busy"
    at.sound()


def check_all_or_none():
    at = desk(A, B, appointment(B, id="x"))
    assert at.post(appointment(A, B))[0] == 409
    assert at.status("a") == "free"
    at.sound()


def check_cancel():
    at = desk(A, appointment(A, id="x"))
    assert at.put(appointment(A, id="x", status="cancelled"))[0] == 200
    assert at.status("a") == "free"
    assert at.post(appointment(A))[0] == 201
    assert at.put(appointment(A, id="x"))[0] == 422
    at.sound()


def check_swap():
    at = desk(A, B, appointment(A, id="x"), appointment(B, id="y"))
    crossed = transaction(
        ("PUT", "Appointment/x", appointment(B, id="x")),
        ("PUT", "Appointment/y", appointment(A, id="y")),
    )
    assert at("POST", "", crossed)[0] == 200
    at.sound()


def check_slot_with_its_appointment():
    at = desk(A, appointment(A, id="x"))
    both = transaction(
        ("PUT", "Slot/a", A), ("PUT", "Appointment/x", appointment(A, id="x", status="cancelled"))
    )
    assert at("POST", "", both)[0] == 200
    at.sound()


def check_slot_before_its_appointment():
    at = desk(A)
    both = transaction(
        ("PUT", "Slot/a", A | {"comment": "Room 1"}),
        ("PUT", "Appointment/x", appointment(A, id="x")),
    )
    assert at("POST", "", both)[0] in (200, 409)
    at.sound()


def check_slot_in_use():
    at = desk(A, appointment(A, id="x"))
    assert at.put(A)[0] == 409
    assert at.put(A | {"status": "busy", "end": "2040-01-01T11:00:00Z"})[0] == 409
    assert at.put(A | {"status": "busy-unavailable"})[0] == 409
    at.sound()


def check_closed_slot():
    at = desk(A | {"status": "busy-unavailable"})
    assert at.post(appointment(A))[0] == 409


def check_block():
    at = desk(A)
    assert at.put(A | {"status": "busy"}, client="one")[0] == 200
    assert at.post(appointment(A), client="two")[0] == 409
    assert at.put(A, client="two")[0] == 409
    assert at.post(appointment(A), client="one")[0] == 201
    at.sound()


def held(at, client="one"):
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": appointment(A)}],
    }
    status, bundle = at("POST", "Appointment/$hold", body, client=client)
    assert status == 200
    return bundle["entry"][0]["resource"]


def check_hold():
    at = desk(A)
    hold = held(at)
    assert at.post(appointment(A))[0] == 409
    assert at.put(hold | {"status": "booked"}, client="two") == (409, "conflict")
    at.now += 3600 * 1_000_000
    assert at.put(hold | {"status": "booked"}, client="one") == (409, "expired")
    assert at.post(appointment(A))[0] == 201
    assert at.put(hold | {"status": "booked"}, client="one") == (409, "expired")
    at.sound()


def check_hold_limit():
    at = desk(slot("a", capacity=5))
    for _ in range(2):
        held(at)
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": appointment(A)}],
    }
    assert at("POST", "Appointment/$hold", body, client="one")[0] == 409


def check_times():
    at = desk(A, B)
    assert at.post(appointment(A) | {"end": B["end"]})[0] == 422


def check_missed():
    at = desk(A, appointment(A, id="x"))
    assert at.put(appointment(A, id="x", status="noshow"))[0] == 422


def check_replay():
    at = desk(WIDE)
    first, again = (at.post(appointment(WIDE), key="k") for _ in range(2))
    assert first == again
    assert at.post(appointment(B), key="k")[0] == 422


def check_the_keys_of_stores():
    for url in ("memory://", "sqlite://"):
        store = open_store(url)
        try:
            assert store.write(lambda t: t.claims.take(Claim("s", 0, "booked", "one", "x")))
            assert not store.write(lambda t: t.claims.take(Claim("s", 0, "booked", "one", "y")))
        finally:
            store.close()


def check_the_versions_of_stores():
    store = MemoryStore()
    given = {"resource_type": "Basic", "logical_id": "x", "last_updated": 1, "method": "PUT",
             "created": True, "body": b"{}", "entries": frozenset()}  # fmt: skip
    store.write(lambda t: t.put(previous=None, **given))
    future = store.submit(lambda t: t.put(previous=None, **given))
    assert isinstance(future.exception(), (VersionConflict, FhirError))


CHECKS = [value for name, value in sorted(globals().items()) if name.startswith("check_")]


def nothing(*given, **named):
    return None


def always(*given):
    return True


def never(*given):
    return False


def skipping(method):
    """The rule is not asked by writes of that method."""
    apply = BookingRules.apply

    def mutant(self, write, after, context, transaction):
        if write.method == method:
            return Ruled(after)
        return apply(self, write, after, context, transaction)

    return mutant


def unconditional_take(self, claim):
    self._keep((claim.slot_id, claim.seat))
    self._ledger.claims[claim.slot_id, claim.seat] = claim
    return True


def unconditional_sql_take(self, claim):
    self._driver.change(
        "DELETE FROM slot_claim WHERE slot_id = ? AND seat = ?", (claim.slot_id, claim.seat)
    )
    columns = (
        claim.slot_id,
        claim.seat,
        claim.kind,
        claim.owner,
        claim.appointment_id,
        claim.expires_at,
    )
    self._driver.change("INSERT INTO slot_claim VALUES (?, ?, ?, ?, ?, ?)", columns)
    return True


def first_seat(self, slot_id):
    return 0, None


def any_seat(self, slot_id):
    return len(self.claims[slot_id]), None


def never_expired(self, claim):
    return replace(claim, expired=False)


def always_expired(self, claim):
    return replace(claim, expired=claim.expires_at is not None)


def no_group(resource_type, name):
    return frozenset()


def once_each(work, context, transaction):
    return work(replace(context, retry=None))


def fixed(attribute, value):
    return lambda self, name: value if name == attribute else object.__getattribute__(self, name)


def blind_put(self, *, previous, **columns):
    found = self.current(columns["resource_type"], columns["logical_id"])
    return TRUE_PUT(self, previous=found, **columns)


TRUE_PUT = memory.MemoryTransaction.put

MUTANTS = {
    "the rule for POST": (BookingRules, "apply", skipping("POST")),
    "the rule for PUT": (BookingRules, "apply", skipping("PUT")),
    "the rule for PATCH": (BookingRules, "apply", skipping("PATCH")),
    "the rule for DELETE": (BookingRules, "apply", skipping("DELETE")),
    "freeing seats before a Bundle's writes": (BookingRules, "begin", nothing),
    "slots written after appointments": (
        BookingRules,
        "__getattribute__",
        fixed("write_order", ()),
    ),
    "the key of a claim in memory": (MemoryClaims, "take", unconditional_take),
    "the key of a claim in SQL": (SqlClaims, "take", unconditional_sql_take),
    "the version of a put": (memory.MemoryTransaction, "put", blind_put),
    "undoing what was refused": (memory.MemoryTransaction, "undo", nothing),
    "looking for a free seat": (Seats, "free_seat", first_seat),
    "the limit of seats": (Seats, "free_seat", any_seat),
    "taking the seat": (Seats, "take", always),
    "freeing the seat": (Seats, "release", nothing),
    "the status of the slot": (Seats, "project", nothing),
    "the expiry of holds": (MemoryClaims, "_seen", never_expired),
    "the time of holds": (MemoryClaims, "_seen", always_expired),
    "letting go": (appointments, "_let_go", nothing),
    "knowing a lapsed appointment": (appointments, "lapsed", never),
    "cancelling a lapsed appointment": (appointments, "_cancel_lapsed", nothing),
    "the owner of a hold": (refusals, "not_your_hold", refusals.overlapping),
    "the limit of holds": (BookingPolicy, "__getattribute__", fixed("maximum_holds", 100)),
    "what follows a status": (statuses, "check_transition", nothing),
    "missing what has not begun": (invariants, "check_moment", nothing),
    "the invariants": (invariants, "check", nothing),
    "closed slots": (statuses, "group", no_group),
    "a slot in use": (slots, "_check_in_use", nothing),
    "the blocks of others": (slots, "_unblock", nothing),
    "asking the reply first": (performing, "once", once_each),
}


def failures():
    found = []
    for check in CHECKS:
        try:
            check()
        except Exception as error:  # noqa: BLE001 - a mutant may fail in any way
            found.append((check.__name__, error))
    return found


def test_every_check_passes_with_every_guard_in_place():
    assert failures() == []


@pytest.mark.rule(354, "appointment.html")
@pytest.mark.parametrize("guard", MUTANTS)
def test_taking_out_a_guard_is_noticed(guard, monkeypatch):
    monkeypatch.setattr(*MUTANTS[guard])
    assert failures(), f"nobody misses {guard}"
