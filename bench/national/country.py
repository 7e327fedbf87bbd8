"""A country to refer in: trusts, sites with postcodes, services with slots, surgeries, patients, and who waits."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]

SERVICES_OF_A_TRUST = 200
SERVICES_AT_A_SITE = 20
PATIENTS_OF_A_SURGERY = 10
SPECIALTIES = 40
SLOT_MINUTES = 20
SLOTS_A_DAY = 4
FLOW = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
SPECIALTY = "https://fhir.nhs.uk/CodeSystem/eRS-Specialty"
STATE = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-ServiceRequest-State"
STATES = "https://fhir.nhs.uk/CodeSystem/eRS-ReferralState"
WORKFLOW = "https://fhir.nhs.uk/CodeSystem/Workflow-Code"
CATEGORIES = (
    ("http://snomed.info/sct", "3457005"),
    ("https://fhir.nhs.uk/CodeSystem/message-category-servicerequest", "referral"),
)
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
UBRN = "https://fhir.nhs.uk/Id/UBRN"
LONDON = ZoneInfo("Europe/London")
# Of ten services one takes bookings and has no slot left, and two are for triage.
FULL, TRIAGE = (7,), (8, 9)
_LETTERS = "ABDEFGHJLNPQRSTUWXYZ"


def concept(system: str, code: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code}]}


def reference(kind: str, number: int) -> Json:
    """A reference to the resource of that type and number."""
    return {"reference": f"{kind}/{number}"}


def nhs_number(number: int) -> str:
    """A number of ten digits; nothing checks it here."""
    return f"{9_000_000_000 + number}"


@dataclass(frozen=True, slots=True)
class Country:
    """services, slots_each: how much there is of the directory; patients; today: the first slots are tomorrow's."""

    services: int
    slots_each: int
    patients: int
    today: date

    @property
    def sites(self) -> int:
        return max(1, self.services // SERVICES_AT_A_SITE)

    @property
    def trusts(self) -> int:
        return max(1, self.services // SERVICES_OF_A_TRUST)

    @property
    def surgeries(self) -> int:
        return max(1, self.patients // PATIENTS_OF_A_SURGERY)

    def parts(self) -> Iterator[tuple[str, int]]:
        """Type and number, what is referred to first.

        Each service has a referral of the past with its appointment, and one that waits with its task.
        """
        yield "Organization", self.trusts + self.surgeries
        yield "Location", self.sites
        yield "HealthcareService", self.services
        yield "PractitionerRole", self.surgeries
        yield "Schedule", self.services
        yield "Slot", self.services * self.slots_each
        yield "Patient", self.patients
        yield "ServiceRequest", self.services * 2
        yield "Appointment", self.services
        yield "Task", self.services

    def surgery_of(self, patient: int) -> int:
        """The number of a patient's surgery."""
        return patient % self.surgeries

    def specialty(self, service: int) -> str:
        """Every site has half of the specialties."""
        return f"S{(service // 10 * 7 + service) % SPECIALTIES:02}"

    def takes(self, service: int) -> str:
        """How a service takes referrals: slots, nothing now (full), or triage."""
        place = service % 10
        return "full" if place in FULL else "triage" if place in TRIAGE else "slots"

    def postcode(self, site: int) -> str:
        """A postcode of its own for each site."""
        area, district = divmod(site, 90)
        letters = _LETTERS[area // len(_LETTERS) % len(_LETTERS)] + _LETTERS[area % len(_LETTERS)]
        return f"{letters}{district + 10} 1AB"

    def moment(self, days: float, minutes: int = 0) -> str:
        """So many days from today, and minutes after nine in London, as an instant."""
        day = self.today + timedelta(days=int(days))
        return (datetime.combine(day, time(9), LONDON) + timedelta(minutes=minutes)).isoformat()

    def resource(self, kind: str, number: int) -> Json:
        """The one of that type and number, which is its id."""
        made: Json = getattr(self, f"_{kind.lower()}")(number)
        return {"resourceType": kind, "id": f"{number}"} | made

    def _organization(self, number: int) -> Json:
        name = "Trust" if number < self.trusts else "Surgery"
        return {"active": True, "name": f"{name} {number}"}

    def _location(self, number: int) -> Json:
        chance = random.Random(f"site/{number}")
        return {
            "status": "active",
            "name": f"Hospital {number}",
            "address": {"line": ["1 High Street"], "postalCode": self.postcode(number)},
            "position": {
                "latitude": round(chance.uniform(50.5, 54.9), 5),
                "longitude": round(chance.uniform(-3.0, 0.5), 5),
            },
            "managingOrganization": reference("Organization", number % self.trusts),
        }

    def _healthcareservice(self, number: int) -> Json:
        flow = "REVIEW" if self.takes(number) == "triage" else "BOOKABLE"
        site = number // SERVICES_AT_A_SITE % self.sites
        return {
            "active": True,
            "identifier": [{"system": "https://fhir.nhs.uk/Id/ers-service", "value": f"{number}"}],
            "providedBy": reference("Organization", site % self.trusts),
            "specialty": [concept(SPECIALTY, self.specialty(number))],
            "location": [reference("Location", site)],
            "name": f"Clinic {number}",
            "characteristic": [concept(FLOW, flow)],
            "telecom": [{"system": "phone", "value": "01632 960000"}],
        }

    def _practitionerrole(self, number: int) -> Json:
        return {"active": True, "organization": reference("Organization", self.trusts + number)}

    def _schedule(self, number: int) -> Json:
        return {"active": True, "actor": [reference("HealthcareService", number)]}

    def _slot(self, number: int) -> Json:
        schedule, place = divmod(number, self.slots_each)
        day, turn = divmod(place, SLOTS_A_DAY)
        minutes = SLOT_MINUTES * (turn * 3 + schedule % 3)
        free = self.takes(schedule) == "slots" and random.Random(f"slot/{number}").random() < 0.7
        return {
            "schedule": reference("Schedule", schedule),
            "appointmentType": concept(PRIORITY, "URGENT" if place % 10 == 9 else "ROUTINE"),
            "status": "free" if free else "busy-unavailable",
            "start": self.moment(1 + day, minutes),
            "end": self.moment(1 + day, minutes + SLOT_MINUTES),
        }

    def _patient(self, number: int) -> Json:
        return {
            "identifier": [{"system": NHS_NUMBER, "value": nhs_number(number)}],
            "active": True,
            "name": [{"use": "official", "family": f"Family{number % 997}", "given": ["Sam"]}],
            "gender": "female" if number % 2 else "male",
            "birthDate": f"{1930 + number % 80}-0{1 + number % 9}-1{number % 10}",
            "generalPractitioner": [
                reference("Organization", self.trusts + self.surgery_of(number))
            ],
        }

    def _servicerequest(self, number: int) -> Json:
        waits, service = divmod(number, self.services)
        state = "DEFERRED_TO_PROVIDER" if waits else "COMPLETED"
        coding = {"system": STATES, "code": state}
        told = {"url": STATE, "extension": [{"url": "state", "valueCoding": coding}]}
        made = self.referral(number % self.patients, [service], days=-20 - number % 150)
        return made | {
            "extension": [told],
            "identifier": [{"system": UBRN, "value": f"{number:012}"}],
            "status": "active" if waits else "completed",
        }

    def referral(self, patient: int, services: list[int], days: int = 0) -> Json:
        """A referral of a patient to services, written so many days from today."""
        return {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "category": [concept(*category) for category in CATEGORIES],
            "priority": "routine",
            "subject": reference("Patient", patient),
            "authoredOn": self.moment(days),
            "requester": reference("PractitionerRole", self.surgery_of(patient)),
            "performerType": concept(SPECIALTY, self.specialty(services[0])),
            "performer": [reference("HealthcareService", number) for number in services],
            "reasonCode": [{"text": "Knee pain that limits walking, six months, no injury"}],
        }

    def _appointment(self, number: int) -> Json:
        days = -5 - number % 15
        actors = (
            reference("Patient", number % self.patients),
            reference("HealthcareService", number),
        )
        return {
            "status": "fulfilled",
            "basedOn": [reference("ServiceRequest", number)],
            "start": self.moment(days),
            "end": self.moment(days, SLOT_MINUTES),
            "participant": [{"actor": actor, "status": "accepted"} for actor in actors],
        }

    def _task(self, number: int) -> Json:
        referral = self.services + number
        return {
            "status": "requested",
            "intent": "order",
            "code": concept(WORKFLOW, "APPOINTMENT_DEFERRAL"),
            "focus": reference("ServiceRequest", referral),
            "for": reference("Patient", referral % self.patients),
            "owner": reference("HealthcareService", number),
            "authoredOn": self.moment(-20 - referral % 150),
            "restriction": {"period": {"end": self.moment(20)}},
        }
