"""The people and clinics of the story that journey.py plays: what a trust publishes before anybody can refer to it.

https://hl7.org/fhir/R4/healthcareservice.html, https://hl7.org/fhir/R4/schedule.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from fhirpy import SyncFHIRClient

Json = dict[str, Any]
FLOW = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
SPECIALTY = "https://example.org/specialty"
SLOT_NUMBER = "https://fhir.nhs.uk/Id/unique-slot-reference-number"
# Name -> how it takes requests, latitude, longitude.
SERVICES: dict[str, tuple[str, float, float]] = {
    "Knee clinic, Leeds": ("BOOKABLE", 53.80, -1.55),
    "Knee clinic, Bradford": ("BOOKABLE", 53.79, -1.75),
    "Knee clinic, York": ("BOOKABLE", 53.96, -1.08),
    "Knee triage": ("REVIEW", 53.81, -1.56),
    "Knee advice line": ("ADVICE_AND_GUIDANCE", 53.81, -1.56),
}
SURGERY = "53.80|-1.54"


def concept(system: str, code: str) -> Json:
    """A CodeableConcept with one coding."""
    return {"coding": [{"system": system, "code": code}]}


def parameters(**values: Any) -> Json:
    """A Parameters resource; lists are repeated, an underscore in a name is a hyphen."""
    listed = []
    for name, value in values.items():
        for item in value if isinstance(value, list) else [value]:
            kind = {dict: "valueReference", int: "valueInteger"}.get(type(item), "valueString")
            listed.append({"name": name.replace("_", "-"), kind: item})
    return {"resourceType": "Parameters", "parameter": listed}


class Region:
    """A trust with three knee clinics, a triage service and an advice line; a surgery; two patients."""

    def __init__(self, client: SyncFHIRClient, tag: str) -> None:
        self.client = client
        self.tag = tag
        self.specialty = f"knee-{tag}"
        self.monday = _monday_after(datetime.now(UTC) + timedelta(days=7))

    def create(self, resource_type: str, **elements: Any) -> Json:
        """POST a resource; as it was stored."""
        made: Json = dict(self.client.resource(resource_type, **elements).create())
        return made

    def found(self) -> None:
        """The organisations, people and services."""
        self.trust = self.create("Organization", name="Aire Valley Trust")
        surgery = self.create("Organization", name="Kirkgate Surgery")
        self.doctor = self.create(
            "PractitionerRole", organization=reference(surgery), code=[{"text": "Dr Imani Okoro"}]
        )
        self.patients = {
            name: self.create("Patient", name=[{"given": [name], "family": "Ashworth"}])
            for name in ("Ruth", "Tom")
        }
        self.services = {name: self._service(name) for name in SERVICES}

    def _service(self, name: str) -> Json:
        flow, latitude, longitude = SERVICES[name]
        position = {"latitude": latitude, "longitude": longitude}
        place = self.create("Location", name=name, position=position)
        return self.create(
            "HealthcareService",
            active=True,
            name=name,
            providedBy=reference(self.trust),
            location=[reference(place)],
            specialty=[concept(SPECIALTY, self.specialty)],
            characteristic=[concept(FLOW, flow)],
        )

    def publish(self, name: str, days_later: int) -> Json:
        """A morning of six routine slots of a service; its Schedule."""
        schedule = self.create("Schedule", actor=[reference(self.services[name])])
        start = self.monday + timedelta(days=days_later)
        asked = parameters(start=f"{start:%Y-%m-%dT09:00}", slot_minutes=20, session_minutes=120)
        self.client.execute(f"Schedule/{schedule['id']}/$generate", "post", data=asked)
        return schedule

    def publish_urgent(self, schedule: Json) -> None:
        """Three slots on the first afternoon that only urgent referrals may have."""
        start = self.monday.replace(hour=14)
        entries = []
        for number in range(3):
            begin = start + timedelta(minutes=20 * number)
            slot = {
                "resourceType": "Slot",
                "identifier": [{"system": SLOT_NUMBER, "value": f"{self.tag}-{number}"}],
                "appointmentType": concept(PRIORITY, "URGENT"),
                "schedule": reference(schedule),
                "status": "free",
                "start": begin.isoformat(),
                "end": (begin + timedelta(minutes=20)).isoformat(),
            }
            entries.append({"resource": slot})
        bundle = {"resourceType": "Bundle", "type": "collection", "entry": entries}
        self.client.execute("Slot/$publish", "post", data=bundle)


def reference(resource: Json) -> Json:
    """A Reference to it."""
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def _monday_after(moment: datetime) -> datetime:
    day = moment + timedelta(days=7 - moment.weekday())
    return day.replace(hour=9, minute=0, second=0, microsecond=0)
