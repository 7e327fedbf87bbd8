"""Appointments that the system a clinic is run with (its PAS) has to confirm, where a deployment has one.

Such an appointment is pending, with a tag, and keeps its seats until the PAS has answered; what ends it is tagged until
the PAS has been told. docs/pas.md, https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts, names, refusals, statuses
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_TAG = {"system": names.CONFIRMATION, "code": names.AWAITING}
_AGREED_ON = ("slot", "start", "end")


def asked(
    write: Write, after: Json | None, system: str, context: Context, transaction: ReadTransaction
) -> Json | None:
    """The appointment as it is stored until the PAS has answered; one that is none of the PAS's as it is.

    system: that of the identifiers by which the PAS's Schedules are known, "" where all are its. What has to be asked
    about is noted for whoever waits for the answer. FhirError 409 or 422 for what the PAS cannot be asked about.
    """
    if context.recording:
        return after
    before = write.before
    told = awaits(before) or _agreed(before)
    if not (told or _agreed(after)) or not _theirs(before, after, system, context, transaction):
        return _untold(after)
    if after is None:
        raise refusals.invalid_state(
            409,
            "The PAS has to hear of it: cancel the appointment, and delete it later",
            "Appointment.status",
        )
    if not statuses.is_live(after):
        return tagged(after)
    if _agreed(before) and statuses.is_tentative(after):
        raise refusals.invalid_state(
            422, "The PAS has confirmed the appointment; move or cancel it", "Appointment.status"
        )
    if before is not None and _agreed(before) and _same(before, after):
        return _untold(after)
    if after["status"] not in ("booked", "pending"):
        raise refusals.invalid_state(
            422,
            "The PAS has not confirmed the appointment; send it as booked first",
            "Appointment.status",
        )
    if context.afterwards is not None:
        context.afterwards.add((write.resource_type, write.logical_id))
    return tagged(after | {"status": "pending"})


def awaits(appointment: Json | None) -> bool:
    """Whether the PAS has not answered yet about the appointment as it is."""
    if appointment is None:
        return False
    tags = appointment.get("meta", {}).get("tag", ())
    return any(_is_ours(item) for item in tags)


def tagged(appointment: Json) -> Json:
    """The appointment, waiting for the PAS."""
    meta = appointment.get("meta", {})
    tags = [item for item in meta.get("tag", ()) if not _is_ours(item)]
    return appointment | {"meta": meta | {"tag": [*tags, _TAG]}}


def untagged(appointment: Json) -> Json:
    """The appointment, not waiting for the PAS."""
    meta = dict(appointment.get("meta", {}))
    tags = [item for item in meta.pop("tag", ()) if not _is_ours(item)]
    if tags:
        meta["tag"] = tags
    rest = {name: value for name, value in appointment.items() if name != "meta"}
    return rest | {"meta": meta} if meta else rest


def refused(appointment: Json) -> Json:
    """The appointment as it is once the PAS has refused it."""
    coding = {"system": names.REASONS, "code": names.NOT_CONFIRMED}
    reason = {"coding": [coding], "text": "The provider's system has not confirmed it"}
    return untagged(appointment) | {"status": "cancelled", "cancelationReason": reason}


def _is_ours(tag: Json) -> bool:
    return tag.get("system") == names.CONFIRMATION and tag.get("code") == names.AWAITING


def _untold(after: Json | None) -> Json | None:
    return untagged(after) if awaits(after) and after is not None else after


def _agreed(appointment: Json | None) -> bool:
    """Whether everybody has agreed on it, the PAS too if it had to."""
    return (
        appointment is not None
        and statuses.is_live(appointment)
        and not statuses.is_tentative(appointment)
    )


def _same(before: Json, after: Json) -> bool:
    return all(before.get(name) == after.get(name) for name in _AGREED_ON)


def _theirs(
    before: Json | None,
    after: Json | None,
    system: str,
    context: Context,
    transaction: ReadTransaction,
) -> bool:
    """Whether a slot that the appointment has, or had, is one of the PAS's."""
    slot_ids = facts.slots_of(before, context).keys() | facts.slots_of(after, context).keys()
    if not slot_ids or not system:
        return bool(slot_ids)
    slots = facts.resources([("Slot", item) for item in sorted(slot_ids)], context, transaction)
    named = [slot.get("schedule", {}) for slot in slots.values()]
    schedules = [target for _, target in facts.targets(named, context)]
    return any(
        item.get("system") == system
        for schedule in facts.resources(schedules, context, transaction).values()
        for item in schedule.get("identifier", ())
    )
