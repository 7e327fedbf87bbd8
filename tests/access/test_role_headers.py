"""Who asks, the gateway tells in headers; who is not known may do nothing (https://hl7.org/fhir/R4/security.html)."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from access_desk import NHS_NUMBER, ON_BEHALF, ORGANISATION, PATIENT, ROLE, World


@pytest.fixture
def plain(guarded: str) -> Iterator[httpx.Client]:
    """Without any header."""
    with httpx.Client(base_url=guarded, timeout=30) as client:
        yield client


@pytest.mark.rule(15, "http#Status-Codes")
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {ROLE: "CHIEF"},
        {ROLE: "referrer"},
        {ROLE: "REFERRING_CLINICIAN", ORGANISATION: ""},
        {ROLE: "REFERRING_CLINICIAN", ORGANISATION: "a|b"},
        {ROLE: "SERVICE_PROVIDER_CLINICIAN", PATIENT: "Patient/1"},
        {ROLE: "patient", ORGANISATION: "Organization/1"},
    ],
)
def test_who_is_not_known_is_forbidden(plain: httpx.Client, headers: dict[str, str]) -> None:
    for method, path in (
        ("GET", "ServiceRequest"),
        ("GET", "Patient/1"),
        ("GET", "_history"),
        ("POST", "ServiceRequest/_search"),
        ("DELETE", "Slot/1"),
        ("GET", "ValueSet/$expand?url=http://hl7.org/fhir/ValueSet/request-status"),
    ):
        answer = plain.request(method, path, headers=headers)
        assert answer.status_code == 403, path
        (issue,) = answer.json()["issue"]
        assert issue["code"] == "forbidden"
        assert issue["diagnostics"]


def test_a_batch_of_somebody_unknown_is_forbidden(plain: httpx.Client) -> None:
    entry = {"request": {"method": "GET", "url": "ServiceRequest"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    assert plain.post("", json=bundle).status_code == 403


def test_what_the_server_can_do_everybody_may_know(plain: httpx.Client) -> None:
    assert plain.get("metadata").status_code == 200
    assert plain.options("ServiceRequest").status_code == 204


@pytest.mark.parametrize("name", [ROLE, ORGANISATION])
def test_a_header_that_was_slipped_in_beside_the_gateways_is_forbidden(
    plain: httpx.Client, name: str
) -> None:
    told = [(ROLE, "REFERRING_CLINICIAN"), (ORGANISATION, "Organization/1")]
    assert plain.get("Patient", headers=told).status_code == 200
    twice = [*told, (name, dict(told)[name])]
    assert plain.get("Patient", headers=twice).status_code == 403


def test_an_organisation_is_named_by_reference_or_by_its_ods_code(world: World) -> None:
    referral = world.practice.referral(world.desk.service())
    client = world.practice.client
    assert world.practice.sees(referral)
    client.headers[ORGANISATION] = world.practice_id.upper()
    assert world.practice.sees(referral)
    client.headers[ORGANISATION] = world.other_requester.partition("/")[2].upper()
    assert not world.practice.sees(referral)
    assert client.get("ServiceRequest").json()["total"] == 0


def test_a_patient_is_named_by_reference_or_by_nhs_number(world: World) -> None:
    referral = world.practice.referral(world.desk.service())
    client = world.patient.client
    assert world.patient.sees(referral)
    client.headers[PATIENT] = world.number
    assert world.patient.sees(referral)
    client.headers[PATIENT] = "0000000000"
    assert not world.patient.sees(referral)
    found = client.get("Patient", params={"identifier": f"{NHS_NUMBER}|{world.number}"}).json()
    assert found["total"] == 0


def test_a_client_is_known_by_its_organisation(world: World) -> None:
    """So a key sent by one organisation is not answered with what another one did under it."""
    key = {"Idempotency-Key": f"key-{world.number}"}
    sent = {"resourceType": "Patient", "active": True}
    first = world.practice.client.post("Patient", json=sent, headers=key)
    again = world.practice.client.post("Patient", json=sent, headers=key)
    other = world.other_practice.client.post("Patient", json=sent, headers=key)
    assert first.json()["id"] == again.json()["id"] != other.json()["id"]


def test_an_administrator_decides_on_behalf_of_a_clinician(world: World) -> None:
    administrator = world.at("SERVICE_PROVIDER_CLINICIAN_ADMIN", world.trust_id)
    service = world.desk.service()
    referral = world.practice.referral(service)
    world.practice.made(world.practice.appointment(referral, world.desk.slot(service)))
    outcome = administrator.operation(referral, "record-outcome", outcome="ACCEPT")
    assert outcome.status_code == 403
    administrator.client.headers[ON_BEHALF] = "021600556514"
    outcome = administrator.operation(referral, "record-outcome", outcome="ACCEPT")
    assert outcome.status_code == 200, outcome.text
