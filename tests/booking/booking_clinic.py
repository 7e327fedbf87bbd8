"""A clinic with free slots on a running server, and the ways to write to it."""

from __future__ import annotations

import itertools
import uuid
from datetime import UTC, datetime, timedelta

import httpx

FHIR = {"Content-Type": "application/fhir+json"}
OURS = "https://fhir-server.example.org"
CAPACITY = f"{OURS}/StructureDefinition/slot-capacity"
_STARTS = itertools.count()


def codes(outcome: dict) -> list[tuple[str, list[str]]]:
    """(issue code, [coding codes]) of every issue."""
    return [
        (
            item["code"],
            [coding["code"] for coding in item.get("details", {}).get("coding", [])],
        )
        for item in outcome["issue"]
    ]


class Clinic:
    """One Schedule with slots of its own, through one client."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.number = uuid.uuid4().hex[:12]
        self.start = datetime(2035, 1, 1, 9, tzinfo=UTC) + timedelta(days=next(_STARTS))
        self.schedule = f"schedule-{self.number}"
        self.patient = f"patient-{self.number}"
        self.ids = itertools.count(1)
        self.put({"resourceType": "Schedule", "id": self.schedule,
                  "actor": [{"reference": f"HealthcareService/service-{self.number}"}]})  # fmt: skip

    def put(self, resource: dict, **headers: str) -> httpx.Response:
        """PUT a resource that has an id."""
        path = f"{resource['resourceType']}/{resource['id']}"
        return self.client.put(path, json=resource, headers=FHIR | headers)

    def post(self, resource: dict, **headers: str) -> httpx.Response:
        """POST a resource."""
        return self.client.post(resource["resourceType"], json=resource, headers=FHIR | headers)

    def read(self, resource_type: str, logical_id: str) -> dict:
        """The current resource."""
        return self.client.get(f"{resource_type}/{logical_id}").json()

    def slot_resource(self, place: int = 0, **elements: object) -> dict:
        """A free slot of 20 minutes; place counts from the clinic's first hour."""
        start = self.start + timedelta(minutes=20 * place)
        return {
            "resourceType": "Slot",
            "id": f"slot-{self.number}-{next(self.ids)}",
            "schedule": {"reference": f"Schedule/{self.schedule}"},
            "status": "free",
            "start": start.isoformat(),
            "end": (start + timedelta(minutes=20)).isoformat(),
        } | elements

    def slot(self, place: int = 0, *, capacity: int = 1, **elements: object) -> dict:
        """A stored slot."""
        if capacity != 1:
            elements["extension"] = [{"url": CAPACITY, "valuePositiveInt": capacity}]
        resource = self.slot_resource(place, **elements)
        answer = self.put(resource)
        assert answer.status_code == 201, answer.text
        return resource

    def appointment(self, *slots: dict, **elements: object) -> dict:
        """A booked appointment for a patient of its own, not stored."""
        times: dict = {"start": slots[0]["start"], "end": slots[-1]["end"]} if slots else {}
        if slots:
            times["slot"] = [{"reference": f"Slot/{slot['id']}"} for slot in slots]
        return {
            "resourceType": "Appointment",
            "status": "booked",
            "participant": [{"actor": {"reference": f"Patient/{uuid.uuid4()}"}, "status": "accepted"}],
        } | times | elements  # fmt: skip

    def book(self, *slots: dict, **elements: object) -> dict:
        """A stored appointment."""
        answer = self.post(self.appointment(*slots, **elements))
        assert answer.status_code == 201, answer.text
        return answer.json()

    def status(self, slot: dict) -> str:
        """The slot's status now."""
        return self.read("Slot", slot["id"])["status"]
