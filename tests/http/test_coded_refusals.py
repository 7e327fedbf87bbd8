"""Versions that do not match and resources of the wrong shape are told by stable codes, whatever the type.

https://hl7.org/fhir/R4/operationoutcome-definitions.html#OperationOutcome.issue.details
"""

from __future__ import annotations

import httpx
import pytest
from exemplars import JSON, created, patient, post, put, refused, unique

from tools.serving import ServerProcess

HTTP_CODES = "https://fhir.nhs.uk/Codesystem/http-error-codes"
RULE_CODES = "https://fhir.nhs.uk/CodeSystem/ers-error-codes"
MISMATCH = ("conflict", "REC_PRECONDITION_FAILED", "VERSION_MISMATCH")
MISSING = ("required", "REC_BAD_REQUEST", "MISSING_VALUE")
STRUCTURE = ("structure", "REC_BAD_REQUEST", "INVALID_FHIR_STRUCTURE")
VALUE = ("value", "REC_BAD_REQUEST", "INVALID_VALUE")
SLOT = {
    "resourceType": "Slot", "status": "free", "schedule": {"reference": "Schedule/1"},
    "start": "2035-01-01T09:00:00Z", "end": "2035-01-01T09:20:00Z",
}  # fmt: skip
APPOINTMENT = {
    "resourceType": "Appointment", "status": "proposed",
    "participant": [{"actor": {"display": "Somebody"}, "status": "accepted"}],
}  # fmt: skip
WRONG = {
    "an object for an array": (
        {"resourceType": "HealthcareService", "type": {"text": "Cardiology"}}, STRUCTURE, "HealthcareService.type",
    ),
    "an object for an array, deeper": (
        APPOINTMENT | {"participant": [{"type": {"text": "Clinician"}, "status": "accepted"}]},
        STRUCTURE,
        "Appointment.participant[0].type",
    ),
    "an instant without zone": (SLOT | {"start": "2035-01-01T09:00:00"}, VALUE, "Slot.start"),
    "a birth date in words": (patient(birthDate="yesterday"), VALUE, "Patient.birthDate"),
}  # fmt: skip
wrong = pytest.mark.parametrize(("resource", "told", "place"), WRONG.values(), ids=list(WRONG))


def codes(issue):
    """The issue's own code, and those of the two code systems in their order."""
    coding = issue["details"]["coding"]
    assert [item["system"] for item in coding] == [HTTP_CODES, RULE_CODES]
    return (issue["code"], *(item["code"] for item in coding))


def transaction(*entries):
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def entry(method, url, resource=None, **request):
    made = {"request": {"method": method, "url": url} | request}
    return made if resource is None else made | {"resource": resource}


@pytest.fixture(scope="module")
def insisting(new_database):
    """A client of a server that asks for If-Match with every change."""
    with (
        ServerProcess(new_database(), settings={"FHIR_REQUIRE_IF_MATCH": "true"}) as running,
        httpx.Client(base_url=running.base + "/", timeout=30) as made,
    ):
        yield made


def changes(client, resource, if_match):
    """The answers to an update, a patch and a delete of one resource, alone and in a transaction."""
    path = f"{resource['resourceType']}/{resource['id']}"
    sent = {"if-match": if_match} if if_match else {}
    named = {"ifMatch": if_match} if if_match else {}
    document = [{"op": "test", "path": "/id", "value": resource["id"]}]
    kind = {"content-type": "application/json-patch+json"}
    return [
        client.put(path, json=resource, headers=sent),
        client.patch(path, json=document, headers=sent | kind),
        client.delete(path, headers=sent),
        client.post("", json=transaction(entry("PUT", path, resource, **named))),
        client.post("", json=transaction(entry("DELETE", path, **named))),
    ]


@pytest.mark.parametrize("resource", [patient(), SLOT], ids=["Patient", "Slot"])
def test_if_match_of_another_version_is_version_mismatch(client, resource):
    stored = created(client, resource)
    for answer in changes(client, stored, 'W/"7"'):
        assert codes(refused(answer, 412)[0]) == MISMATCH
    path = f"{stored['resourceType']}/{stored['id']}"
    batch = transaction(entry("PUT", path, stored, ifMatch='W/"7"')) | {"type": "batch"}
    [told] = client.post("", json=batch).json()["entry"]
    assert told["response"]["status"].startswith("412")
    assert codes(told["response"]["outcome"]["issue"][0]) == MISMATCH
    assert client.get(path).json() == stored


def test_if_match_of_what_is_not_there_is_version_mismatch(client):
    answer = put(client, patient(id=unique()), if_match='W/"1"')
    assert codes(refused(answer, 412)[0]) == MISMATCH
    criteria = f"Patient?identifier={unique()}"
    answer = client.put(criteria, json=patient(), headers={"if-match": 'W/"1"'})
    assert codes(refused(answer, 412)[0]) == MISMATCH


@pytest.mark.parametrize("resource", [patient(), SLOT], ids=["Patient", "Slot"])
def test_a_missing_if_match_is_missing_value(insisting, resource):
    stored = created(insisting, resource)
    for answer in changes(insisting, stored, None):
        assert codes(refused(answer, 400)[0]) == MISSING
    assert insisting.get(f"{stored['resourceType']}/{stored['id']}").json() == stored


@wrong
def test_what_is_no_fhir_is_told_by_a_code(client, resource, told, place):
    [issue] = refused(client.post(resource["resourceType"], json=resource), 400)
    assert codes(issue) == told
    assert issue["expression"] == [place]


@wrong
def test_what_is_no_fhir_is_told_by_a_code_in_bundles(client, resource, told, place):
    added = transaction(entry("POST", resource["resourceType"], resource))
    [issue] = refused(client.post("", json=added), 400)
    assert codes(issue) == told
    assert issue["expression"] == [
        place.replace(resource["resourceType"], "Bundle.entry[0].resource")
    ]
    [answer] = client.post("", json=added | {"type": "batch"}).json()["entry"]
    assert codes(answer["response"]["outcome"]["issue"][0]) == told


@wrong
def test_what_is_no_fhir_is_told_by_a_code_by_validate(client, resource, told, place):
    answer = client.post(f"{resource['resourceType']}/$validate", json=resource)
    assert answer.status_code == 200
    [issue] = [item for item in answer.json()["issue"] if item["severity"] == "error"]
    assert (codes(issue), issue["expression"]) == (told, [place])


def test_what_is_no_fhir_is_told_by_a_code_by_booking(client):
    spoiled = APPOINTMENT | {"participant": {"status": "accepted"}}
    sent = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": spoiled}],
    }
    issues = refused(client.post("Appointment/$book", json=sent), 400)
    assert codes(issues[0]) == STRUCTURE


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b'{"resourceType": "Patient",', JSON),
        (b'{"resourceType": "Patient", "active": true, "active": true}', JSON),
        (b'<Patient xmlns="http://hl7.org/fhir"><nonsense value="1"/></Patient>', "application/fhir+xml"),
        (b"<Patient", "application/fhir+xml"),
    ],
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_told_by_a_code(client, body, media_type):
    for issue in refused(post(client, body, content_type=media_type), 400):
        assert codes(issue) == STRUCTURE


def test_a_rule_that_is_broken_has_no_code_of_shape(client):
    answer = client.post("Patient", json=patient(contact=[{"gender": "male"}]))
    [issue] = refused(answer, 422)
    assert "details" not in issue
