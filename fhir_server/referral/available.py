"""ServiceRequest/[id]/$available-actions: what can be done about a referral now, as Tasks that propose it.

https://hl7.org/fhir/R4/task-definitions.html#Task.intent
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.booking.inputs import read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.interactions.sight import access
from fhir_server.referral import advice, extensions
from fhir_server.referral.case import Case
from fhir_server.referral.definitions import actions, extension, system, terminal
from fhir_server.referral.doing import found
from fhir_server.referral.kinds import kind_of, stored_referral
from fhir_server.referral.permissions import may
from fhir_server.referral.state import derive
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]


@dataclass(frozen=True)
class AvailableActions:
    """$available-actions at the instance level."""

    code: str = "available-actions"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-available-actions"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = False
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a searchset of Tasks, which are not stored."""
        read_inputs(call, frozenset())
        stored = stored_referral(transaction.current("ServiceRequest", call.logical_id or ""))
        case = found(call.logical_id, kind_of(stored) or "referral", context, transaction)
        entries = [
            {"resource": _proposal(action, case), "search": {"mode": "match"}}
            for action in offered(case, context, transaction)
            if may(context.caller, access()["actions"][action])
        ]
        bundle: Json = {
            "resourceType": "Bundle",
            "id": context.new_id(),
            "type": "searchset",
            "total": len(entries),
        }
        return Result(200, serialise(bundle | {"entry": entries} if entries else bundle))


def offered(case: Case, context: Context, transaction: ReadTransaction) -> Iterator[str]:
    """The actions, by name."""
    if case.kind == "advice":
        if case.referral["status"] in terminal():
            return
        yield "reply"
        if (
            extensions.value(extensions.one(case.referral, extension("conversion")))
            == advice.AUTHORISED
        ):
            yield "convert"
        yield "cancel"
        return
    state = derive(case, context, transaction)
    ahead = bool(case.appointments_in("ahead"))
    waiting = any(task["status"] == "requested" for _, _, task in case.open_tasks(*_REVIEWED))
    for action in actions(state.code if state else None):
        if action == "book" and ahead:
            continue
        if action == "cancel-appointment" and not ahead:
            continue
        if action == "record-outcome" and not waiting:
            continue
        yield action


_REVIEWED = ("TRIAGE_DEFERRAL", "APPOINTMENT_DEFERRAL", "REVIEW")


def _proposal(action: str, case: Case) -> Json:
    assert case.version is not None
    reference = f"ServiceRequest/{case.logical_id}/_history/{case.version.version_id}"
    return {
        "resourceType": "Task",
        "id": action,
        "status": "ready",
        "intent": "proposal",
        "code": {"coding": [{"system": system("action"), "code": action}]},
        "focus": {"reference": reference},
        "for": case.referral["subject"],
    }
