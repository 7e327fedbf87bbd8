"""fhirpy, unmodified: a Python client with a resource-as-dictionary interface (https://pypi.org/project/fhirpy/)."""

from __future__ import annotations

import pytest

pytest.importorskip("fhirpy", reason="the client is not installed")
from fhirpy import SyncFHIRClient
from fhirpy.base.exceptions import OperationOutcome, ResourceNotFound

PATIENT = {"name": [{"family": "Thwaite", "given": ["Leila"]}], "birthDate": "1951-04-02"}


@pytest.fixture
def client(base: str) -> SyncFHIRClient:
    return SyncFHIRClient(base)


def test_create_and_read(client: SyncFHIRClient) -> None:
    created = client.resource("Patient", **PATIENT)
    created.save()
    assert created["meta"]["versionId"] == "1"
    found = client.reference("Patient", created["id"]).to_resource()
    assert found == created


def test_update_makes_the_next_version(client: SyncFHIRClient) -> None:
    patient = client.resource("Patient", **PATIENT)
    patient.save()
    patient["gender"] = "female"
    patient.save()
    assert patient["meta"]["versionId"] == "2"
    history = client.execute(f"Patient/{patient['id']}/_history", "get")
    assert [entry["resource"]["meta"]["versionId"] for entry in history["entry"]] == ["2", "1"]


def test_refresh_brings_what_others_changed(client: SyncFHIRClient) -> None:
    patient = client.resource("Patient", **PATIENT)
    patient.save()
    other = client.reference("Patient", patient["id"]).to_resource()
    other["active"] = True
    other.save()
    patient.refresh()
    assert patient["active"] is True


def test_delete(client: SyncFHIRClient) -> None:
    patient = client.resource("Patient", **PATIENT)
    patient.save()
    patient.delete()
    with pytest.raises(ResourceNotFound):
        client.reference("Patient", patient["id"]).to_resource()


def test_search_sort_page_and_count(client: SyncFHIRClient) -> None:
    for number in range(7):
        client.resource(
            "Organization", name=f"Surgery {number}", identifier=[{"system": "urn:f", "value": "p"}]
        ).save()
    found = client.resources("Organization").search(identifier="urn:f|p").sort("-name")
    assert found.count() == 7
    names = [item["name"] for item in found.limit(3).fetch_all()]
    assert names == [f"Surgery {number}" for number in reversed(range(7))]
    assert found.first()["name"] == "Surgery 6"
    assert [item["name"] for item in found.limit(2).fetch()] == ["Surgery 6", "Surgery 5"]


def test_include_brings_what_is_referred_to(client: SyncFHIRClient) -> None:
    patient = client.resource("Patient", **PATIENT)
    patient.save()
    client.resource(
        "ServiceRequest", status="active", intent="order", subject=patient.to_reference()
    ).save()
    search = client.resources("ServiceRequest").search(patient=patient)
    bundle = search.include("ServiceRequest", "subject").fetch_raw()
    kinds = [entry["resource"]["resourceType"] for entry in bundle["entry"]]
    assert kinds == ["ServiceRequest", "Patient"]


def test_conditional_update_creates_once(client: SyncFHIRClient) -> None:
    wanted = client.resource("Location", name="Ward 7", identifier=[{"value": "ward-7"}])
    search = client.resources("Location").search(identifier="ward-7")
    first, created = search.update(wanted)
    again, created_again = search.update(wanted)
    assert (created, created_again) == (True, False)
    assert first["id"] == again["id"]


def test_transaction_resolves_references_between_entries(client: SyncFHIRClient) -> None:
    place = "urn:uuid:0d31a7c4-5c22-4a0c-9a1c-6a0b6c6f2b11"
    patient = {"resourceType": "Patient"} | PATIENT
    referral = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": {"reference": place},
    }
    entries = [
        {"fullUrl": place, "resource": patient, "request": {"method": "POST", "url": "Patient"}},
        {"resource": referral, "request": {"method": "POST", "url": "ServiceRequest"}},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    answer = client.execute("", "post", data=bundle)
    locations = [entry["response"]["location"] for entry in answer["entry"]]
    logical_id = locations[0].split("/Patient/")[1].split("/")[0]
    found = client.resources("ServiceRequest").search(subject=f"Patient/{logical_id}").fetch()
    assert len(found) == 1


def test_validate(client: SyncFHIRClient) -> None:
    assert client.resource("Patient", **PATIENT).is_valid()
    assert not client.resource("Patient", gender="unheard-of").is_valid()


def test_a_refusal_arrives_as_an_operation_outcome(client: SyncFHIRClient) -> None:
    with pytest.raises(OperationOutcome) as refusal:
        client.resource("ServiceRequest", status="active").save()
    issue = refusal.value.resource["issue"][0]
    assert issue["severity"] == "error"
    assert issue["diagnostics"]
