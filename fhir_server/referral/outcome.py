"""ServiceRequest/[id]/$record-outcome: what a provider decides about a referral that it was sent.

https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts
from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.rules import Rules
from fhir_server.referral import clock, extensions, refusals
from fhir_server.referral.case import Case
from fhir_server.referral.definitions import extension, system, table
from fhir_server.referral.doing import Doing, noted
from fhir_server.spec import errors
from fhir_server.spec.instants import write_instant
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_OUTCOMES = ("ACCEPT", "RETURN_WITH_ADVICE", "REJECT", "REFER_OR_BOOK_NOW")
_REVIEWED = ("TRIAGE_DEFERRAL", "APPOINTMENT_DEFERRAL")
_KNOWN = frozenset({"outcome", "comment", "priority", "reason", "document", "slot", "service"})
# What a referral that is made of another one takes over.
_TAKEN_OVER = (
    "category", "code", "orderDetail", "priority", "subject", "requester", "performerType",
    "reasonCode", "reasonReference", "supportingInfo", "requisition",
)  # fmt: skip


@dataclass(frozen=True)
class RecordOutcome:
    """$record-outcome at the instance level."""

    booking: Rules
    code: str = "record-outcome"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-record-outcome"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with the referral in its new state."""
        inputs = read_inputs(call, _KNOWN)
        outcome = inputs.text("outcome")
        if outcome not in _OUTCOMES:
            raise errors.invalid(
                f"outcome is one of {', '.join(_OUTCOMES)}", "Parameters.parameter"
            )
        doing = Doing(self.booking, context, writable(transaction))
        case = doing.case(call.logical_id, "referral")
        task = _task(case, ("REVIEW",) if outcome == "REJECT" else (*_REVIEWED, "REVIEW"), outcome)
        comment = inputs.text("comment")
        if comment is None and task[1] in _REVIEWED:
            raise refusals.missing_value("Say why, in comment", "Parameters.parameter")
        _check_priority(outcome, inputs, case)
        _attach(inputs, case, doing)
        match outcome:
            case "REJECT":
                reason = inputs.concept("reason", system("appointment-reason"))
                given = {"statusReason": reason} if reason else {}
                doing.update(noted(task[2], comment) | {"status": "rejected"} | given)
            case "RETURN_WITH_ADVICE":
                reason = inputs.concept("reason", system("appointment-reason"))
                given = {"statusReason": reason or {"text": "Returned with advice"}}
                doing.update(noted(task[2], comment) | {"status": "rejected"} | given)
            case _:
                doing.update(noted(task[2], comment) | {"status": "accepted"})
                if outcome == "REFER_OR_BOOK_NOW":
                    _go_on(inputs, case, doing)
        return doing.answer("ServiceRequest", case.logical_id)


def _task(case: Case, codes: tuple[str, ...], outcome: str) -> tuple[str, str, Json]:
    """The Task that waits for an outcome."""
    waiting = [item for item in case.open_tasks(*codes) if item[2]["status"] == "requested"]
    if outcome in ("RETURN_WITH_ADVICE", "REFER_OR_BOOK_NOW"):
        waiting = [item for item in waiting if item[1] in _REVIEWED]
    if not waiting:
        raise refusals.invalid_state(
            422, f"Nothing about the referral waits for the outcome {outcome}", "ServiceRequest"
        )
    return waiting[0]


def _check_priority(outcome: str, inputs: Inputs, case: Case) -> None:
    priority = inputs.text("priority")
    if priority is None:
        return
    named = read_priority(priority)
    if outcome in ("RETURN_WITH_ADVICE", "REJECT") and named != case.referral.get("priority"):
        raise refusals.priority_not_current("Parameters.parameter")


def read_priority(text: str) -> str:
    """R4's priority, for its own code or that of the extension."""
    known: dict[str, str] = table()["priorities"]
    for name, code in known.items():
        if text in (name, code):
            return name
    raise errors.invalid(f"priority is one of {', '.join(known)}", "Parameters.parameter")


def _attach(inputs: Inputs, case: Case, doing: Doing) -> None:
    """Write what changes in the referral itself: its priority, and documents that belong to it now."""
    referral = case.referral
    documents = [{"reference": text} for text in inputs.texts("document")]
    if documents:
        referral = referral | {"supportingInfo": [*referral.get("supportingInfo", ()), *documents]}
    priority = inputs.text("priority")
    if priority is not None:
        named = read_priority(priority)
        referral = referral | {"priority": named}
        if extensions.one(referral, extension("priority")):
            coding = {"system": system("priority"), "code": table()["priorities"][named]}
            wanted = [{"url": extension("priority"), "valueCoding": coding}]
            referral = extensions.with_only(referral, extension("priority"), wanted)
    if referral != case.referral:
        case.referral = doing.update(referral)


def _go_on(inputs: Inputs, case: Case, doing: Doing) -> None:
    """Book a slot at once, or refer on to another service."""
    slots, service = inputs.texts("slot"), inputs.text("service")
    if bool(slots) == (service is not None):
        raise errors.required("Send slot to book, or service to refer to", "Parameters.parameter")
    if service is None:
        doing.create(_appointment(slots, case, doing))
        return
    named = {"reference": service if "/" in service else f"HealthcareService/{service}"}
    kept = {name: case.referral[name] for name in _TAKEN_OVER if name in case.referral}
    start = clock.start_of(case.referral)
    if start is not None:
        kept["extension"] = [{"url": extension("pathway-start"), "valueInstant": start}]
    onward = kept | {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": case.referral["intent"],
        "authoredOn": write_instant(doing.context.now()),
        "basedOn": [{"reference": f"ServiceRequest/{case.logical_id}"}],
        "performer": [named],
    }
    doing.create(onward)
    doing.update(doing.stored("ServiceRequest", case.logical_id) | {"status": "completed"})


def _appointment(slots: list[str], case: Case, doing: Doing) -> Json:
    """A booked appointment in those slots."""
    ids = [text.removeprefix("Slot/") for text in slots]
    found = facts.resources([("Slot", item) for item in ids], doing.context, doing.transaction)
    if len(found) != len(ids):
        raise refusals.reference_not_found(
            "There is no such slot; search again", "Parameters.parameter"
        )
    times = sorted(found.values(), key=lambda slot: facts.moment(slot["start"]))
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "basedOn": [{"reference": f"ServiceRequest/{case.logical_id}"}],
        "slot": [{"reference": f"Slot/{item}"} for item in ids],
        "start": times[0]["start"],
        "end": times[-1]["end"],
        "participant": [{"actor": case.referral["subject"], "status": "accepted"}],
    }
