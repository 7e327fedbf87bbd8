"""Appointments that lose their slot because a clinic does not take place: cancelled, with a Task for another time.

https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from fhir_server.booking import facts, names
from fhir_server.booking.seats import Seats
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write, append
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.claims import Claim
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]
_AHEAD = ("pending", "booked")
_BY_PROVIDER = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
            "code": "prov",
            "display": "Provider",
        }
    ]
}


def displaceable(logical_id: str, transaction: Transaction) -> tuple[StoredVersion, Json] | None:
    """The appointment, if it still lies ahead; what has taken place cannot be displaced."""
    version = transaction.current("Appointment", logical_id)
    if version is None or version.deleted:
        return None
    appointment = parse_stored(version.body)
    return (version, appointment) if appointment["status"] in _AHEAD else None


def displace(
    logical_id: str, reason: Json | None, seats: Seats, context: Context, transaction: Transaction
) -> list[StoredVersion]:
    """Cancel an appointment, free every seat it has in the slots at hand, and make its Task.

    The versions written, or nothing when the appointment does not lie ahead.
    """
    found = displaceable(logical_id, transaction)
    if found is None:
        return []
    version, appointment = found
    seats.release(list(_claims_of(logical_id, seats)))
    cancelled = appointment | {
        "status": "cancelled",
        "cancelationReason": reason or _BY_PROVIDER,
    }
    write = Write("PUT", "Appointment", logical_id, version)
    context.rules.follow(write, cancelled, context, transaction)
    after = append(write, cancelled, context, transaction)
    task = Write("POST", "Task", context.new_id(), None)
    return [after, append(task, _task(appointment, reason, context), context, transaction)]


def referrals_of_slots(
    slot_ids: Sequence[str], context: Context, transaction: ReadTransaction
) -> set[tuple[str, str]]:
    """The referrals whose appointments are in those slots: they are locked before the slots are."""
    claims = transaction.claims.of_slots(slot_ids)
    ids = {claim.appointment_id for claim in claims if claim.appointment_id}
    found = transaction.many([("Appointment", item) for item in sorted(ids)])
    return {
        ("ServiceRequest", item)
        for version in found.values()
        for item in facts.referrals_of(parse_stored(version.body), context)
    }


def _claims_of(logical_id: str, seats: Seats) -> Iterable[Claim]:
    for claims in seats.claims.values():
        yield from (claim for claim in claims if claim.appointment_id == logical_id)


def _task(appointment: Json, reason: Json | None, context: Context) -> Json:
    """What has to be done for the patient."""
    now = write_instant(context.now())
    task: Json = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": names.WORKFLOW, "code": names.DISPLACED}]},
        "focus": {"reference": f"Appointment/{appointment['id']}"},
        "authoredOn": now,
        "lastModified": now,
    }
    patients = facts.patients_of(appointment, context)
    if patients:
        task["for"] = {"reference": f"Patient/{patients[0][0]}"}
    if appointment.get("basedOn"):
        task["basedOn"] = appointment["basedOn"]
    actors = [item.get("actor", {}) for item in appointment.get("participant", ())]
    for number, (kind, _) in facts.targets(actors, context):
        if kind == "HealthcareService":
            task["owner"] = actors[number]
            break
    if reason is not None:
        task["reasonCode"] = reason
    return task
