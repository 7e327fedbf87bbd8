"""One referral from the surgery to the clinic, as its users call the server: referrer, patient, provider."""

from __future__ import annotations

import random
from collections.abc import Generator
from dataclasses import dataclass, field
from datetime import timedelta

from bench.client import Response
from bench.national import calls
from bench.national.calls import Call
from bench.national.country import PRIORITY, Country, Json, concept, nhs_number, reference

# A weekday of the national service, and what it makes of a referral (figures published for 2019-2023).
REFERRALS, BOOKINGS, NO_SLOTS = 62_200, 23_800, 0.256
# What is not published is assumed: how the others go on.
TRIAGED, SHORTLISTED, CANCELLED, REBOOKED = 0.20, 0.10, 0.08, 0.06
PLAIN, REVIEWED, LETTERS = 0.3, 0.85, 0.5
REFERRALS_A_WAITING_LIST = 500
_TRIES = 6
_LETTER = b"Dear colleague,\n\n" + b"Thank you for seeing this patient. " * 120

Calls = Generator[Call, Response, None]
Answer = Generator[Call, Response, Response]


@dataclass
class Journey:
    """The calls of the referral of that number; seed and number decide all but what the server answers."""

    country: Country
    number: int
    seed: int
    chance: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self.chance = random.Random(f"{self.seed}/{self.number}")
        self.patient = self.chance.randrange(self.country.patients)
        self.way = self._way()

    def _way(self) -> str:
        # So that any run of referrals has its share of bookings.
        if (self.number + 1) * BOOKINGS // REFERRALS > self.number * BOOKINGS // REFERRALS:
            return "slots"
        left = 1 - BOOKINGS / REFERRALS
        drawn = self.chance.random() * left
        return "full" if drawn < NO_SLOTS else "triage" if drawn < NO_SLOTS + TRIAGED else "later"

    def calls(self) -> Calls:
        """Every call, in order."""
        services = yield from self._choose()
        referral_id, letter_id = yield from self._refer(services)
        match self.way:
            case "slots":
                appointment_id = yield from self._book(referral_id, services)
            case "full":
                appointment_id = ""
                path = f"ServiceRequest/{referral_id}/$defer"
                to = reference("HealthcareService", services[0])
                yield calls.operation("defer", path, 201, service=to, reason="NO_SLOTS_AT_SERVICE")
            case "triage":
                appointment_id = ""
                path = f"ServiceRequest/{referral_id}/$send-for-triage"
                to = reference("HealthcareService", services[0])
                yield calls.operation("send for triage", path, 201, service=to)
            case _:
                appointment_id = ""
        yield from self._look()
        if self.way != "later":
            yield from self._review(referral_id, services[0], letter_id)
        yield from self._follow(referral_id, appointment_id, services)
        if self.number % REFERRALS_A_WAITING_LIST == 0:
            trust = reference("Organization", self.chance.randrange(self.country.trusts))
            query = {"organisation": trust["reference"], "_count": 50}
            yield calls.get("waiting list", "ServiceRequest/$waiting-list", query)

    def _choose(self) -> Generator[Call, Response, list[int]]:
        """The referrer finds the patient and the services; those of the kind that this referral needs."""
        country = self.country
        system = "https://fhir.nhs.uk/Id/nhs-number"
        number = f"{system}|{nhs_number(self.patient)}"
        yield calls.get("search", "Patient", {"identifier": number})
        example = self._service()
        asked: Json = {
            "specialty": country.specialty(example),
            "type": "triage" if self.way == "triage" else "appointment",
            "patient": f"Patient/{self.patient}",
            "_count": 20,
        }
        near = {"postcode": country.postcode(self.chance.randrange(country.sites))}
        services: list[int] = []
        # The nearest, and those with the shortest wait.
        for sort in ("distance", "wait"):
            query = asked | near | {"sort": sort}
            found = yield calls.get("find services", "HealthcareService/$find-for-referral", query)
            services += [item for item in self._suiting(found) if item not in services]
        services = services or [example]
        first = self.chance.randrange(min(3, len(services)))
        chosen = services[first : first + 3]
        for service in chosen[:2]:
            yield calls.get("read", f"HealthcareService/{service}")
            yield from self._slots(service)
        return chosen

    def _service(self) -> int:
        """Any service of the kind."""
        wanted = "slots" if self.way == "later" else self.way
        while True:
            service = self.chance.randrange(self.country.services)
            if self.country.takes(service) == wanted:
                return service

    def _suiting(self, found: Response) -> list[int]:
        wanted = "slots" if self.way == "later" else self.way
        listed = [int(item["id"]) for item in calls.matches(found)]
        return [item for item in listed if self.country.takes(item) == wanted]

    def _refer(self, services: list[int]) -> Generator[Call, Response, tuple[str, str]]:
        """The letter, and the referral with it; then what a referrer looks at."""
        answer = yield calls.letter("letter", _LETTER)
        binary_id = calls.created(answer, "Binary")
        referral = self.country.referral(self.patient, services)
        named = "urn:uuid:7b0e4d5c-8f6e-4d27-9f6e-000000000001"
        document = {
            "resourceType": "DocumentReference",
            "status": "current",
            "subject": referral["subject"],
            "date": referral["authoredOn"],
            "content": [
                {"attachment": {"contentType": "text/plain", "url": f"Binary/{binary_id}"}}
            ],
            "context": {"related": [{"reference": named}]},
        }
        answer = yield calls.transaction(
            "create referral with letter", (named, referral), (named[:-1] + "2", document)
        )
        referral_id = calls.created(answer, "ServiceRequest")
        yield calls.get("read", f"ServiceRequest/{referral_id}")
        yield calls.get("available actions", f"ServiceRequest/{referral_id}/$available-actions")
        if self.chance.random() < SHORTLISTED:
            listed = [reference("HealthcareService", item) for item in reversed(services)]
            yield calls.shortlist(referral_id, listed)
        if self.chance.random() < LETTERS:
            path = f"ServiceRequest/{referral_id}/$document"
            query = {"type": "patient-letter", "_format": "application/pdf"}
            yield calls.get("patient letter (PDF)", path, query)
        return referral_id, binary_id

    def _slots(self, service: int) -> Answer:
        """The free routine slots of a service in six weeks, with its clinic."""
        until = self.country.today + timedelta(days=43)
        query = {
            "schedule.actor": f"HealthcareService/{service}",
            "status": "free",
            "appointment-type": f"{PRIORITY}|ROUTINE",
            "start": [f"ge{self.country.today}", f"lt{until}"],
            "_sort": "start",
            "_count": 20,
            "_include": "Slot:schedule",
        }
        return (yield calls.get("slot search", "Slot", query))

    def _free(self, services: list[int]) -> Generator[Call, Response, list[Json]]:
        for service in services:
            found = calls.matches((yield from self._slots(service)))
            if found:
                return found
        return []

    def _pick(self, slots: list[Json]) -> Json:
        """Most patients take one of the first."""
        return slots[int(self.chance.random() ** 2 * len(slots))]

    def _book(self, referral_id: str, services: list[int]) -> Generator[Call, Response, str]:
        """The patient takes a slot, another one where somebody was faster; the id of the appointment."""
        plain = self.chance.random() < PLAIN
        for _ in range(_TRIES):
            slots = yield from self._free(services)
            if not slots:
                return ""
            wanted = self._appointment(referral_id, self._pick(slots))
            if plain:
                call = calls.post("book (POST)", "Appointment", wanted, 201, may_lose=True)
            else:
                path = "Appointment/$book"
                call = calls.operation(
                    "$book", path, 200, may_lose=True, appointment_resource=wanted
                )
            answer = yield call
            if answer.status in call.statuses:
                appointment_id = calls.created(answer, "Appointment")
                yield calls.get("read", f"Appointment/{appointment_id}")
                return appointment_id
        return ""

    def _appointment(self, referral_id: str, slot: Json) -> Json:
        return {
            "resourceType": "Appointment",
            "status": "booked",
            "basedOn": [{"reference": f"ServiceRequest/{referral_id}"}],
            "start": slot["start"],
            "end": slot["end"],
            "slot": [{"reference": f"Slot/{slot['id']}"}],
            "participant": [{"actor": reference("Patient", self.patient), "status": "accepted"}],
        }

    def _look(self) -> Calls:
        """The patient's own view, in an application, three times until the appointment."""
        query = {
            "patient": f"Patient/{self.patient}",
            "category": "3457005",
            "_revinclude": ["Appointment:based-on", "Task:focus"],
        }
        for _ in range(3):
            yield calls.get("patient's view", "ServiceRequest", query)
        query = {"patient": f"Patient/{self.patient}", "_sort": "date"}
        yield calls.get("search", "Appointment", query)

    def _review(self, referral_id: str, service: int, letter_id: str) -> Calls:
        """The provider's worklist, the referral, its letter, and what is decided."""
        code = {"slots": "REVIEW", "full": "APPOINTMENT_DEFERRAL", "triage": "TRIAGE_DEFERRAL"}
        query = {
            "code": code[self.way],
            "status": "requested",
            "owner": f"HealthcareService/{service}",
            "_include": "Task:focus",
            "_sort": "authored-on",
            "_count": 50,
        }
        for _ in range(2):
            yield calls.get("worklist", "Task", query)
        yield calls.get("read", f"ServiceRequest/{referral_id}")
        yield calls.get("search", "DocumentReference", {"related": f"ServiceRequest/{referral_id}"})
        yield calls.get("letter", f"Binary/{letter_id}", accept="text/plain")
        if self.way != "full" and self.chance.random() < REVIEWED:
            returned = self.way == "triage" and self.chance.random() < 0.3
            yield calls.operation(
                "outcome",
                f"ServiceRequest/{referral_id}/$record-outcome",
                200,
                outcome="RETURN_WITH_ADVICE" if returned else "ACCEPT",
                comment="Seen by the consultant",
            )

    def _follow(self, referral_id: str, appointment_id: str, services: list[int]) -> Calls:
        """The referrer follows the referral; some appointments are moved or cancelled."""
        path = f"ServiceRequest/{referral_id}"
        answer = yield calls.get("read", path)
        etag = (answer.header(b"etag") or b"").decode().upper()
        for _ in range(2):
            yield calls.get("read, If-None-Match", path, etag=etag)
        requester = f"PractitionerRole/{self.country.surgery_of(self.patient)}"
        query = {"requester": requester, "status": "active", "_sort": "-authored", "_count": 50}
        yield calls.get("worklist", "ServiceRequest", query)
        if not appointment_id:
            return
        drawn = self.chance.random()
        if drawn < CANCELLED:
            system = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
            yield calls.operation(
                "$cancel",
                f"Appointment/{appointment_id}/$cancel",
                200,
                reason=concept(system, "pat"),
            )
        elif drawn < CANCELLED + REBOOKED:
            slots = yield from self._free(services)
            if slots:
                slot = {"reference": f"Slot/{self._pick(slots)['id']}"}
                yield calls.operation(
                    "$rebook",
                    f"Appointment/{appointment_id}/$rebook",
                    200,
                    may_lose=True,
                    slot=slot,
                )
