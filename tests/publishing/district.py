"""A district with a referral in every state, which follows from plain Appointments and Tasks."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

Json = dict[str, Any]
OURS = "https://fhir-server.example.org/StructureDefinition/"
NHS = "https://fhir.nhs.uk"
STATE = f"{NHS}/StructureDefinition/Extension-eRS-ServiceRequest-State"
WORKFLOW = f"{NHS}/CodeSystem/Workflow-Code"
TASKS = "https://fhir-server.example.org/CodeSystem/referral-task"
PRIORITY = f"{NHS}/CodeSystem/eRS-Priority"
SPECIALTY = f"{NHS}/CodeSystem/eRS-Specialty"
SERVICE_ID = f"{NHS}/Id/ers-service"
NHS_NUMBER = f"{NHS}/Id/nhs-number"


def days_ago(number: int) -> str:
    """That many days before now, as an instant."""
    return (datetime.now(UTC) - timedelta(days=number)).strftime("%Y-%m-%dT%H:%M:%SZ")


def coded(system: str, code: str) -> Json:
    return {"coding": [{"system": system, "code": code}]}


class District:
    """Everything has the district's own mark in its id; put() writes, find() gives labels back."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.mark = uuid.uuid4().hex[:10]
        self.service = self.ref("HealthcareService", "service")
        self.put("Organization", "practice", name="Practice")
        self.put("Organization", "elsewhere", name="Another practice")
        for label in ("practice", "elsewhere"):
            self.put("PractitionerRole", label, organization=self.reference("Organization", label))
        self.put("Patient", "patient", name=[{"family": "Example"}])
        self.put(
            "HealthcareService", "service", identifier=[{"system": SERVICE_ID, "value": self.mark}]
        )

    def id(self, label: str) -> str:
        return f"{self.mark}-{label}"

    def ref(self, kind: str, label: str) -> str:
        return f"{kind}/{self.id(label)}"

    def reference(self, kind: str, label: str) -> Json:
        return {"reference": self.ref(kind, label)}

    def put(self, kind: str, label: str, **content: Any) -> None:
        body = {"resourceType": kind, "id": self.id(label), **content}
        answer = self.client.put(self.ref(kind, label), json=body)
        assert answer.status_code in (200, 201), answer.text

    def referral(
        self,
        label: str,
        *,
        days: int = 80,
        by: str = "practice",
        **content: Any,
    ) -> None:
        """A referral of the patient to the service, whose pathway began so many days ago."""
        start = days_ago(days)
        began = {"url": OURS + "referral-pathway-start", "valueInstant": start}
        self.put("ServiceRequest", label, **({
            "meta": {"profile": [OURS + "referral"]},
            "extension": [began],
            "status": "active",
            "intent": "order",
            "category": [coded("http://snomed.info/sct", "3457005")],
            "priority": "routine",
            "subject": self.reference("Patient", "patient")
            | {"identifier": {"system": NHS_NUMBER, "value": self.mark}},
            "authoredOn": start,
            "requester": self.reference("PractitionerRole", by),
            "performerType": coded(SPECIALTY, "DERMATOLOGY"),
            "performer": [{"reference": self.service}],
        } | content))  # fmt: skip

    def task(
        self, label: str, code: str, status: str, about: str, due: str, **content: Any
    ) -> None:
        """What the service has to do about a referral."""
        self.put("Task", label, **({
            "status": status,
            "intent": "order",
            "code": coded(WORKFLOW if code.endswith("_DEFERRAL") else TASKS, code),
            "focus": self.reference("ServiceRequest", about),
            "for": self.reference("Patient", "patient"),
            "owner": {"reference": self.service},
            "authoredOn": "2026-10-01T09:00:00Z",
            "restriction": {"period": {"end": due}},
        } | content))  # fmt: skip

    def appointment(self, label: str, status: str, about: str, **content: Any) -> None:
        """The referral's appointment."""
        self.put("Appointment", label, **({
            "status": status,
            "basedOn": [self.reference("ServiceRequest", about)],
            "start": "2026-10-20T09:00:00Z",
            "end": "2026-10-20T09:20:00Z",
            "created": "2026-10-01T09:00:00Z",
            "participant": [
                {"actor": self.reference("Patient", "patient"), "status": "accepted"},
                {"actor": {"reference": self.service}, "status": "accepted"},
            ],
        } | content))  # fmt: skip

    def review(self, label: str) -> Json:
        """The Task to review the referral's appointment, which the server makes with it."""
        found = self.client.get(
            "Task", params={"focus": self.ref("ServiceRequest", label), "code": "REVIEW"}
        ).json()
        (entry,) = found["entry"]
        task: Json = entry["resource"]
        return task

    def read(self, kind: str, label: str) -> Json:
        """The stored resource."""
        found: Json = self.client.get(self.ref(kind, label)).json()
        return found

    def change(self, resource: Json, **content: Any) -> None:
        """The resource with other content."""
        answer = self.client.put(
            f"{resource['resourceType']}/{resource['id']}", json=resource | content
        )
        assert answer.status_code == 200, answer.text

    def state(self, label: str) -> str:
        """The state of a referral, as the server derives it."""
        stored = self.read("ServiceRequest", label)
        (held,) = (item for item in stored["extension"] if item["url"] == STATE)
        (code,) = (
            part["valueCoding"]["code"] for part in held["extension"] if part["url"] == "state"
        )
        return str(code)

    def label(self, resource: Json) -> str:
        """What the district calls a resource; a Task of the server's is called like its referral."""
        name: str = resource["id"]
        if not name.startswith(self.mark):
            name = resource["focus"]["reference"].partition("/")[2]
        return name.removeprefix(self.mark + "-")

    def find(self, query: str, mode: str = "match") -> list[str]:
        """The labels of what a strict search gives, in its order; # stands for this district's mark."""
        answer = self.client.get(
            query.replace("#", self.mark), headers={"prefer": "handling=strict"}
        )
        assert answer.status_code == 200, answer.text
        return [
            self.label(entry["resource"])
            for entry in answer.json().get("entry", ())
            if entry["search"]["mode"] == mode
        ]
