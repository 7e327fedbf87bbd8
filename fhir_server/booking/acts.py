"""Writing appointments from within an operation: through the same calls, and under the same rules, as every other door.

https://hl7.org/fhir/R4/http.html#update
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts, proposals, refusals, statuses
from fhir_server.interactions.call import Conditions, Context, Create, Result, Update
from fhir_server.interactions.change import create, update
from fhir_server.interactions.rules import lock
from fhir_server.interactions.write import check, written
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Transaction

Json = dict[str, Any]
Identity = tuple[str, str]


def logical_id(reference: str, context: Context) -> str:
    """The id in a reference to an appointment: Appointment/[id], its URL here, or the id alone; FhirError 404."""
    found = reference.removeprefix(context.base_url + "/").split("/")
    if len(found) == 1 or (len(found) == 2 and found[0] == "Appointment"):
        return found[-1]
    raise errors.not_found("The reference names no appointment of this server")


def lock_all(changes: dict[str, Json | None], context: Context, transaction: Transaction) -> None:
    """Lock appointments and their slots, before and after the changes, in the one order.

    "" stands for an appointment that has no id yet: only its slots are locked.
    """
    pending: dict[Identity, Json | None] = {
        ("Appointment", item): after for item, after in changes.items()
    }
    lock({item for item in pending if item[1]}, pending, context, transaction)


def stored(item: str, transaction: Transaction) -> Json:
    """The current appointment; FhirError 404 or 410."""
    version = transaction.current("Appointment", item)
    if version is None:
        raise errors.not_found("There is no such appointment; search for free slots again")
    if version.deleted:
        raise errors.gone("The appointment was deleted")
    found: Json = parse_stored(version.body)
    return found


def write(resource: Json, context: Context, transaction: Transaction) -> Result:
    """Create the appointment, or update it when it has the id of one that is stored."""
    check(resource, "Appointment", context)
    if "id" in resource:
        call = Update("Appointment", resource["id"], resource, Conditions(if_match="*"))
        return update(call, context, transaction)
    return create(Create("Appointment", resource), context, transaction)


def made_of(reference: str, status: str, context: Context, transaction: Transaction) -> Json | None:
    """The appointment that a proposal's id stands for, with that status; None when it is no proposal."""
    found = proposals.proposed(logical_id(reference, context), context, transaction)
    if found is None:
        return None
    known = proposals.schedules(found.slots, context, transaction)
    taking_part = proposals.participants(found.slots, found.patients, status, known, context)
    based_on = proposals.based_on(found.referrals)
    before, after = proposals.around(status, based_on, taking_part)
    text = f'{{"resourceType":"Appointment",{before}{proposals.times(found.slots)}{after}'
    made: Json = parse_stored(text.encode())
    return made


def cancelled(appointment: Json, reason: Json | None, comment: str | None) -> Json:
    """The appointment cancelled; FhirError 422 when it is over."""
    after = appointment | {"status": "cancelled"}
    statuses.check_transition(appointment, after)
    if reason is not None:
        after["cancelationReason"] = reason
    if comment is not None:
        after["comment"] = comment
    return after


def with_slots(
    appointment: Json, slot_ids: list[str], context: Context, transaction: Transaction
) -> Json:
    """The appointment moved to other slots, its times theirs; FhirError 404 for a slot that is not there."""
    found = facts.resources([("Slot", item) for item in slot_ids], context, transaction)
    if len(found) != len(set(slot_ids)):
        raise errors.not_found("There is no such slot; search for free slots again")
    slots = list(found.values())
    first = min(slots, key=lambda slot: facts.moment(slot["start"]))
    last = max(slots, key=lambda slot: facts.moment(slot["end"]))
    moved = {name: value for name, value in appointment.items() if name != "minutesDuration"}
    minutes = (facts.moment(last["end"]) - facts.moment(first["start"])) // 60_000_000
    return moved | {
        "start": first["start"],
        "end": last["end"],
        "minutesDuration": max(1, minutes),
        "slot": [{"reference": f"Slot/{item}"} for item in slot_ids],
    }


def needs_live(appointment: Json) -> None:
    """FhirError 422 for an appointment that is over or was never agreed on."""
    if not statuses.is_live(appointment):
        raise refusals.invalid_state(
            422, f"The appointment is {appointment['status']}; book a new one", "Appointment.status"
        )


def unchanged(item: str, transaction: Transaction) -> Result:
    """200 with the appointment as it is."""
    version = transaction.current("Appointment", item)
    assert version is not None
    return written(version)._replace(status=200)
