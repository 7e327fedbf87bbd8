"""A patient to refer, services to refer to with slots to book, and the ways to write about it, on a running server."""

from __future__ import annotations

import copy
import itertools
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

FHIR = {"Content-Type": "application/fhir+json"}
OURS = "https://fhir-server.example.org"
PATHWAY = f"{OURS}/StructureDefinition/referral-pathway-start"
STOP = f"{OURS}/StructureDefinition/referral-clock-stop"
PAUSE = f"{OURS}/StructureDefinition/referral-clock-pause"
CONVERSION = f"{OURS}/StructureDefinition/provider-conversion-authorisation"
AVAILABILITY = f"{OURS}/StructureDefinition/attachment-availability"
PRIORITY = "https://fhir.nhs.uk/StructureDefinition/Extension-ServiceRequest-Priority"
STATE = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-ServiceRequest-State"
STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
UBRN = "https://fhir.nhs.uk/Id/UBRN"
FLOW = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
WORKFLOW = "https://fhir.nhs.uk/CodeSystem/Workflow-Code"
TASKS = f"{OURS}/CodeSystem/referral-task"
REFERRAL_REASONS = f"{OURS}/CodeSystem/referral-cancellation-reason"
APPOINTMENT_REASONS = f"{OURS}/CodeSystem/referral-appointment-cancellation-reason"
HTTP_CODES = "https://fhir.nhs.uk/Codesystem/http-error-codes"
RULE_CODES = "https://fhir.nhs.uk/CodeSystem/ers-error-codes"
_STARTS = itertools.count()


def concept(system: str, code: str) -> dict[str, Any]:
    return {"coding": [{"system": system, "code": code}]}


def without(resource: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in resource.items() if name not in names}


def with_extension(resource: dict[str, Any], url: str, **value: Any) -> dict[str, Any]:
    """A copy in which the extension has that value; none removes it."""
    kept = [item for item in resource.get("extension", []) if item["url"] != url]
    added = [{"url": url} | value] if value else []
    return without(copy.deepcopy(resource), "extension") | (
        {"extension": kept + added} if kept + added else {}
    )


def extension(resource: dict[str, Any], url: str) -> dict[str, Any] | None:
    return next((item for item in resource.get("extension", []) if item["url"] == url), None)


def state_of(referral: dict[str, Any]) -> str | None:
    found = extension(referral, STATE)
    if found is None:
        return None
    return next(
        item["valueCoding"]["code"] for item in found["extension"] if item["url"] == "state"
    )


def ubrn_of(referral: dict[str, Any]) -> str:
    return next(item["value"] for item in referral["identifier"] if item["system"] == UBRN)


def revoked(referral: dict[str, Any], code: str = "PATIENT_DIED", note: str = "") -> dict[str, Any]:
    made = with_extension(
        referral, STATUS_REASON, valueCodeableConcept=concept(REFERRAL_REASONS, code)
    )
    return made | {"status": "revoked"} | ({"note": [{"text": note}]} if note else {})


def refused(answer: httpx.Response, status: int, code: str, rule: str, *expressions: str) -> None:
    """The answer is that refusal, with both codings and something to do about it."""
    assert answer.status_code == status, answer.text
    (issue,) = answer.json()["issue"]
    codings = {item["system"]: item["code"] for item in issue["details"]["coding"]}
    assert (issue["code"], codings[RULE_CODES]) == (code, rule), answer.text
    assert codings[HTTP_CODES].startswith("REC_")
    assert issue["diagnostics"]
    assert issue["expression"]
    for expected in expressions:
        assert any(found.endswith(expected) for found in issue["expression"]), issue


class Desk:
    """Everything with ids of its own, through one client."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.number = uuid.uuid4().hex[:12]
        self.start = datetime(2030, 1, 7, 9, tzinfo=UTC) + timedelta(days=next(_STARTS))
        self.places = itertools.count()
        self.patient = {"reference": f"Patient/p-{self.number}"}
        self.requester = {"reference": f"PractitionerRole/r-{self.number}"}
        self.provider = {"reference": f"Organization/o-{self.number}"}
        self.put({"resourceType": "Patient", "id": f"p-{self.number}"})
        self.put({"resourceType": "PractitionerRole", "id": f"r-{self.number}"})
        self.put({"resourceType": "Organization", "id": f"o-{self.number}", "name": "Trust"})

    def put(self, resource: dict[str, Any], **headers: str) -> httpx.Response:
        path = f"{resource['resourceType']}/{resource['id']}"
        return self.client.put(path, json=resource, headers=FHIR | headers)

    def post(self, resource: dict[str, Any], **headers: str) -> httpx.Response:
        return self.client.post(resource["resourceType"], json=resource, headers=FHIR | headers)

    def transaction(self, *entries: tuple[str, dict[str, Any]]) -> httpx.Response:
        """POST a transaction of (method, resource); a resource without an id is created."""
        listed = []
        for method, resource in entries:
            name = resource["resourceType"]
            url = name if method == "POST" else f"{name}/{resource['id']}"
            entry: dict[str, Any] = {"request": {"method": method, "url": url}}
            if method != "DELETE":
                entry |= {"fullUrl": f"urn:uuid:{uuid.uuid4()}", "resource": resource}
            listed.append(entry)
        bundle = {"resourceType": "Bundle", "type": "transaction", "entry": listed}
        return self.client.post("", json=bundle, headers=FHIR)

    def operation(self, referral: dict[str, Any], code: str, **values: Any) -> httpx.Response:
        """POST ServiceRequest/[id]/$code; the values are named as value[x] or left to be guessed."""
        listed = []
        for name, value in values.items():
            name = name.replace("_", "-")
            if isinstance(value, dict):
                kind = "valueReference" if "reference" in value else "valueCodeableConcept"
            else:
                kind = "valueString"
            listed.append({"name": name, kind: value})
        body = {"resourceType": "Parameters"} | ({"parameter": listed} if listed else {})
        return self.client.post(f"ServiceRequest/{referral['id']}/${code}", json=body, headers=FHIR)

    def read(self, resource: dict[str, Any]) -> dict[str, Any]:
        return self.client.get(f"{resource['resourceType']}/{resource['id']}").json()

    def state(self, referral: dict[str, Any]) -> str | None:
        return state_of(self.read(referral))

    def made(self, resource: dict[str, Any]) -> dict[str, Any]:
        answer = self.put(resource) if "id" in resource else self.post(resource)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def service(self, flow: str | None = None, **elements: Any) -> dict[str, Any]:
        """A stored service; flow: how it takes requests."""
        resource: dict[str, Any] = {
            "resourceType": "HealthcareService",
            "active": True,
            "providedBy": self.provider,
        }
        if flow:
            resource["characteristic"] = [concept(FLOW, flow)]
        return self.made(resource | elements)

    def slot(self, service: dict[str, Any], **elements: Any) -> dict[str, Any]:
        """A stored free slot of the service."""
        schedule = self.made(
            {
                "resourceType": "Schedule",
                "actor": [{"reference": f"HealthcareService/{service['id']}"}],
            }
        )
        start = self.start + timedelta(minutes=20 * next(self.places))
        return self.made({
            "resourceType": "Slot",
            "schedule": {"reference": f"Schedule/{schedule['id']}"},
            "status": "free",
            "start": start.isoformat(),
            "end": (start + timedelta(minutes=20)).isoformat(),
        } | elements)  # fmt: skip

    def referral_to(self, *services: dict[str, Any], **elements: Any) -> dict[str, Any]:
        """A referral, not stored."""
        return {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "category": [
                concept("http://snomed.info/sct", "3457005"),
                concept(
                    "https://fhir.nhs.uk/CodeSystem/message-category-servicerequest", "referral"
                ),
            ],
            "priority": "routine",
            "subject": self.patient,
            "requester": self.requester,
            "authoredOn": "2026-01-01T09:00:00Z",
            "performerType": concept("https://fhir.nhs.uk/CodeSystem/eRS-Specialty", "CARDIOLOGY"),
            "performer": [{"reference": f"HealthcareService/{item['id']}"} for item in services],
        } | elements

    def referral(self, *services: dict[str, Any], **elements: Any) -> dict[str, Any]:
        """A stored referral."""
        return self.made(self.referral_to(*services, **elements))

    def advice_to(self, service: dict[str, Any], **elements: Any) -> dict[str, Any]:
        """A request for advice, not stored."""
        made = self.referral_to(service) | {
            "category": [
                concept("https://fhir.nhs.uk/CodeSystem/message-category-servicerequest", "request")
            ],
            "code": concept(
                "https://fhir.nhs.uk/CodeSystem/servicerequest-code", "advice-and-guidance"
            ),
        }
        return made | elements

    def appointment(
        self, referral: dict[str, Any], *slots: dict[str, Any], **elements: Any
    ) -> dict[str, Any]:
        """A booked appointment of the referral, not stored."""
        return {
            "resourceType": "Appointment",
            "status": "booked",
            "basedOn": [{"reference": f"ServiceRequest/{referral['id']}"}],
            "slot": [{"reference": f"Slot/{item['id']}"} for item in slots],
            "start": slots[0]["start"],
            "end": slots[-1]["end"],
            "participant": [{"actor": self.patient, "status": "accepted"}],
        } | elements

    def task(
        self,
        referral: dict[str, Any],
        code: str,
        service: dict[str, Any] | None = None,
        **elements: Any,
    ) -> dict[str, Any]:
        """A requested Task of the referral, not stored."""
        system = WORKFLOW if code.endswith("_DEFERRAL") else TASKS
        owner = {"owner": {"reference": f"HealthcareService/{service['id']}"}} if service else {}
        return {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "code": concept(system, code),
            "focus": {"reference": f"ServiceRequest/{referral['id']}"},
        } | owner | elements  # fmt: skip

    def tasks(self, referral: dict[str, Any], code: str | None = None) -> list[dict[str, Any]]:
        """The Tasks of the referral."""
        found = self.client.get(
            "Task", params={"focus": f"ServiceRequest/{referral['id']}", "_count": 100}
        ).json()
        listed = [item["resource"] for item in found.get("entry", [])]
        return [
            item for item in listed if code is None or item["code"]["coding"][0]["code"] == code
        ]

    def provenances(self, resource: dict[str, Any]) -> list[list[str]]:
        """The targets of the Provenances about a resource."""
        name = f"{resource['resourceType']}/{resource['id']}"
        found = self.client.get("Provenance", params={"target": name, "_count": 100}).json()
        return [
            [target["reference"] for target in item["resource"]["target"]]
            for item in found.get("entry", [])
        ]
