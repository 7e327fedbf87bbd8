"""What is done about one referral, act by act; each act is one request that can be sent again under its key.

https://hl7.org/fhir/R4/servicerequest.html
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

Json = dict[str, Any]

_OURS = "https://fhir-server.example.org"
_NHS = "https://fhir.nhs.uk/CodeSystem"
_STARTS = datetime(2030, 1, 7, 9, tzinfo=UTC)
_CATEGORIES = (
    ("http://snomed.info/sct", "3457005"),
    (f"{_NHS}/message-category-servicerequest", "referral"),
)
_STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
_CONVERSION = f"{_OURS}/StructureDefinition/provider-conversion-authorisation"


class Request(NamedTuple):
    """method and path below the base; body: JSON."""

    method: str
    path: str
    body: Json


def concept(system: str, code: str) -> Json:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code}]}


def reference(target: str) -> Json:
    """A Reference."""
    return {"reference": target}


def put(resource: Json) -> Request:
    """The update or the creation of a resource by its id."""
    return Request("PUT", f"{resource['resourceType']}/{resource['id']}", resource)


def transaction(*requests: Request) -> Request:
    """Several writes as one."""
    entries = [
        {"resource": item.body, "request": {"method": item.method, "url": item.path}}
        for item in requests
    ]
    return Request("POST", "", {"resourceType": "Bundle", "type": "transaction", "entry": entries})


def background() -> Request:
    """Who refers, who is referred, and two services of one provider."""
    services = [
        {"resourceType": "HealthcareService", "id": item, "active": True,
         "providedBy": reference("Organization/trust")}
        for item in ("eyes", "ears")
    ]  # fmt: skip
    clinic = {"resourceType": "Schedule", "id": "eyes",
              "actor": [reference("HealthcareService/eyes")]}  # fmt: skip
    people: list[Json] = [
        {"resourceType": "Patient", "id": "patient"},
        {"resourceType": "PractitionerRole", "id": "referrer"},
        {"resourceType": "Organization", "id": "trust", "name": "Trust"},
    ]
    return transaction(*map(put, [*people, *services, clinic]))


class Referral:
    """A referral with a slot of its own; number: no other has it."""

    def __init__(self, logical_id: str, number: int) -> None:
        self.logical_id = logical_id
        start = _STARTS + timedelta(minutes=20 * number)
        self.start, self.end = start.isoformat(), (start + timedelta(minutes=20)).isoformat()

    def resource(self, *services: str, **elements: Any) -> Json:
        """The referral to those services, or to the eyes."""
        return {
            "resourceType": "ServiceRequest",
            "id": self.logical_id,
            "status": "active",
            "intent": "order",
            "priority": "routine",
            "category": [concept(*item) for item in _CATEGORIES],
            "subject": reference("Patient/patient"),
            "requester": reference("PractitionerRole/referrer"),
            "performer": [reference(f"HealthcareService/{item}") for item in services or ["eyes"]],
        } | elements

    def made(self) -> Request:
        """The referral comes with its slot."""
        return transaction(self._slot(), put(self.resource()))

    def asked(self) -> Request:
        """A request for advice comes with the slot."""
        told = [{"url": _CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
        request = self.resource(
            category=[concept(f"{_NHS}/message-category-servicerequest", "request")],
            code=concept(f"{_NHS}/servicerequest-code", "advice-and-guidance"),
            extension=told,
        )
        return transaction(self._slot(), put(request))

    def _slot(self) -> Request:
        return put({"resourceType": "Slot", "id": self.logical_id, "status": "free",
                    "schedule": reference("Schedule/eyes"), "start": self.start, "end": self.end})  # fmt: skip

    def operation(self, code: str, **values: str) -> Request:
        """An operation about the referral."""
        listed = [{"name": name, "valueString": value} for name, value in values.items()]
        body: Json = {"resourceType": "Parameters"} | ({"parameter": listed} if listed else {})
        return Request("POST", f"ServiceRequest/{self.logical_id}/${code}", body)

    def outcome(self, outcome: str, **values: str) -> Request:
        """What the provider decides."""
        return self.operation("record-outcome", outcome=outcome, **values)

    def appointment(self, **elements: Any) -> Request:
        """A booked appointment in the slot."""
        return put({
            "resourceType": "Appointment", "id": self.logical_id, "status": "booked",
            "basedOn": [reference(f"ServiceRequest/{self.logical_id}")],
            "slot": [reference(f"Slot/{self.logical_id}")], "start": self.start, "end": self.end,
            "participant": [{"actor": reference("Patient/patient"), "status": "accepted"}],
        } | elements)  # fmt: skip

    def task(self, code: str, **elements: Any) -> Request:
        """A Task for the eyes."""
        return put({
            "resourceType": "Task", "id": self.logical_id, "status": "requested", "intent": "order",
            "code": concept(f"{_NHS}/Workflow-Code", code),
            "focus": reference(f"ServiceRequest/{self.logical_id}"),
            "owner": reference("HealthcareService/eyes"),
        } | elements)  # fmt: skip

    def message(self) -> Request:
        """The service answers."""
        return put({
            "resourceType": "Communication", "id": self.logical_id, "status": "completed",
            "basedOn": [reference(f"ServiceRequest/{self.logical_id}")],
            "sender": reference("HealthcareService/eyes"), "payload": [{"contentString": "Wait"}],
        })  # fmt: skip

    def shortlist(self) -> Request:
        """Another shortlist."""
        return put(self.resource("eyes", "ears"))

    def revoked(self) -> Request:
        """The referral ends."""
        reason = concept(f"{_OURS}/CodeSystem/referral-cancellation-reason", "PATIENT_DIED")
        told = [{"url": _STATUS_REASON, "valueCodeableConcept": reason}]
        return put(self.resource("eyes", "ears", status="revoked", extension=told))


_PROBLEM = {"reasonCode": concept(f"{_NHS}/Workflow-Code", "BOOKING_ATTEMPT_PROBLEM")}
Act = Callable[[Referral], Request]

JOURNEYS: dict[str, tuple[Act, ...]] = {
    "triage": (
        Referral.made,
        lambda it: it.operation("send-for-triage"),
        lambda it: it.outcome("ACCEPT", comment="Yes", priority="urgent"),
        Referral.appointment,
        lambda it: it.operation("cancel", reason="PATIENT_DIED"),
    ),
    "deferral": (
        Referral.made,
        lambda it: it.operation("defer", reason="BOOKING_ATTEMPT_PROBLEM"),
        Referral.appointment,
        lambda it: it.outcome("REJECT", reason="SERVICE_INAPPROPRIATE"),
        Referral.shortlist,
    ),
    "return": (
        Referral.made,
        lambda it: it.task("TRIAGE_DEFERRAL"),
        lambda it: it.outcome("RETURN_WITH_ADVICE", comment="Diet first"),
        Referral.shortlist,
        Referral.revoked,
    ),
    "advice": (
        Referral.asked,
        Referral.message,
        lambda it: it.operation("convert-advice", guidance="We shall see them"),
    ),
    "booking now": (
        Referral.made,
        lambda it: it.operation("send-for-triage"),
        lambda it: it.outcome("REFER_OR_BOOK_NOW", comment="Now", slot=it.logical_id),
        lambda it: it.operation("cancel", reason="PATIENT_DIED"),
    ),
    "referring on": (
        Referral.made,
        lambda it: it.operation("send-for-triage"),
        lambda it: it.outcome("REFER_OR_BOOK_NOW", comment="Theirs", service="ears"),
    ),
    "plain": (
        Referral.made,
        Referral.appointment,
        lambda it: it.appointment(status="cancelled"),
        lambda it: transaction(it.shortlist(), it.task("APPOINTMENT_DEFERRAL", **_PROBLEM)),
        lambda it: it.task("APPOINTMENT_DEFERRAL", status="accepted", **_PROBLEM),
        Referral.revoked,
    ),
}
