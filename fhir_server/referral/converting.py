"""ServiceRequest/[id]/$convert-advice: a request for advice becomes a referral, under the same UBRN.

https://hl7.org/fhir/R4/servicerequest-definitions.html#ServiceRequest.basedOn
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking.inputs import read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.rules import Rules
from fhir_server.referral.case import Case
from fhir_server.referral.definitions import system, table
from fhir_server.referral.doing import Doing
from fhir_server.referral.kinds import ubrn_of
from fhir_server.referral.outcome import read_priority
from fhir_server.spec.instants import write_instant
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_TAKEN_OVER = (
    "subject", "requester", "performerType", "reasonCode", "reasonReference", "supportingInfo",
    "requisition", "priority",
)  # fmt: skip


@dataclass(frozen=True)
class ConvertAdvice:
    """$convert-advice at the instance level."""

    booking: Rules
    code: str = "convert-advice"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-convert-advice"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """201 with the referral, which the provider has to book or refer on."""
        inputs = read_inputs(call, frozenset({"service", "guidance", "priority"}))
        services = [
            text if "/" in text else f"HealthcareService/{text}" for text in inputs.texts("service")
        ]
        priority = inputs.text("priority")
        doing = Doing(self.booking, context, writable(transaction))
        case = doing.case(call.logical_id, "advice")
        referral = _referral(case, services, doing)
        if priority is not None:
            referral["priority"] = read_priority(priority)
        guidance = inputs.text("guidance")
        if guidance is not None:
            doing.create(_message(case, guidance, doing))
        stored = doing.create(referral)
        return doing.answer("ServiceRequest", stored["id"], 201)


def _referral(case: Case, services: list[str], doing: Doing) -> Json:
    kept = {name: case.referral[name] for name in _TAKEN_OVER if name in case.referral}
    performer = [{"reference": text} for text in services] or case.referral["performer"]
    return kept | {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "identifier": [
            {"use": "official", "system": system("ubrn"), "value": ubrn_of(case.referral)}
        ],
        "category": [{"coding": [item]} for item in table()["kinds"]["categories"]],
        "authoredOn": write_instant(doing.context.now()),
        "basedOn": [{"reference": f"ServiceRequest/{case.logical_id}"}],
        "performer": performer,
    }


def _message(case: Case, text: str, doing: Doing) -> Json:
    """The last words of the service in the conversation."""
    made: Json = {
        "resourceType": "Communication",
        "status": "completed",
        "basedOn": [{"reference": f"ServiceRequest/{case.logical_id}"}],
        "subject": case.referral["subject"],
        "sender": case.referral["performer"][0],
        "sent": write_instant(doing.context.now()),
        "payload": [{"contentString": text}],
    }
    requester = case.referral.get("requester")
    return made | {"recipient": [requester]} if requester else made
