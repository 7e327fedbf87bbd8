"""ServiceRequest/[id]/$defer and $send-for-triage: what the creation of a Task does too (Task.code).

https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.rules import Rules
from fhir_server.referral.definitions import system
from fhir_server.referral.doing import Doing, noted
from fhir_server.referral.requests import task_for
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]


@dataclass(frozen=True)
class Defer:
    """$defer at the instance level: the provider shall find a time."""

    booking: Rules
    code: str = "defer"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-defer"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """201 with the Task APPOINTMENT_DEFERRAL."""
        inputs = read_inputs(call, frozenset({"service", "reason", "slot", "comment"}))
        elements: Json = {}
        reason = inputs.concept("reason", system("workflow"))
        if reason is not None:
            elements["reasonCode"] = reason
        slot = inputs.text("slot")
        if slot is not None:
            elements["reasonReference"] = {"reference": slot if "/" in slot else f"Slot/{slot}"}
        doing = Doing(self.booking, context, writable(transaction))
        return _sent("APPOINTMENT_DEFERRAL", call, inputs, elements, doing)


@dataclass(frozen=True)
class SendForTriage:
    """$send-for-triage at the instance level: a service of the shortlist shall look at the referral."""

    booking: Rules
    code: str = "send-for-triage"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-send-for-triage"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """201 with the Task TRIAGE_DEFERRAL."""
        inputs = read_inputs(call, frozenset({"service", "comment"}))
        doing = Doing(self.booking, context, writable(transaction))
        return _sent("TRIAGE_DEFERRAL", call, inputs, {}, doing)


def _sent(code: str, call: Operation, inputs: Inputs, elements: Json, doing: Doing) -> Result:
    """The service is named, or the only one on the shortlist."""
    case = doing.case(call.logical_id, "referral")
    service = inputs.text("service")
    listed = case.referral.get("performer", [])
    owner = listed[0] if len(listed) == 1 else None
    if service is not None:
        owner = {"reference": service if "/" in service else f"HealthcareService/{service}"}
    made = task_for(code, case.logical_id, case.referral, owner, doing.context, **elements)
    stored = doing.create(noted(made, inputs.text("comment")))
    return doing.answer("Task", stored["id"], 201)
