"""The R4 payloads that the e-Referral Service publishes behave by the rules of referrals when they are sent here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

DATA = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "e-rs"
PATIENT = (
    "patient-care-r4/retrieveServiceRequests/responses/ServiceRequestsWithAppointmentAndTask.json"
)
BOTH = "professional-r4/searchServiceRequest/responses/ResponseExampleReferralAndAdvice.json"
COLLEAGUES = "professional-r4/retrieveOboUsers/responses/PractitionerBundle.json"
STATE = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-ServiceRequest-State"
FHIR = {"Content-Type": "application/fhir+json"}
LENIENT = FHIR | {"Prefer": "handling=lenient"}

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the payloads are not here")


def resources(client: httpx.Client, place: str) -> Iterator[dict[str, Any]]:
    """The resources of a searchset, with the address of this server where it says _baseUrl_."""
    text = (DATA / place).read_text("utf-8").replace("_baseUrl_", str(client.base_url).rstrip("/"))
    for entry in json.loads(text)["entry"]:
        yield {name: value for name, value in entry["resource"].items() if name != "meta"}


def put(
    client: httpx.Client, resource: dict[str, Any], headers: dict[str, str] = FHIR
) -> httpx.Response:
    path = f"{resource['resourceType']}/{resource['id']}"
    return client.put(path, json=resource, headers=headers)


def issue(answer: httpx.Response) -> tuple[int, str, str]:
    """Status, the last code of the details (the rule's), and where."""
    (found,) = answer.json()["issue"]
    code = found["details"]["coding"][-1]["code"] if "details" in found else found["code"]
    return answer.status_code, code, found["expression"][0]


def state(client: httpx.Client, logical_id: str) -> str:
    referral = client.get(f"ServiceRequest/{logical_id}").json()
    (found,) = (item for item in referral["extension"] if item["url"] == STATE)
    code: str = found["extension"][0]["valueCoding"]["code"]
    return code


def test_the_view_of_a_patient_gets_the_states_that_follow_from_what_is_here(
    serve: Callable[..., httpx.Client],
) -> None:
    client = serve()
    *referrals, appointment, task = resources(client, PATIENT)
    booked, unbooked, returned = (item["id"] for item in referrals)
    told = (422, "STATE_IS_DERIVED", "ServiceRequest.extension")
    assert issue(put(client, referrals[0])) == issue(put(client, referrals[2])) == told
    for referral in referrals:
        assert put(client, referral, LENIENT).status_code == 201
    assert {state(client, item) for item in (booked, unbooked, returned)} == {"NOT_BOOKED"}
    # Its appointment names the referral without the prefix that the id has.
    dangling = (422, "REFERENCE_NOT_FOUND", "Appointment.basedOn")
    assert issue(put(client, appointment)) == dangling
    named = [{"reference": f"ServiceRequest/{booked}"}]
    assert put(client, appointment | {"basedOn": named}).status_code == 201
    assert state(client, booked) == "BOOKED"
    # Its referrals have no shortlist, so nobody can be asked for triage.
    assert issue(put(client, task)) == (422, "INAPPROPRIATE_VALUE", "Task.owner")
    query = {"patient:identifier": "https://fhir.nhs.uk/Id/nhs-number|9912003888"}
    more = {"category": "3457005", "_revinclude": "Appointment:based-on"}
    bundle = client.get("ServiceRequest", params=query | more).json()
    ids = {entry["resource"]["id"] for entry in bundle["entry"]}
    assert ids == {booked, unbooked, returned, appointment["id"]}


def test_a_number_of_a_referral_and_its_advice_finds_both(
    serve: Callable[..., httpx.Client],
) -> None:
    client = serve()
    referral, advice = resources(client, BOTH)
    assert put(client, referral).status_code == 201
    # A request for advice asks one service, which the payload leaves out.
    assert issue(put(client, advice)) == (422, "MISSING_VALUE", "ServiceRequest.performer")
    service = {"resourceType": "HealthcareService", "id": "advice"}
    assert put(client, service).status_code == 201
    asked = advice | {"performer": [{"reference": "HealthcareService/advice"}]}
    assert put(client, asked).status_code == 201
    number = referral["identifier"][0]
    query = {"identifier": f"{number['system']}|{number['value']}"}
    bundle = client.get("ServiceRequest", params=query).json()
    ids = {entry["resource"]["id"] for entry in bundle["entry"]}
    assert ids == {referral["id"], advice["id"]}


def test_an_object_where_a_list_belongs_is_refused_with_its_place(
    serve: Callable[..., httpx.Client],
) -> None:
    client = serve()
    for practitioner in resources(client, COLLEAGUES):
        answer = put(client, practitioner)
        places = {tuple(item["expression"]) for item in answer.json()["issue"]}
        codes = {item["code"] for item in answer.json()["issue"]}
        assert (answer.status_code, codes) == (400, {"structure"}), answer.text
        assert ("Practitioner.identifier",) in places, answer.text
