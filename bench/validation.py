"""Print what validation costs: python -m bench.validation [--package FILE.tgz|FOLDER] [--rounds N].

CPU microseconds of one process for one call, the middle of several rounds. With a package of UK Core, the same
resources claim its profiles.
"""

from __future__ import annotations

import argparse
import copy
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console
from rich.table import Table

from fhir_server.spec.published import folder
from fhir_server.validation import Validator
from fhir_server.validation.profiles.library import CoreDefinitions, Library, Source
from fhir_server.validation.profiles.packages import Folder, Packages, add

Json = dict[str, Any]
UK_CORE = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
SNOMED = "http://snomed.info/sct"
ROUND_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Case:
    """What is validated, and whether all of its issues are told rather than whether it has errors."""

    name: str
    resource: Json
    explained: bool = False


def _concept(system: str, code: str, display: str) -> Json:
    return {"coding": [{"system": system, "code": code, "display": display}]}


def _identifier(system: str, value: str) -> Json:
    return {"system": system, "value": value}


def _extension(name: str, value: Json) -> Json:
    return {"url": UK_CORE.replace("UKCore-", f"Extension-UKCore-{name}"), **value}


def patient() -> Json:
    """A patient as a practice knows them."""
    return {
        "resourceType": "Patient",
        "extension": [
            _extension(
                "EthnicCategory",
                {
                    "valueCodeableConcept": _concept(
                        "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategory",
                        "A",
                        "British, Mixed British",
                    )
                },
            )
        ],
        "identifier": [_identifier(NHS_NUMBER, "9000000009")],
        "active": True,
        "name": [{"use": "official", "family": "Smith", "given": ["Jane", "Anne"]}],
        "telecom": [{"system": "phone", "value": "0113 496 0000", "use": "mobile", "rank": 1}],
        "gender": "female",
        "birthDate": "1985-10-26",
        "address": [{"line": ["1 Trevelyan Square"], "city": "Leeds", "postalCode": "LS1 6AE"}],
        "communication": [{"language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en"}]}}],
        "managingOrganization": {"reference": "Organization/RR8"},
    }


def referral() -> Json:
    """A referral with its requester contained."""
    return {
        "resourceType": "ServiceRequest",
        "extension": [
            _extension(
                "SourceOfServiceRequest",
                {
                    "valueCodeableConcept": _concept(
                        SNOMED, "1077881000000105", "Referral by general practitioner"
                    )
                },
            )
        ],
        "contained": [
            {
                "resourceType": "PractitionerRole",
                "id": "requester",
                "practitioner": {"display": "Dr Amelia Hughes"},
                "telecom": [{"system": "phone", "value": "0113 496 0100"}],
            }
        ],
        "identifier": [_identifier("https://fhir.nhs.uk/Id/UBRN", "000000070000")],
        "status": "active",
        "intent": "order",
        "category": [_concept(SNOMED, "3457005", "Patient referral")],
        "priority": "urgent",
        "code": _concept(SNOMED, "183519002", "Referral to cardiology service"),
        "subject": {
            "reference": "Patient/1",
            "identifier": _identifier(NHS_NUMBER, "9000000009"),
        },
        "occurrencePeriod": {"start": "2026-02-11T14:00:00Z", "end": "2026-04-11T14:00:00Z"},
        "authoredOn": "2026-02-11T14:05:00+00:00",
        "requester": {"reference": "#requester"},
        "performer": [{"reference": "HealthcareService/1", "display": "Cardiology, Leeds"}],
        "reasonCode": [_concept(SNOMED, "29857009", "Chest pain")],
        "supportingInfo": [{"reference": "DocumentReference/1"}],
        "note": [{"time": "2026-02-11T14:04:00Z", "text": "Prefers mornings."}],
    }


def appointment() -> Json:
    """A booked appointment with two participants."""
    return {
        "resourceType": "Appointment",
        "extension": [
            _extension(
                "BookingOrganization", {"valueReference": {"reference": "Organization/B81001"}}
            )
        ],
        "status": "booked",
        "serviceType": [
            _concept(
                "http://terminology.hl7.org/CodeSystem/service-type", "221", "Surgery - General"
            )
        ],
        "appointmentType": _concept(
            "http://terminology.hl7.org/CodeSystem/v2-0276", "ROUTINE", "Routine appointment"
        ),
        "description": "First outpatient appointment, cardiology",
        "start": "2026-03-05T09:30:00+00:00",
        "end": "2026-03-05T09:45:00+00:00",
        "minutesDuration": 15,
        "slot": [{"reference": "Slot/1"}],
        "created": "2026-02-12T08:58:00+00:00",
        "basedOn": [{"reference": "ServiceRequest/1"}],
        "participant": [
            {"actor": {"reference": "Patient/1"}, "required": "required", "status": "accepted"},
            {"actor": {"reference": "Practitioner/1"}, "status": "accepted"},
        ],
    }


def bundle(size: int, *, claim: bool) -> Json:
    """A transaction of so many creations."""
    made = [patient(), referral(), appointment()]
    entries = [
        {
            "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
            "resource": claiming(made[number % 3]) if claim else copy.deepcopy(made[number % 3]),
            "request": {"method": "POST", "url": made[number % 3]["resourceType"]},
        }
        for number in range(size)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


def claiming(resource: Json) -> Json:
    """The resource with its profile of UK Core in meta.profile."""
    return {**resource, "meta": {"profile": [UK_CORE + resource["resourceType"]]}}


def cases(*, uk_core: bool) -> Iterator[Case]:
    """What is measured."""
    for made in (patient(), referral(), appointment()):
        name = made["resourceType"]
        plain = {key: value for key, value in made.items() if key != "extension"}
        yield Case(f"{name}, base rules", plain)
        yield Case(f"{name} with an extension", made)
        if uk_core:
            yield Case(f"{name} under UK Core", claiming(made))
        yield Case(f"{name}, with an error", {**made, "language": "?"})
        yield Case(f"{name}, $validate", made, explained=True)
    yield Case("Bundle of 20", bundle(20, claim=False))
    if uk_core:
        yield Case("Bundle of 20 under UK Core", bundle(20, claim=True))


def microseconds(act: Callable[[], object], rounds: int) -> float:
    """The CPU time of one call."""
    act()
    began = time.process_time()
    act()
    times = max(1, int(ROUND_SECONDS / max(time.process_time() - began, 1e-6)))
    took = []
    for _ in range(rounds):
        began = time.process_time()
        for _ in range(times):
            act()
        took.append((time.process_time() - began) / times)
    return statistics.median(took) * 1e6


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m bench.validation", description=__doc__)
    parser.add_argument("--package", type=Path, help="UK Core as a package or a folder of files")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    sources: list[Source] = [CoreDefinitions(), Folder(folder("profiles"))]
    with tempfile.TemporaryDirectory() as scratch:
        if given.package is not None:
            add(Path(scratch), given.package)
            sources.append(Packages(Path(scratch)))
        validator = Validator(Library(sources))
        table = Table("What", "Bytes", "µs", "Errors")
        for case in cases(uk_core=given.package is not None):
            check = validator.explain if case.explained else validator.validate
            cost = microseconds(partial(check, case.resource), given.rounds)
            errors = len(validator.validate(case.resource))
            table.add_row(
                case.name, str(len(orjson.dumps(case.resource))), f"{cost:,.0f}", str(errors)
            )
        Console().print(table)


if __name__ == "__main__":
    main()
