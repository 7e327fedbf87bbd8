"""A small English region, invented from a seed: its surgeries, clinics, patients, referrals and appointments.

python examples/region.py --out region.ndjson --seed 7 --today 2026-03-27 --scale 1
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from pathlib import Path

import orjson
from region_elements import (
    FLOW_TYPE,
    LONDON,
    NHS_NUMBER,
    ODS,
    PRIORITY,
    SERVICE_ID,
    SNOMED,
    USER_ID,
    Json,
    coded,
    instant,
    narrative,
    nhs_numbers,
    ref,
)
from region_names import FAMILY, GIVEN, PRIORITIES, SPECIALTIES, STREETS, TOWNS
from region_referral import SLOT_MINUTES, Booking, Person, Referral

SLOTS, PATIENTS, WAITING, PRACTICES, SITES = 2000, 120, 60, 8, 3
SLOTS_IN_A_SESSION = 10
# How full the clinics are, by week of the calendar; the first one lies in the past.
BOOKED_SHARE = (0.12, 0.09, 0.04, 0.03)


def generate(seed: int, today: date, scale: float = 1.0) -> Iterator[Json]:
    """The resources of the region, in an order in which what is referred to comes first.

    The same arguments give the same resources. Logical ids do not depend on seed or day, so loading again updates.
    scale 1 makes about 2,900 resources, of which 2,000 are slots.
    """
    numbers = nhs_numbers()
    trusts = max(1, round(scale**0.5))
    for number in range(1, trusts + 1):
        yield from Trust(seed, today, number, scale / trusts, numbers).resources()


class Trust:
    """One hospital trust with the surgeries around it; share is its part of the region in units of scale."""

    def __init__(
        self, seed: int, today: date, number: int, share: float, numbers: Iterator[str]
    ) -> None:
        self.random = random.Random(f"{seed}/{number}")
        self.today = today
        self.number = number
        self.share = share
        self.numbers = numbers
        self.name = f"{TOWNS[number % len(TOWNS)]} Hospitals NHS Foundation Trust"
        self.town = TOWNS[number % len(TOWNS)]
        self.practices = max(1, round(PRACTICES * min(share, 12)))
        self.services: list[Json] = []
        self.assessing: Json = {}
        self.bookings: list[Booking] = []
        self.people: list[Person] = []

    def resources(self) -> Iterator[Json]:
        """Everything of this trust."""
        yield from self.organizations()
        yield from self.healthcare_services()
        yield from self.clinics()
        yield from self.patients()
        yield from self.referrals()

    def telephone(self) -> list[Json]:
        # 01632 960000 to 960999 are never given to anyone: they are for stories.
        return [{"system": "phone", "value": f"01632 960{self.random.randrange(1000):03}"}]

    def address(self, town: str) -> Json:
        # There is no postcode area WY.
        letters = "".join(self.random.choices("ABDEFGHJLNPQRSTUWXYZ", k=2))
        code = f"WY{TOWNS.index(town) + 1} {self.random.randrange(1, 10)}{letters}"
        street = f"{self.random.randrange(1, 180)} {self.random.choice(STREETS)} Road"
        return {"line": [street], "city": town, "postalCode": code, "country": "GB"}

    def organizations(self) -> Iterator[Json]:
        """The trust with its sites, and the surgeries, each with its place."""
        trust = f"trust-{self.number}"
        yield self.organization(trust, f"Z{self.number:02}", self.name, self.town)
        for site in range(1, SITES + 1):
            town = TOWNS[(self.number + site - 1) % len(TOWNS)]
            kind = ("General Hospital", "Community Hospital", "Diagnostic Centre")[site - 1]
            yield self.location(f"site-{self.number}-{site}", f"{town} {kind}", town, trust)
        for practice in range(1, self.practices + 1):
            town = TOWNS[practice % len(TOWNS)]
            name = f"{STREETS[practice % len(STREETS)]} Road Surgery, {town}"
            logical_id = f"practice-{self.number}-{practice}"
            code = f"Z{self.number:02}{practice:03}"
            yield self.organization(logical_id, code, name, town)
            yield self.location(f"surgery-{self.number}-{practice}", name, town, logical_id)
            for doctor in (1, 2):
                yield from self.practitioner(
                    f"gp-{self.number}-{practice}-{doctor}",
                    ref("Organization", logical_id, name),
                    ("394814009", "General practice"),
                    [ref("Location", f"surgery-{self.number}-{practice}")],
                    [],
                )

    def organization(self, logical_id: str, code: str, name: str, town: str) -> Json:
        kind = coded("http://terminology.hl7.org/CodeSystem/organization-type", "prov",
                     "Healthcare Provider")  # fmt: skip
        return {
            "resourceType": "Organization",
            "id": logical_id,
            "text": narrative(f"{name} ({code})"),
            "identifier": [{"system": ODS, "value": code}],
            "active": True,
            "type": [kind],
            "name": name,
            "telecom": self.telephone(),
            "address": [self.address(town)],
        }

    def location(self, logical_id: str, name: str, town: str, manager: str) -> Json:
        place = TOWNS.index(town)
        return {
            "resourceType": "Location",
            "id": logical_id,
            "status": "active",
            "name": name,
            "mode": "instance",
            "telecom": self.telephone(),
            "address": self.address(town),
            "position": {
                "longitude": round(-2.61 + place * 0.043 + self.random.random() * 0.02, 5),
                "latitude": round(53.52 + place % 3 * 0.037 + self.random.random() * 0.02, 5),
            },
            "managingOrganization": ref("Organization", manager),
        }

    def practitioner(
        self,
        logical_id: str,
        organization: Json,
        specialty: tuple[str, str],
        places: list[Json],
        services: list[Json],
    ) -> Iterator[Json]:
        gender = self.random.choice(("female", "male"))
        given, family = self.random.choice(GIVEN[gender]), self.random.choice(FAMILY)
        yield {
            "resourceType": "Practitioner",
            "id": logical_id,
            "identifier": [{"system": USER_ID, "value": f"999{self.random.randrange(10**9):09}"}],
            "active": True,
            "name": [{"use": "official", "family": family, "given": [given], "prefix": ["Dr"]}],
            "gender": gender,
        }
        role: Json = {
            "resourceType": "PractitionerRole",
            "id": logical_id,
            "active": True,
            "practitioner": ref("Practitioner", logical_id, f"Dr {given} {family}"),
            "organization": organization,
            "code": [coded(SNOMED, "158965000", "Medical practitioner")],
            "specialty": [coded(SNOMED, *specialty)],
            "location": places,
        }
        if services:
            role["healthcareService"] = services
        yield role

    def healthcare_services(self) -> Iterator[Json]:
        """One clinic that takes bookings for each specialty, and one service that assesses referrals first."""
        for place, (slug, code, name, _) in enumerate(SPECIALTIES):
            service = {
                "resourceType": "HealthcareService",
                "id": f"{slug}-{self.number}",
                "text": narrative(f"{name} outpatients, {self.town}"),
                "identifier": [{"system": SERVICE_ID, "value": f"{self.number}{place:04}"}],
                "active": True,
                "providedBy": ref("Organization", f"trust-{self.number}", self.name),
                "category": [coded("http://terminology.hl7.org/CodeSystem/service-category", "27",
                                   "Specialist Medical")],
                "specialty": [coded(SNOMED, code, name)],
                "characteristic": [coded(FLOW_TYPE, "BOOKABLE", "Bookable")],
                "location": [ref("Location", f"site-{self.number}-{place % SITES + 1}")],
                "name": f"{name} outpatients, {self.town}",
                "telecom": self.telephone(),
                "appointmentRequired": True,
                "availableTime": [
                    {
                        "daysOfWeek": ["mon", "tue", "wed", "thu", "fri"],
                        "availableStartTime": "09:00:00",
                        "availableEndTime": "16:50:00",
                    }
                ],
            }  # fmt: skip
            self.services.append(service)
            yield service
        slug, _, name, _ = SPECIALTIES[0]
        self.assessing = {
            key: value for key, value in self.services[0].items() if key != "availableTime"
        } | {
            "id": f"{slug}-assessment-{self.number}",
            "text": narrative(f"{name} referral assessment, {self.town}"),
            "identifier": [{"system": SERVICE_ID, "value": f"{self.number}{len(SPECIALTIES):04}"}],
            "characteristic": [coded(FLOW_TYPE, "REVIEW", "Review")],
            "name": f"{name} referral assessment, {self.town}",
            "appointmentRequired": False,
        }
        yield self.assessing

    def clinics(self) -> Iterator[Json]:
        """The clinicians of every service, each with a schedule and its slots."""
        slots = round(SLOTS * self.share)
        # A bigger region has more clinicians and looks further ahead.
        clinicians = max(1, round(2 * self.share**0.5))
        schedules = len(SPECIALTIES) * clinicians
        for place in range(schedules):
            service = self.services[place % len(SPECIALTIES)]
            logical_id = f"{service['id']}-{place // len(SPECIALTIES) + 1}"
            coding = service["specialty"][0]["coding"][0]
            yield from self.practitioner(
                logical_id,
                service["providedBy"],
                (coding["code"], coding["display"]),
                service["location"],
                [ref("HealthcareService", service["id"], service["name"])],
            )
            quota = slots // schedules + (place < slots % schedules)
            yield from self.schedule(logical_id, service, place, quota)

    def schedule(self, logical_id: str, service: Json, place: int, quota: int) -> Iterator[Json]:
        monday = self.today - timedelta(days=self.today.weekday() + 7)
        weeks = -(-quota // (2 * SLOTS_IN_A_SESSION))
        last = monday + timedelta(days=7 * max(weeks, 1) - 1)
        yield {
            "resourceType": "Schedule",
            "id": logical_id,
            "active": True,
            "specialty": service["specialty"],
            "actor": [
                ref("HealthcareService", service["id"], service["name"]),
                ref("PractitionerRole", logical_id),
                service["location"][0],
            ],
            "planningHorizon": {"start": instant(monday, 0), "end": instant(last, 24 * 60 - 1)},
        }
        of_schedule = ref("Schedule", logical_id)
        for count in range(quota):
            session, within = divmod(count, SLOTS_IN_A_SESSION)
            week, afternoon = divmod(session, 2)
            day = monday + timedelta(days=7 * week + (place + 2 * afternoon) % 5)
            minutes = (13 * 60 + 30 if afternoon else 9 * 60) + within * SLOT_MINUTES
            status = self.slot_status(week)
            slot_id = f"{logical_id}-{count + 1}"
            start, end = instant(day, minutes), instant(day, minutes + SLOT_MINUTES)
            if status == "busy":
                self.bookings.append(Booking(slot_id, service, logical_id, day, start, end))
            _, code, name = PRIORITIES[0 if within < 7 else 1 if within < 9 else 2]
            yield {
                "resourceType": "Slot",
                "id": slot_id,
                "specialty": service["specialty"],
                "appointmentType": coded(PRIORITY, code, name),
                "schedule": of_schedule,
                "status": status,
                "start": start,
                "end": end,
            }

    def slot_status(self, week: int) -> str:
        drawn = self.random.random()
        if drawn < BOOKED_SHARE[min(week, len(BOOKED_SHARE) - 1)]:
            return "busy"
        return "busy-unavailable" if drawn > 0.97 else "busy-tentative" if drawn > 0.96 else "free"

    def patients(self) -> Iterator[Json]:
        """People registered at the surgeries."""
        for count in range(1, max(1, round(PATIENTS * self.share)) + 1):
            gender = self.random.choice(("female", "male"))
            given = self.random.sample(GIVEN[gender], 2)
            family = self.random.choice(FAMILY)
            practice = self.random.randrange(1, self.practices + 1)
            doctor = f"gp-{self.number}-{practice}-{self.random.choice((1, 2))}"
            surgery = ref("Organization", f"practice-{self.number}-{practice}")
            logical_id, number = f"patient-{self.number}-{count}", next(self.numbers)
            name = f"{given[0]} {family}"
            person = Person(ref("Patient", logical_id, name), number, surgery["reference"], doctor)
            self.people.append(person)
            born = date(1932, 1, 1) + timedelta(days=self.random.randrange(80 * 365))
            mobile = f"07700 900{self.random.randrange(1000):03}"
            yield {
                "resourceType": "Patient",
                "id": logical_id,
                "text": narrative(f"{name}, born {born.isoformat()}"),
                "identifier": [{"system": NHS_NUMBER, "value": number}],
                "active": True,
                "name": [{"use": "official", "family": family, "given": given}],
                "telecom": [{"system": "phone", "value": mobile, "use": "mobile"}],
                "gender": gender,
                "birthDate": born.isoformat(),
                "address": [{"use": "home"} | self.address(TOWNS[practice % len(TOWNS)])],
                "generalPractitioner": [surgery, ref("PractitionerRole", doctor)],
                "managingOrganization": surgery,
            }

    def referrals(self) -> Iterator[Json]:
        """A referral for every busy slot, with its appointment, and others that still wait for one."""
        waiting = [None] * round(WAITING * self.share)
        engaged: set[tuple[str, date]] = set()
        for count, booking in enumerate([*self.bookings, *waiting], 1):
            person = self.person(count, booking, engaged)
            service = booking.service if booking else self.random.choice(self.services)
            referral = Referral(
                self.number, count, self.today, person, service, booking, self.random
            )
            if referral.waits_for_triage:
                referral.service = self.assessing
            yield from referral.resources()

    def person(self, count: int, booking: Booking | None, engaged: set[tuple[str, date]]) -> Person:
        """The next patient who has no other appointment on that day."""
        for step in range(len(self.people)):
            person = self.people[(count + step) % len(self.people)]
            if booking is None or (person.nhs_number, booking.day) not in engaged:
                break
        if booking is not None:
            engaged.add((person.nhs_number, booking.day))
        return person


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the region as NDJSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="the file to write (default: standard output)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--today", type=date.fromisoformat, help="the day it is, as 2026-03-27")
    parser.add_argument("--scale", type=float, default=1.0, help="1 makes about 2,900 resources")
    options = parser.parse_args(arguments)
    today = options.today or datetime.now(LONDON).date()
    lines = map(orjson.dumps, generate(options.seed, today, options.scale))
    if options.out is None:
        sys.stdout.buffer.writelines(line + b"\n" for line in lines)
        return
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with options.out.open("wb") as target:
        target.writelines(line + b"\n" for line in lines)


if __name__ == "__main__":
    main()
