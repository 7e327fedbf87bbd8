"""A referral as R4 tells it: ServiceRequest, DocumentReference, Appointment and Task.

https://hl7.org/fhir/R4/servicerequest.html, https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

from region_elements import (
    NHS_NUMBER,
    PRIORITY,
    SNOMED,
    UBRN,
    WORKFLOW,
    Json,
    coded,
    instant,
    narrative,
    ref,
)
from region_names import PRIORITIES, SPECIALTIES

SLOT_MINUTES = 20
REASONS = {slug: reason for slug, _, _, reason in SPECIALTIES}


@dataclass(frozen=True, slots=True)
class Booking:
    """A busy slot, waiting for its referral and its appointment."""

    slot: str
    service: Json
    clinician: str
    day: date
    start: str
    end: str


@dataclass(frozen=True, slots=True)
class Person:
    """A patient as those who refer see one."""

    reference: Json
    nhs_number: str
    practice: str
    general_practitioner: str


class Referral:
    """One referral with its task, its letter and its appointment; without a booking it still waits for one."""

    def __init__(
        self,
        trust: int,
        count: int,
        today: date,
        person: Person,
        service: Json,
        booking: Booking | None,
        chance: random.Random,
    ) -> None:
        self.logical_id = f"referral-{trust}-{count}"
        self.ubrn = f"{trust:04}{count:08}"
        self.person = person
        self.service = service
        self.booking = booking
        self.priority = chance.choices(PRIORITIES, (7, 2, 1))[0]
        self.sent = min(today, booking.day if booking else today) - timedelta(
            days=chance.randrange(7, 75)
        )
        self.minutes = chance.randrange(9 * 60, 18 * 60)
        self.past = booking is not None and booking.day < today
        self.missed = chance.random() < 0.1
        self.waits_for = chance.choice(
            ("TRIAGE_DEFERRAL", "APPOINTMENT_DEFERRAL", "LETTER_OUTSTANDING", "withdrawn")
        )

    @property
    def waits_for_triage(self) -> bool:
        """Whether a service is to assess it before anybody can book."""
        return self.booking is None and self.waits_for in ("TRIAGE_DEFERRAL", "withdrawn")

    @property
    def status(self) -> str:
        if self.booking is None:
            return "revoked" if self.waits_for == "withdrawn" else "active"
        return "completed" if self.past and not self.missed else "active"

    @property
    def reason(self) -> str:
        return REASONS[self.service["id"].partition("-")[0]]

    @property
    def written(self) -> str:
        return instant(self.sent, self.minutes)

    def resources(self) -> Iterator[Json]:
        """In an order in which what is referred to comes first."""
        yield self.service_request()
        if self.waits_for != "LETTER_OUTSTANDING" or self.booking:
            yield self.letter()
        if self.booking:
            yield self.appointment(self.booking)
        yield self.task()

    def service_request(self) -> Json:
        name = self.person.reference["display"]
        priority, _, display = self.priority
        return {
            "resourceType": "ServiceRequest",
            "id": self.logical_id,
            "text": narrative(f"Referral of {name} to {self.service['name']}: {self.reason}"),
            "identifier": [{"system": UBRN, "value": self.ubrn}],
            "status": self.status,
            "intent": "order",
            "category": [coded(SNOMED, "3457005", "Patient referral")],
            "priority": priority,
            "code": {"text": f"{self.service['name']}: first appointment ({display})"},
            "subject": self.person.reference
            | {"identifier": {"system": NHS_NUMBER, "value": self.person.nhs_number}},
            "authoredOn": self.written,
            "requester": ref("PractitionerRole", self.person.general_practitioner),
            "performerType": self.service["specialty"][0],
            "performer": [ref("HealthcareService", self.service["id"], self.service["name"])],
            "reasonCode": [{"text": self.reason}],
            "note": [{"time": self.written, "text": f"{self.reason}. {display}; please advise."}],
        }

    def letter(self) -> Json:
        text = f"Dear colleague,\n\n{self.reason}. Thank you for seeing this patient.\n"
        content = base64.b64encode(text.encode()).decode()
        attachment = {
            "contentType": "text/plain",
            "language": "en-GB",
            "data": content,
            "size": len(text),
            "title": "Referral letter",
            "creation": self.written,
        }
        return {
            "resourceType": "DocumentReference",
            "id": self.logical_id,
            "status": "current",
            "docStatus": "final",
            "type": coded("http://loinc.org", "57133-1", "Referral note"),
            "subject": self.person.reference,
            "date": self.written,
            "author": [ref("PractitionerRole", self.person.general_practitioner)],
            "custodian": {"reference": self.person.practice},
            "content": [{"attachment": attachment}],
            "context": {"related": [ref("ServiceRequest", self.logical_id)]},
        }

    def appointment(self, booking: Booking) -> Json:
        attended = "noshow" if self.missed else "fulfilled"
        actors = (
            self.person.reference,
            ref("HealthcareService", self.service["id"], self.service["name"]),
            ref("PractitionerRole", booking.clinician),
            self.service["location"][0],
        )
        _, code, display = self.priority
        return {
            "resourceType": "Appointment",
            "id": self.logical_id,
            "status": attended if self.past else "booked",
            "specialty": self.service["specialty"],
            "appointmentType": coded(PRIORITY, code, display),
            "reasonCode": [{"text": self.reason}],
            "start": booking.start,
            "end": booking.end,
            "minutesDuration": SLOT_MINUTES,
            "slot": [ref("Slot", booking.slot)],
            "created": self.written,
            "basedOn": [ref("ServiceRequest", self.logical_id)],
            "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
        }

    def task(self) -> Json:
        code = "REVIEW" if self.booking else self.waits_for
        status = "completed" if self.past else "requested"
        if code == "withdrawn":
            code, status = "TRIAGE_DEFERRAL", "cancelled"
        days = {"routine": 40, "urgent": 10, "asap": 5}[self.priority[0]]
        task: Json = {
            "resourceType": "Task",
            "id": self.logical_id,
            "status": status,
            "intent": "order",
            "priority": self.priority[0],
            "code": coded(WORKFLOW, code, code.replace("_", " ").capitalize()),
            "focus": ref("ServiceRequest", self.logical_id),
            "for": self.person.reference,
            "authoredOn": self.written,
            "lastModified": instant(self.sent, self.minutes + 5),
            "requester": ref("PractitionerRole", self.person.general_practitioner),
            "owner": ref("HealthcareService", self.service["id"], self.service["name"]),
        }
        if self.booking:
            task["reasonReference"] = ref("Appointment", self.logical_id)
        due = self.sent + timedelta(days=days)
        task["restriction"] = {"period": {"end": instant(due, 17 * 60)}}
        return task
