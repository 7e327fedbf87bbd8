"""An error at any version that an act writes leaves nothing of the act."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
from referral_desk import APPOINTMENT_REASONS, concept, revoked

from fhir_server.booking.checking import faults
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.rules import BookingRules
from fhir_server.interactions.call import Conditions, Context, Policy, Request
from fhir_server.interactions.grammar import parse_call
from fhir_server.interactions.operation import Operations
from fhir_server.interactions.perform import execute
from fhir_server.interactions.rule_sets import RuleSets
from fhir_server.referral.operations import operations
from fhir_server.referral.rules import ReferralRules
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import HistoryQuery, Store
from fhir_server.store.open import open_store
from fhir_server.store.statements import SqlTransaction

Json = dict[str, Any]
NOW = 1_790_000_000_000_000


class Died(Exception):
    """The failpoint."""


class Room:
    """A server without the wire, over a database of its own."""

    def __init__(self, store: Store) -> None:
        numbers = itertools.count(1)
        self.store = store
        booking = BookingRules(BookingPolicy())
        self.context = Context(
            Policy(cursor_key=b"k" * 32),
            lambda: NOW,
            lambda: f"n-{next(numbers)}",
            operations=Operations(operations(booking)),
            rules=RuleSets(booking, ReferralRules(booking)),
        )

    def __call__(self, method: str, path: str, body: Json) -> Json:
        request = Request(method, path, (), Conditions(), body)
        result = execute(parse_call(request), self.context, self.store)
        assert result.body is not None
        found: Json = parse(result.body)
        return found

    def put(self, resource: Json) -> Json:
        return self("PUT", f"{resource['resourceType']}/{resource['id']}", resource)

    def read(self, path: str) -> Json:
        return self("GET", path, {})

    def everything(self) -> Any:
        with self.store.read() as transaction:
            hits = transaction.history(HistoryQuery(limit=1000))
            versions = [
                (item.version.resource_type, item.version.logical_id, item.version.version_id)
                for item in hits
            ]
            return versions, transaction.claims.everything(("", -1), 1000)


SERVICE = {"resourceType": "HealthcareService", "id": "service"}
NAMED = {"reference": "HealthcareService/service"}
SCHEDULE = {"resourceType": "Schedule", "id": "clinic", "actor": [NAMED]}
SLOT = {
    "resourceType": "Slot", "id": "slot", "schedule": {"reference": "Schedule/clinic"}, "status": "free",
    "start": "2036-01-01T09:00:00Z", "end": "2036-01-01T09:20:00Z",
}  # fmt: skip
REFERRAL = {
    "resourceType": "ServiceRequest", "id": "referral", "status": "active", "intent": "order", "priority": "routine",
    "identifier": [{"system": "https://fhir.nhs.uk/Id/UBRN", "value": "123456789012"}],
    "subject": {"reference": "Patient/patient"}, "performer": [NAMED],
}  # fmt: skip
BOOKED = {
    "resourceType": "Appointment", "id": "booked", "status": "booked",
    "basedOn": [{"reference": "ServiceRequest/referral"}], "slot": [{"reference": "Slot/slot"}],
    "start": SLOT["start"], "end": SLOT["end"],
    "participant": [{"actor": {"reference": "Patient/patient"}, "status": "accepted"}],
}  # fmt: skip
TRIAGE = {
    "resourceType": "Task", "id": "triage", "status": "requested", "intent": "order", "owner": NAMED,
    "code": concept("https://fhir.nhs.uk/CodeSystem/Workflow-Code", "TRIAGE_DEFERRAL"),
    "focus": {"reference": "ServiceRequest/referral"},
}  # fmt: skip


def review(room: Room) -> Json:
    found = room.read("Task")["entry"]
    return next(item["resource"] for item in found if "reasonReference" in item["resource"])


def outcome(**values: str) -> Json:
    listed = [{"name": name, "valueString": value} for name, value in values.items()]
    return {"resourceType": "Parameters", "parameter": listed}


def book(room: Room) -> Json:
    return room.put(BOOKED)


def reject(room: Room) -> Json:
    reason = concept(APPOINTMENT_REASONS, "SERVICE_INAPPROPRIATE")
    return room.put(review(room) | {"status": "rejected", "statusReason": reason})


def cancel(room: Room) -> Json:
    return room.put(revoked(room.read("ServiceRequest/referral")))


def cancel_by_operation(room: Room) -> Json:
    return room("POST", "ServiceRequest/referral/$cancel", outcome(reason="PATIENT_DIED"))


def send(room: Room) -> Json:
    return room.put(TRIAGE)


def book_now(room: Room) -> Json:
    values = outcome(
        outcome="REFER_OR_BOOK_NOW", comment="Now", slot="Slot/slot", priority="urgent"
    )
    return room("POST", "ServiceRequest/referral/$record-outcome", values)


def refer_now(room: Room) -> Json:
    values = outcome(outcome="REFER_OR_BOOK_NOW", comment="Now", service="service")
    return room("POST", "ServiceRequest/referral/$record-outcome", values)


ACTS: dict[str, tuple[tuple[Callable[[Room], Json], ...], Callable[[Room], Json], int]] = {
    "booking": ((), book, 5),
    "rejecting a booking": ((book,), reject, 5),
    "cancelling": ((book,), cancel, 5),
    "$cancel": ((book,), cancel_by_operation, 5),
    "sending for triage": ((), send, 3),
    "booking at once": ((send,), book_now, 7),
    "referring at once": ((send,), refer_now, 6),
}


@pytest.mark.parametrize("name", ACTS)
def test_an_act_happens_as_a_whole_or_not_at_all(
    name: str, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, act, least = ACTS[name]
    store = open_store(new_database())
    try:
        room = Room(store)
        for resource in (
            {"resourceType": "Patient", "id": "patient"},
            SERVICE,
            SCHEDULE,
            SLOT,
            REFERRAL,
        ):
            room.put(resource)
        for step in before:
            step(room)
        untouched = room.everything()
        put = SqlTransaction.put
        for failing in itertools.count(1):
            seen: list[SqlTransaction] = []

            def failed(
                self: SqlTransaction, seen: Any = seen, failing: int = failing, **columns: Any
            ) -> Any:
                done = put(self, **columns)
                seen.append(self)
                if sum(item is self for item in seen) == failing:
                    raise Died
                return done

            with monkeypatch.context() as patch:
                patch.setattr(SqlTransaction, "put", failed)
                try:
                    act(room)
                except Died:
                    assert room.everything() == untouched
                    continue
            break
        assert failing > least, f"{name} writes {failing - 1} versions"
        assert room.everything() != untouched
        assert list(faults(store, room.context)) == []
    finally:
        store.close()
