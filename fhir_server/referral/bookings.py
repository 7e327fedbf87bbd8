"""What an Appointment of a referral brings about: a review, the end of a deferral, another state.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts, statuses
from fhir_server.booking.invariants import follows_up
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write
from fhir_server.referral import reasons, refusals, state
from fhir_server.referral.act import Act, Acts
from fhir_server.referral.case import Case, referrals_of
from fhir_server.referral.definitions import actions, appointment_group, provider_books
from fhir_server.referral.requests import task_for
from fhir_server.referral.shortlist import check_flow
from fhir_server.referral.tasks import appointment_of
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_SERVICE = "HealthcareService"


def apply(write: Write, after: Json | None, acts: Acts) -> None:
    """Check an Appointment that the rules of booking allow, and do what follows for its referrals; FhirError 422."""
    before = write.before
    for act in acts.about(before, after, "Appointment.basedOn"):
        if act.case.kind == "referral":
            follow(act, write.logical_id, before, after, asked=not acts.context.recording)


def follow(
    act: Act, logical_id: str, before: Json | None, after: Json | None, *, asked: bool
) -> None:
    """Bring a case in line with an Appointment that is going to be written; asked: whether it may be refused."""
    case, context = act.case, act.context
    mine = after if case.logical_id in referrals_of(after, context) else None
    was = before if case.logical_id in referrals_of(before, context) else None
    if asked and mine is not None:
        _check(case, was, mine, context, act.transaction)
    case.put("Appointment", logical_id, mine)
    if not context.recording:
        if mine is not None and _is_booked(mine) and not _is_booked(was) and not follows_up(mine):
            _booked(act, logical_id, mine)
        if not _is_booked(mine) and _is_booked(was):
            for task_id, _, task in case.open_tasks("REVIEW"):
                if appointment_of(task, context) == logical_id:
                    act.close(task_id, "cancelled")
    act.settle()


def _is_booked(appointment: Json | None) -> bool:
    return appointment is not None and appointment["status"] in appointment_group("booked")


def _check(
    case: Case, before: Json | None, after: Json, context: Context, transaction: ReadTransaction
) -> None:
    if statuses.is_live(after) and not statuses.is_live(before) and not follows_up(after):
        found = state.derive(case, context, transaction)
        current = found.code if found else case.referral["status"]
        if "book" not in actions(current):
            raise refusals.invalid_state(
                422,
                f"The referral is {current}; what can be done is: {', '.join(actions(current)) or 'nothing'}",
                "Appointment.basedOn",
            )
        if not provider_books(current):
            _check_bookable(after, context, transaction)
    if after["status"] == "cancelled" and (before is None or before["status"] != "cancelled"):
        place = "Appointment.cancelationReason"
        wanted: dict[str, tuple[Any, ...]] = {"usage": ("CANCEL",)}
        reasons.check(
            after.get("cancelationReason"), "appointment-reason", bool(after.get("comment")), context,
            place, "Appointment.comment", wanted,
        )  # fmt: skip


def _check_bookable(after: Json, context: Context, transaction: ReadTransaction) -> None:
    """A referrer or patient books services that can be booked; what others offer is triage, or advice."""
    slots = facts.resources(
        [("Slot", item) for item in facts.slots_of(after, context)], context, transaction
    )
    schedules = facts.resources(
        [
            item
            for slot in slots.values()
            for _, item in facts.targets([slot.get("schedule", {})], context)
        ],
        context,
        transaction,
    )
    actors = [item.get("actor", {}) for item in after.get("participant", ())]
    actors += [item for schedule in schedules.values() for item in schedule.get("actor", ())]
    services = {item for _, item in facts.targets(actors, context) if item[0] == _SERVICE}
    for service in facts.resources(services, context, transaction).values():
        check_flow(
            service, "BOOKABLE", "The service cannot be booked directly; send the referral for triage",
            "Appointment.slot" if slots else "Appointment.participant",
        )  # fmt: skip


def _booked(act: Act, logical_id: str, appointment: Json) -> None:
    """The booking ends what was waiting for it; unless the provider has decided already, it is reviewed."""
    reference = {"reference": f"Appointment/{logical_id}"}
    output = [{"type": {"text": "Appointment"}, "valueReference": reference}]
    decided = False
    for task_id, code, task in list(act.case.coded()):
        if code == "REBOOK_REFER" and task["status"] == "requested":
            act.close(task_id, "completed")
            decided = True
        elif (
            code == "APPOINTMENT_DEFERRAL"
            and task["status"]
            in (
                "requested",
                "accepted",
                "in-progress",
            )
        ) or (code == "TRIAGE_DEFERRAL" and task["status"] in ("accepted", "in-progress")):
            act.close(task_id, "completed", output=[*task.get("output", ()), *output])
    if not decided:
        actors = [item.get("actor", {}) for item in appointment.get("participant", ())]
        services = [
            actors[number]
            for number, item in facts.targets(actors, act.context)
            if item[0] == _SERVICE
        ]
        owner = services[0] if services else _of_slots(appointment, act)
        case = act.case
        act.make(
            task_for(
                "REVIEW",
                case.logical_id,
                case.referral,
                owner,
                act.context,
                reasonReference=reference,
            )
        )


def _of_slots(appointment: Json, act: Act) -> Json | None:
    """The service whose slots were booked; else the only one on the shortlist."""
    context, transaction = act.context, act.transaction
    for slot_id in facts.slots_of(appointment, context):
        slot = facts.resource(("Slot", slot_id), context, transaction)
        for _, identity in facts.targets([(slot or {}).get("schedule", {})], context):
            schedule = facts.resource(identity, context, transaction)
            for _, actor in facts.targets((schedule or {}).get("actor", ()), context):
                if actor[0] == _SERVICE:
                    return {"reference": "/".join(actor)}
    listed = act.case.referral.get("performer", [])
    return listed[0] if len(listed) == 1 else None
