"""The state of a referral, worked out from its status, Appointments and Tasks; never taken from a client.

In order: its own status; a booked Appointment; an open deferral, triage or rebooking; else whatever came to an end
last, unless the shortlist was changed since. https://hl7.org/fhir/R4/servicerequest-definitions.html#ServiceRequest.status
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts
from fhir_server.booking.appointments import never_was
from fhir_server.interactions.call import Context
from fhir_server.referral import extensions, reasons, refusals
from fhir_server.referral.case import Case, Identity, began, shortlisted
from fhir_server.referral.definitions import extension, system, task
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_OWN = {"revoked": "CANCELLED_REFERRAL", "completed": "COMPLETED", "draft": "DRAFT"}
_PLACE = "ServiceRequest.extension"


@dataclass(frozen=True, slots=True)
class State:
    """reason: a CodeableConcept; comments: free text."""

    code: str
    reason: Json | None = None
    comments: str | None = None

    def extension(self) -> Json:
        """As the referral carries it."""
        parts: list[Json] = [
            {"url": "state", "valueCoding": {"system": system("state"), "code": self.code}}
        ]
        if self.reason is not None:
            parts.append({"url": "reason", "valueCodeableConcept": self.reason})
        if self.comments is not None:
            parts.append({"url": "comments", "valueString": self.comments})
        return {"url": extension("state"), "extension": parts}


def derive(case: Case, context: Context, transaction: ReadTransaction) -> State | None:
    """The state; None for a request for advice and for what was entered in error."""
    status = case.referral["status"]
    if case.kind == "advice" or status == "entered-in-error":
        return None
    if status in _OWN:
        reason = extensions.value(extensions.one(case.referral, extension("status-reason")))
        told = _last_note(case.referral) if status == "revoked" else None
        return State(_OWN[status], reason if status == "revoked" else None, told)
    if case.appointments_in("booked"):
        return State("BOOKED")
    waiting = {code: item for _, code, item in case.open_tasks() if "state" in task(code)}
    for code in _WAITING:
        if code in waiting:
            return State(task(code)["state"], waiting[code].get("reasonCode"))
    ended = list(_ended(case, context))
    if not ended:
        return State("NOT_BOOKED")
    moments = [
        (began(identity, context, case, transaction), identity, state) for identity, state in ended
    ]
    moment, _, state = max(moments, key=lambda item: item[:2])
    if shortlisted(case, context, transaction) > moment:
        return State("NOT_BOOKED")
    return state


_WAITING = ("APPOINTMENT_DEFERRAL", "TRIAGE_DEFERRAL", "REBOOK_REFER")


def _ended(case: Case, context: Context) -> Iterator[tuple[Identity, State]]:
    """What came to an end, and the state that it would leave the referral in."""
    rejected: set[str] = set()
    for logical_id, code, item in case.coded():
        name = f"{item['status']}State"
        if name not in task(code):
            continue
        if code == "REVIEW":
            rejected |= {
                found for _, (_, found) in facts.targets([item.get("reasonReference", {})], context)
            }
        yield (
            ("Task", logical_id),
            State(task(code)[name], item.get("statusReason"), _last_note(item)),
        )
    for logical_id, appointment in case.appointments.items():
        identity = ("Appointment", logical_id)
        if appointment["status"] == "noshow":
            yield identity, State("DID_NOT_ATTEND")
        elif appointment["status"] == "cancelled" and logical_id not in rejected:
            reason = appointment.get("cancelationReason")
            if not never_was(appointment):
                who = "PATIENT" if reasons.by_patient(reason) else "PROVIDER"
                yield (
                    identity,
                    State(f"APPT_CANCELLED_BY_{who}", reason, appointment.get("comment")),
                )


def _last_note(resource: Json) -> str | None:
    notes = resource.get("note", ())
    return notes[-1].get("text") if notes else None


def code_of(referral: Json) -> str | None:
    """The code of the state that a referral carries."""
    found = extensions.part(extensions.one(referral, extension("state")), "state")
    return found.get("code") if isinstance(found, dict) else None


def check_sent(sent: Json, before: Json | None, derived: State | None, context: Context) -> None:
    """Refuse (422) a state that is neither the one before nor the one that follows from the facts.

    With Prefer: handling=lenient, and when history is loaded, it is replaced instead.
    """
    code = code_of(sent)
    if code is None or context.lenient or context.recording:
        return
    if before is not None and code == code_of(before):
        return
    if derived is None or code != derived.code:
        follows = f"it is {derived.code}" if derived else "there is none"
        raise refusals.state_is_derived(
            f"The state follows from the Tasks and Appointments: {follows}; leave it out, or read it again",
            _PLACE,
        )


def with_state(referral: Json, derived: State | None) -> Json:
    """The referral as it carries that state."""
    wanted = [derived.extension()] if derived else []
    return extensions.with_only(referral, extension("state"), wanted)
