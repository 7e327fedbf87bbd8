"""Sending a referral on without an appointment: to the provider, who shall book it, or for triage.

https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts, names, queries
from fhir_server.booking.invariants import serves
from fhir_server.booking.seats import Seats
from fhir_server.interactions.call import Context
from fhir_server.referral import refusals
from fhir_server.referral.case import Case
from fhir_server.referral.definitions import actions, task
from fhir_server.referral.shortlist import check_flow, services_of
from fhir_server.search.expression import And, Query
from fhir_server.spec.dates import DAY
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Transaction

Json = dict[str, Any]
_MOST = 200
_FAR = 3650 * DAY


def check(
    code: str,
    after: Json,
    case: Case,
    current: str | None,
    context: Context,
    transaction: Transaction,
) -> None:
    """Refuse (422) a deferral that the state, the shortlist, the service or a free slot speaks against."""
    if task(code)["action"] not in actions(current):
        raise refusals.invalid_state(
            422,
            f"The referral is {current}; what can be done is: {', '.join(actions(current)) or 'nothing'}",
            "Task.focus",
        )
    service_id = _service(after, case, context)
    service = facts.resource(("HealthcareService", service_id), context, transaction)
    if service is None:
        raise refusals.reference_not_found(
            "There is no such service; name one of the shortlist", "Task.owner"
        )
    if service.get("active") is False:
        raise refusals.service_unavailable("Task.owner")
    if "flow" in task(code):
        check_flow(
            service,
            task(code)["flow"],
            "The service does not triage; book it, or choose another",
            "Task.owner",
        )
    if "reasons" in task(code):
        reason = _reason(code, after)
        if reason == "NO_SLOTS_AT_SERVICE" and _has_slots(
            service_id, case.referral, context, transaction
        ):
            raise refusals.slots_available("Task.reasonCode")
        if reason == "SLOT_NOT_AVAILABLE":
            _check_slot(after, context, transaction)


def _service(after: Json, case: Case, context: Context) -> str:
    owner = after.get("owner")
    if owner is None:
        raise refusals.missing_value("Say which service it is sent to, in owner", "Task.owner")
    found = [item for _, item in facts.targets([owner], context) if item[0] == "HealthcareService"]
    if not found or found[0][1] not in services_of(case.referral, context):
        raise refusals.inappropriate_value(
            "The service is not on the shortlist of the referral; choose one that is", "Task.owner"
        )
    return found[0][1]


def _reason(code: str, after: Json) -> str:
    known: list[str] = task(code)["reasons"]
    for item in after.get("reasonCode", {}).get("coding", ()):
        if item.get("code") in known:
            found: str = item["code"]
            return found
    raise refusals.missing_value(f"Say why, in reasonCode: {', '.join(known)}", "Task.reasonCode")


def _has_slots(service_id: str, referral: Json, context: Context, transaction: Transaction) -> bool:
    """Whether the service has a slot ahead that this referral could book."""
    actor = queries.referring("Schedule", "actor", [f"HealthcareService/{service_id}"])
    schedules = queries.found("Schedule", actor, transaction, _MOST)
    if not schedules:
        return False
    now = context.now()
    where = And(
        (
            queries.referring(
                "Slot", "schedule", [f"Schedule/{item.logical_id}" for item in schedules]
            ),
            queries.coded("Slot", "status", "free"),
            *queries.within("Slot", "start", now, now + _FAR),
        )
    )
    query = Query(("Slot",), where, queries.by_date("Slot", "start"), limit=_MOST)
    for hit in transaction.search(query):
        slot = parse_stored(hit.version.body)
        if serves(referral, slot) and not _reserved(slot, now):
            return True
    return False


def _reserved(slot: Json, now: int) -> bool:
    for item in slot.get("extension", ()):
        until = item.get("valueInstant", item.get("valueDateTime"))
        if item.get("url") == names.RESERVED_UNTIL and until and facts.moment(until) > now:
            return True
    return False


def _check_slot(after: Json, context: Context, transaction: Transaction) -> None:
    found = [item for _, item in facts.targets([after.get("reasonReference", {})], context)]
    if not found or found[0][0] != "Slot":
        raise refusals.missing_value(
            "Say which slot was not available, in reasonReference", "Task.reasonReference"
        )
    slot_id = found[0][1]
    slot = facts.resource(found[0], context, transaction)
    if slot is None or slot["status"] != "free" or facts.moment(slot["start"]) <= context.now():
        return
    if Seats([slot_id], context, transaction).free_seat(slot_id) is not None:
        raise refusals.slot_is_available("Task.reasonReference")
