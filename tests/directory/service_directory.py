"""Services with clinics, places and referrals on a running server, each test with ids and codes of its own."""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import httpx

FHIR = {"Content-Type": "application/fhir+json"}
OURS = "https://fhir-server.example.org"
WAIT = f"{OURS}/StructureDefinition/service-wait"
PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
FLOW = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
SPECIALTY = "https://example.org/specialty"
PATHWAY_START = f"{OURS}/StructureDefinition/referral-pathway-start"


def instant(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class Directory:
    """What is put on the server, under ids that no other test uses."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.number = uuid.uuid4().hex[:12]
        self.counter = itertools.count(1)
        self.specialty = f"specialty-{self.number}"
        self.now = datetime.now(UTC)

    def name(self, kind: str) -> str:
        return f"{kind}-{self.number}-{next(self.counter)}"

    def put(self, resource: dict) -> dict:
        path = f"{resource['resourceType']}/{resource['id']}"
        answer = self.client.put(path, json=resource, headers=FHIR)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def location(self, latitude: float | None, longitude: float | None, postcode: str = "") -> str:
        made: dict = {"resourceType": "Location", "id": self.name("location"), "status": "active"}
        if latitude is not None:
            made["position"] = {"latitude": latitude, "longitude": longitude}
        if postcode:
            made["address"] = {"postalCode": postcode}
        self.put(made)
        return f"Location/{made['id']}"

    def service(self, *locations: str, flow: str = "BOOKABLE", **elements: object) -> dict:
        made = {
            "resourceType": "HealthcareService",
            "id": self.name("service"),
            "active": True,
            "name": "Clinic",
            "specialty": [{"coding": [{"system": SPECIALTY, "code": self.specialty}]}],
            "characteristic": [{"coding": [{"system": FLOW, "code": flow}]}],
        }
        if locations:
            made["location"] = [{"reference": item} for item in locations]
        return self.put(made | elements)

    def schedule(self, service: dict) -> str:
        made = {
            "resourceType": "Schedule",
            "id": self.name("schedule"),
            "actor": [{"reference": f"HealthcareService/{service['id']}"}],
        }
        self.put(made)
        return f"Schedule/{made['id']}"

    def slot(
        self, schedule: str, start: datetime, priority: str = "ROUTINE", status: str = "free"
    ) -> dict:
        made = {
            "resourceType": "Slot",
            "id": self.name("slot"),
            "schedule": {"reference": schedule},
            "status": status,
            "start": instant(start),
            "end": instant(start + timedelta(minutes=20)),
            "appointmentType": {"coding": [{"system": PRIORITY, "code": priority}]},
        }
        return self.put(made)

    def referral(self, service: dict | None = None, **elements: object) -> dict:
        made = {
            "resourceType": "ServiceRequest",
            "id": self.name("referral"),
            "status": "active",
            "intent": "order",
            "subject": {"reference": "Patient/somebody"},
            "performerType": {"coding": [{"system": SPECIALTY, "code": self.specialty}]},
        }
        if service is not None:
            made["performer"] = [{"reference": f"HealthcareService/{service['id']}"}]
        return self.put(made | elements)

    def book(self, slot: dict, service: dict, referral: dict | None = None) -> dict:
        made = {
            "resourceType": "Appointment",
            "id": self.name("appointment"),
            "status": "booked",
            "start": slot["start"],
            "end": slot["end"],
            "slot": [{"reference": f"Slot/{slot['id']}"}],
            "participant": [
                {"actor": {"reference": "Patient/somebody"}, "status": "accepted"},
                {
                    "actor": {"reference": f"HealthcareService/{service['id']}"},
                    "status": "accepted",
                },
            ],
        }
        if referral is not None:
            made["basedOn"] = [{"reference": f"ServiceRequest/{referral['id']}"}]
        return self.put(made)

    def waits(self, service: dict) -> dict:
        """The figures that the service shows now, by their names."""
        read = self.client.get(f"HealthcareService/{service['id']}").json()
        for item in read.get("extension", ()):
            if item["url"] == WAIT:
                return {each["url"]: value_of(each) for each in item["extension"]}
        return {}

    def until(self, service: dict, passed: Callable[[dict], bool], seconds: float = 60) -> dict:
        """The figures of the service once they are as wanted; the server has a minute for it."""
        end = time.monotonic() + seconds
        while True:
            shown = self.waits(service)
            if passed(shown):
                return shown
            assert time.monotonic() < end, shown
            time.sleep(0.1)


def value_of(extension: dict) -> object:
    (value,) = (value for name, value in extension.items() if name.startswith("value"))
    return value


def started(moment: datetime) -> dict:
    """The extension that says when the clock started."""
    return {"extension": [{"url": PATHWAY_START, "valueInstant": instant(moment)}]}


def parameters(**values: tuple[str, object]) -> dict:
    """A Parameters resource: name_of_it=("valueString", "x"); underscores are hyphens."""
    listed = [
        {"name": name.replace("_", "-"), kind: value} for name, (kind, value) in values.items()
    ]
    return {"resourceType": "Parameters", "parameter": listed}


def told(bundle: dict) -> list[str]:
    """What the outcome of a searchset says."""
    return [
        issue["diagnostics"]
        for entry in bundle.get("entry", ())
        if entry["resource"]["resourceType"] == "OperationOutcome"
        for issue in entry["resource"]["issue"]
    ]


def ids(bundle: dict) -> list[str]:
    """The ids of the matches of a searchset."""
    return [
        entry["resource"]["id"]
        for entry in bundle.get("entry", ())
        if entry["search"]["mode"] == "match"
    ]
