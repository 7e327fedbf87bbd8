"""A data set of any size, and a loader that fills a database with it: python -m bench.ladder URL --resources 100000

Six in ten are slots. Each schedule has as many slots, each service as many schedules at every size, so that the same
question has as many answers: what grows is only what is not asked for.
"""

from __future__ import annotations

import argparse
import random
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bench.filling import fill_with

Json = dict[str, Any]

SLOTS_IN_A_SCHEDULE = 400
SLOTS_A_DAY = 8
SCHEDULES_OF_A_SERVICE = 2
BEGIN = datetime(2026, 3, 2, 8, tzinfo=UTC)
SNOMED = "http://snomed.info/sct"
FAMILIES = (
    "Adams",
    "Baker",
    "Clark",
    "Davies",
    "Evans",
    "Foster",
    "Green",
    "Hughes",
    "Jones",
    "Khan",
)
CODES = tuple(str(394_800_000 + number * 7) for number in range(40))


@dataclass(frozen=True, slots=True)
class Ladder:
    """How many of each a data set of that size has."""

    resources: int

    @property
    def schedules(self) -> int:
        return max(1, self.resources * 6 // 10 // SLOTS_IN_A_SCHEDULE)

    @property
    def services(self) -> int:
        return max(1, self.schedules // SCHEDULES_OF_A_SERVICE)

    @property
    def slots(self) -> int:
        return self.schedules * SLOTS_IN_A_SCHEDULE

    @property
    def patients(self) -> int:
        return self.resources * 8 // 100

    def parts(self) -> Iterator[tuple[str, int]]:
        """Type and number, what is referred to first."""
        yield "HealthcareService", self.services
        yield "Practitioner", self.services
        yield "Schedule", self.schedules
        yield "Patient", self.patients
        yield "Slot", self.slots
        yield "Appointment", self.resources // 10
        yield "ServiceRequest", self.resources * 12 // 100
        yield "Task", self.resources * 9 // 100

    def resource(self, kind: str, number: int) -> Json:
        """The one of that type and number, which is its id."""
        return _resource(self, kind, number)


def _resource(ladder: Ladder, kind: str, number: int) -> Json:
    chance = random.Random(f"{kind}/{number}")
    head: Json = {"resourceType": kind, "id": f"{number}"}
    patient = {"reference": f"Patient/{chance.randrange(ladder.patients)}"}
    service = {"reference": f"HealthcareService/{number % ladder.services}"}
    when = BEGIN + timedelta(days=chance.randrange(100), minutes=15 * chance.randrange(32))
    match kind:
        case "HealthcareService":
            return head | {"name": f"Service {number}", "active": True}
        case "Practitioner":
            return head | {"name": [{"family": f"{chance.choice(FAMILIES)}{number}"}]}
        case "Schedule":
            person = {"reference": f"Practitioner/{number % ladder.services}"}
            return head | {"active": True, "actor": [service, person]}
        case "Patient":
            family = chance.choice(FAMILIES) + chance.choice(FAMILIES).lower()
            system = "https://fhir.nhs.uk/Id/nhs-number"
            return head | {
                "identifier": [{"system": system, "value": f"{9_000_000_000 + number}"}],
                "name": [{"family": family, "given": [f"Person{number % 1000}"]}],
                "gender": chance.choice(("female", "male")),
                "birthDate": f"{1930 + number % 90}-0{1 + number % 9}-1{number % 10}",
            }
        case "Slot":
            schedule, place = divmod(number, SLOTS_IN_A_SCHEDULE)
            day, turn = divmod(place, SLOTS_A_DAY)
            start = BEGIN + timedelta(days=day // 5 * 7 + day % 5, minutes=20 * turn)
            code = {"system": SNOMED, "code": CODES[schedule % len(CODES)], "display": "Clinic"}
            return head | {
                "serviceType": [{"coding": [code]}],
                "schedule": {"reference": f"Schedule/{schedule}"},
                "status": "busy" if chance.random() < 0.4 else "free",
                "start": start.isoformat(),
                "end": (start + timedelta(minutes=20)).isoformat(),
            }
        case "Appointment":
            return head | {
                "status": chance.choice(("booked", "fulfilled", "cancelled")),
                "start": when.isoformat(),
                "end": (when + timedelta(minutes=20)).isoformat(),
                "slot": [{"reference": f"Slot/{chance.randrange(ladder.slots)}"}],
                "participant": [
                    {"actor": actor, "status": "accepted"} for actor in (patient, service)
                ],
            }
        case "ServiceRequest":
            return head | {
                "status": chance.choice(("active", "completed")),
                "intent": "order",
                "subject": patient,
                "performer": [service],
                "authoredOn": when.isoformat(),
                "code": {"coding": [{"system": SNOMED, "code": chance.choice(CODES)}]},
            }
        case "Task":
            focus = {"reference": f"ServiceRequest/{number % max(1, ladder.resources * 12 // 100)}"}
            return head | {
                "status": chance.choice(("requested", "accepted", "completed")),
                "intent": "order",
                "focus": focus,
                "for": patient,
                "owner": service,
                "authoredOn": when.isoformat(),
            }
    raise AssertionError(kind)


def fill(url: str, resources: int) -> tuple[int, float]:
    """Fill an empty database with so many; how many resources, and in how many seconds."""
    return fill_with(Ladder(resources), url)


def main() -> int:
    """The command line."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("url")
    options.add_argument("--resources", type=int, default=100_000)
    given = options.parse_args()
    number, seconds = fill(given.url, given.resources)
    print(f"{number} resources in {seconds:.1f} s: {number / seconds:.0f}/s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
