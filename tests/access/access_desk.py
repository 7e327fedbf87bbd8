"""People of different roles before one server: each is a desk whose requests carry the gateway's headers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod
from typing import Any

import httpx
from referral_desk import Desk

ROLE = "NHSD-eRS-Business-Function"
ORGANISATION = "NHSD-End-User-Organisation-ODS"
PATIENT = "NHSD-Patient"
ON_BEHALF = "NHSD-eRS-On-Behalf-Of-User-ID"
ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"


class Asking:
    """A client for somebody in a role, through the gateway's connection; in the names of headers - is _."""

    def __init__(self, gateway: httpx.Client, role: str, **headers: str) -> None:
        self.gateway = gateway
        self.headers = {ROLE: role} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }

    def request(
        self, method: str, path: str, headers: dict[str, str] | None = None, **sent: Any
    ) -> httpx.Response:
        """The answer to a request with the headers that the gateway adds."""
        return self.gateway.request(method, path, headers=self.headers | (headers or {}), **sent)

    get = partialmethod(request, "GET")
    put = partialmethod(request, "PUT")
    post = partialmethod(request, "POST")
    delete = partialmethod(request, "DELETE")


class Person(Desk):
    """A desk of somebody, with the patient, requester and services of another desk."""

    def __init__(self, client: Any, of: Desk) -> None:
        self.__dict__.update(of.__dict__)
        self.client = client

    def sees(self, resource: dict[str, Any]) -> bool:
        """Whether a read is answered; a refusal is that of what does not exist."""
        name = f"{resource['resourceType']}/{resource['id']}"
        answer = self.client.get(name)
        if answer.status_code == 200:
            return True
        assert answer.status_code == 404, answer.text
        assert answer.json()["issue"][0]["diagnostics"] == f"There is no {name}"
        return False


class World:
    """practice and trust have to do with the referrals of desk; other_practice, other_trust and stranger do not.

    system sees everything. asking: gives a client for a role, with the headers named with _ for -.
    """

    def __init__(self, asking: Callable[..., Any]) -> None:
        self.asking = asking
        self.desk = desk = Desk(asking("system"))
        desk.patient["identifier"] = {"system": NHS_NUMBER, "value": desk.number}
        self.number = number = desk.number
        self.practice_id, self.trust_id = (
            f"gp-{number}",
            desk.provider["reference"].partition("/")[2],
        )
        organisations = (self.practice_id, f"x-gp-{number}", f"x-trust-{number}", self.trust_id)
        self.other_requester = f"PractitionerRole/x-{number}"
        identified = [{"system": NHS_NUMBER, "value": number}]
        made = desk.transaction(
            *(("PUT", _organisation(item)) for item in organisations),
            ("PUT", _role(desk.requester["reference"], self.practice_id)),
            ("PUT", _role(self.other_requester, f"x-gp-{number}")),
            ("PUT", {"resourceType": "Patient", "id": f"p-{number}", "identifier": identified}),
            ("PUT", {"resourceType": "Patient", "id": f"x-{number}"}),
        )
        assert made.status_code == 200, made.text
        self.system = Person(desk.client, desk)
        self.practice = self.at("REFERRING_CLINICIAN", self.practice_id)
        self.other_practice = self.at("REFERRING_CLINICIAN", f"x-gp-{number}")
        self.trust = self.at("SERVICE_PROVIDER_CLINICIAN", self.trust_id)
        self.other_trust = self.at("SERVICE_PROVIDER_CLINICIAN", f"x-trust-{number}")
        self.patient = Person(self.asking("patient", NHSD_Patient=f"Patient/p-{number}"), desk)
        self.stranger = Person(self.asking("patient", NHSD_Patient=f"Patient/x-{number}"), desk)

    def at(self, role: str, organisation: str, **headers: str) -> Person:
        """Somebody in a role at an organisation."""
        headers |= {ORGANISATION.replace("-", "_"): f"Organization/{organisation}"}
        return Person(self.asking(role, **headers), self.desk)

    def outsiders(self) -> list[Person]:
        """Who has nothing to do with the referral of the desk."""
        return [self.other_practice, self.other_trust, self.stranger]

    def letter(self, referral: dict[str, Any]) -> dict[str, Any]:
        """A stored letter of a referral."""
        return self.system.made({
            "resourceType": "DocumentReference",
            "status": "current",
            "content": [{"attachment": {"title": "letter"}}],
            "context": {"related": [{"reference": f"ServiceRequest/{referral['id']}"}]},
        })  # fmt: skip


def _organisation(logical_id: str) -> dict[str, Any]:
    return {
        "resourceType": "Organization",
        "id": logical_id,
        "name": logical_id,
        "identifier": [{"system": ODS, "value": logical_id.upper()}],
    }


def _role(reference: str, organisation: str) -> dict[str, Any]:
    return {
        "resourceType": "PractitionerRole",
        "id": reference.partition("/")[2],
        "organization": {"reference": f"Organization/{organisation}"},
    }


def alone(person: Desk, resource: dict[str, Any]) -> Any:
    """Write it by a request of its own."""
    return person.put(resource) if "id" in resource else person.post(resource)


def within(person: Desk, resource: dict[str, Any]) -> Any:
    """Write it by a transaction."""
    return person.transaction(("PUT" if "id" in resource else "POST", resource))
