"""What the people of journey.py can do: each method is a request or two, and every request is told.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import uuid
from base64 import b64encode
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote, urlsplit

from fhirpy import SyncFHIRClient
from journey_region import SPECIALTY, Region, concept, parameters, reference

Json = dict[str, Any]
CATEGORY = "https://fhir.nhs.uk/CodeSystem/message-category-servicerequest"


class Desk:
    """An unmodified client with a hook that tells each request and its status."""

    def __init__(self, base: str, tell: Callable[[str], None]) -> None:
        self.base = base
        self.tell = tell
        hooks = {"response": self._told}
        self.client = SyncFHIRClient(base, requests_config={"hooks": hooks, "timeout": 30})
        self.region = Region(self.client, uuid.uuid4().hex[:8])

    def about(self, patient: str, priority: str) -> Json:
        """What a referral and a request for advice have in common."""
        return {
            "status": "active",
            "intent": "order",
            "priority": priority,
            "subject": reference(self.region.patients[patient]),
            "requester": reference(self.region.doctor),
            "performerType": concept(SPECIALTY, self.region.specialty),
            "authoredOn": datetime.now(UTC).isoformat(timespec="seconds"),
        }

    def referral(self, patient: str, services: list[Json], priority: str) -> Json:
        """Refer a patient to a shortlist of services."""
        return self.region.create(
            "ServiceRequest",
            category=[concept("http://snomed.info/sct", "3457005"), concept(CATEGORY, "referral")],
            performer=[reference(item) for item in services],
            **self.about(patient, priority),
        )

    def letter(self, referral: Json, text: str) -> None:
        """Send a letter that belongs to the referral."""
        sent = self.client.resource(
            "Binary", contentType="text/plain", data=b64encode(text.encode()).decode()
        ).create()
        attachment = {"contentType": "text/plain", "title": "Letter", "url": f"Binary/{sent['id']}"}
        self.region.create(
            "DocumentReference",
            status="current",
            content=[{"attachment": attachment}],
            context={"related": [reference(referral)]},
        )

    def appointment(self, patient: str, referral: Json, slot: Json) -> Json:
        """Book a slot for the referral."""
        actor = reference(self.region.patients[patient])
        return self.region.create(
            "Appointment",
            status="booked",
            basedOn=[reference(referral)],
            slot=[reference(slot)],
            start=slot["start"],
            end=slot["end"],
            participant=[{"actor": actor, "status": "accepted"}],
        )

    def say(self, message: Json, sender: Json, text: str) -> None:
        """Send a message of a conversation about advice."""
        self.region.create(
            "Communication", sender=sender, payload=[{"contentString": text}], **message
        )

    def times(self, referral: Json) -> list[Json]:
        """The times that a referral can have, in the services of its shortlist."""
        start = self.region.monday.date()
        identifier = {"system": "https://fhir.nhs.uk/Id/UBRN", "value": ubrn_of(referral)}
        asked = {
            "resourceType": "Parameters",
            "parameter": [
                {"name": "start", "valueDateTime": start.isoformat()},
                {"name": "end", "valueDateTime": (start + timedelta(days=365)).isoformat()},
                {"name": "referral-identifier", "valueIdentifier": identifier},
                {"name": "patient-reference", "valueReference": referral["subject"]},
            ],
        }
        found = self.client.execute("Appointment/$find", "post", data=asked)
        return [entry["resource"] for entry in found["entry"] if entry["search"]["mode"] == "match"]

    def book_proposal(self, referral: Json, proposal: Json) -> Json:
        """Hold a proposed time, then book it for the referral."""
        held = self.do("Appointment", proposal, "hold")["entry"][0]["resource"]
        wanted = held | {"status": "booked", "basedOn": [reference(referral)]}
        asked = {"name": "appointment-resource", "resource": wanted}
        body = {"resourceType": "Parameters", "parameter": [asked]}
        booked: Json = self.client.execute("Appointment/$book", "post", data=body)["entry"][0]
        return booked["resource"]

    def urgent_slots(self, schedule: Json) -> list[Json]:
        """Free slots that only urgent referrals may have."""
        return self.free(schedule, **{"appointment-type": "URGENT"})

    def free(self, schedule: Json, **asked: str) -> list[Json]:
        """Free slots of a Schedule, the first one first."""
        slots = self.client.resources("Slot").search(
            status="free", schedule=schedule["id"], **asked
        )
        return [dict(item) for item in slots.sort("start").fetch()]

    def tasks(self, referral: Json, code: str, by: str = "focus") -> list[Json]:
        """The requested Tasks of that code; by: the search parameter that names the referral."""
        asked = {by: f"ServiceRequest/{referral['id']}", "code": code, "status": "requested"}
        found = self.client.resources("Task").search(**asked)
        return [dict(item) for item in found.fetch()]

    def change(self, referral: Json, **elements: Any) -> None:
        """Read the referral, and write it with other elements."""
        current = self.client.reference("ServiceRequest", referral["id"]).to_resource()
        for name, value in elements.items():
            current[name] = value
        current.save()

    def do(self, resource_type: str, resource: Json, code: str, **values: Any) -> Json:
        """POST an operation of a resource."""
        path = f"{resource_type}/{resource['id']}/${code}"
        answer: Json = self.client.execute(path, "post", data=parameters(**values))
        return answer

    def matches(self, path: str, asked: dict[str, str]) -> list[Json]:
        """What a search by GET finds."""
        found = self.client.execute(path, "get", params=asked)
        return [entry["resource"] for entry in found["entry"] if entry["search"]["mode"] == "match"]

    def _told(self, answer: Any, **_: Any) -> None:
        asked = answer.request
        path = unquote(urlsplit(asked.url).path.removeprefix(urlsplit(self.base).path + "/"))
        query = unquote(urlsplit(asked.url).query)
        line = f"{asked.method} {path}" + (f"?{query}" if query else "")
        self.tell(f"  {answer.status_code}  {line[:130]}")


def ubrn_of(referral: Json) -> str:
    """The number that a referral and the advice it came of share."""
    systems = {item["system"]: item["value"] for item in referral["identifier"]}
    found: str = systems["https://fhir.nhs.uk/Id/UBRN"]
    return found
