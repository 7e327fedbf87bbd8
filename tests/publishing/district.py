"""A district with a referral in every state, written as plain resources.

Each state follows from the referral, its Appointment and its Tasks, so a server that derives states agrees; only where
the server has not written the state itself the extension is sent.
"""

from __future__ import annotations

import uuid
from typing import Any

import httpx

Json = dict[str, Any]
OURS = "https://fhir-server.example.org/StructureDefinition/"
NHS = "https://fhir.nhs.uk"
STATE = f"{NHS}/StructureDefinition/Extension-eRS-ServiceRequest-State"
STATES = f"{NHS}/CodeSystem/eRS-ReferralState"
WORKFLOW = f"{NHS}/CodeSystem/Workflow-Code"
PRIORITY = f"{NHS}/CodeSystem/eRS-Priority"
SPECIALTY = f"{NHS}/CodeSystem/eRS-Specialty"
SERVICE_ID = f"{NHS}/Id/ers-service"
NHS_NUMBER = f"{NHS}/Id/nhs-number"


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
        start: str = "2026-09-01T09:00:00Z",
        by: str = "practice",
        **content: Any,
    ) -> None:
        """A referral of the patient to the service."""
        began = {"url": OURS + "referral-pathway-start", "valueInstant": start}
        self.put("ServiceRequest", label, **({
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
        self.put(
            "Task",
            label,
            status=status,
            intent="order",
            code=coded(WORKFLOW, code),
            focus=self.reference("ServiceRequest", about),
            owner={"reference": self.service},
            authoredOn="2026-10-01T09:00:00Z",
            lastModified="2026-10-02T09:00:00Z",
            restriction={"period": {"end": due}},
            **{"for": self.reference("Patient", "patient")},
            **content,
        )

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

    def state(self, label: str, code: str) -> None:
        """The referral is in that state: written by the server, or here."""
        stored = self.client.get(self.ref("ServiceRequest", label)).json()
        held = [item for item in stored["extension"] if item["url"] == STATE]
        if held:
            codes = [
                part["valueCoding"]["code"]
                for part in held[0]["extension"]
                if part["url"] == "state"
            ]
            assert codes == [code], label
            return
        part = {"url": "state", "valueCoding": {"system": STATES, "code": code}}
        stored["extension"].append({"url": STATE, "extension": [part]})
        answer = self.client.put(self.ref("ServiceRequest", label), json=stored)
        assert answer.status_code == 200, answer.text

    def find(self, query: str, mode: str = "match") -> list[str]:
        """The labels of what a strict search gives, in its order; # stands for this district's mark."""
        answer = self.client.get(
            query.replace("#", self.mark), headers={"prefer": "handling=strict"}
        )
        assert answer.status_code == 200, answer.text
        return [
            entry["resource"]["id"].removeprefix(self.mark + "-")
            for entry in answer.json().get("entry", ())
            if entry["search"]["mode"] == mode
        ]
