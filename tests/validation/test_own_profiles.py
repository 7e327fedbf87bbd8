"""The profiles in profiles/: each can be used whole, and a resource that claims one is held to it.

https://hl7.org/fhir/R4/profiling.html
"""

import copy
from pathlib import Path

import pytest

from fhir_server.spec.json_format import parse
from fhir_server.validation import Validator, validate
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.profiles.packages import Folder

PROFILES = Path(__file__).resolve().parents[2] / "profiles"
OURS = "https://fhir-server.example.org/StructureDefinition/"

SLOT = {
    "resourceType": "Slot",
    "meta": {"profile": [OURS + "referral-slot"]},
    "extension": [{"url": OURS + "slot-capacity", "valuePositiveInt": 2}],
    "schedule": {"reference": "Schedule/1"},
    "status": "free",
    "start": "2026-03-02T09:00:00Z",
    "end": "2026-03-02T09:20:00Z",
}
REFERRAL = {
    "resourceType": "ServiceRequest",
    "meta": {"profile": [OURS + "referral"]},
    "extension": [{"url": OURS + "referral-pathway-start", "valueInstant": "2026-03-01T09:00:00Z"}],
    "identifier": [{"system": "https://fhir.nhs.uk/Id/UBRN", "value": "123456789012"}],
    "status": "active",
    "intent": "order",
    "category": [{"coding": [{"system": "http://snomed.info/sct", "code": "3457005"}]}],
    "priority": "urgent",
    "subject": {"reference": "Patient/1"},
    "authoredOn": "2026-03-01",
    "requester": {"reference": "PractitionerRole/1"},
    "performerType": {"text": "Cardiology"},
    "performer": [{"reference": "HealthcareService/1"}, {"reference": "HealthcareService/2"}],
}
APPOINTMENT = {
    "resourceType": "Appointment",
    "meta": {"profile": [OURS + "referral-appointment"]},
    "status": "booked",
    "basedOn": [{"reference": "ServiceRequest/1"}],
    "start": "2026-03-02T09:00:00Z",
    "end": "2026-03-02T09:20:00Z",
    "participant": [{"actor": {"reference": "Patient/1"}, "status": "accepted"}],
}


@pytest.fixture(scope="module")
def library():
    return Library((CoreDefinitions(), Folder(PROFILES)))


@pytest.mark.parametrize("file", sorted(PROFILES.glob("*.json")), ids=lambda file: file.stem)
def test_a_definition_is_valid_and_can_be_used_whole(library, file):
    definition = parse(file.read_bytes())
    assert validate(definition) == ()
    assert f"{definition['resourceType']}-{definition['id']}" == file.stem
    if definition["resourceType"] == "StructureDefinition":
        assert library.profile(definition["url"]) is not None
        assert list(library.problems(definition["url"])) == []


@pytest.mark.parametrize(
    "resource", [SLOT, REFERRAL, APPOINTMENT], ids=lambda it: it["resourceType"]
)
def test_what_keeps_its_profile_is_valid(library, resource):
    assert Validator(library, {}).validate(resource) == ()


def changed(resource, **elements):
    made = copy.deepcopy(resource) | elements
    return {name: value for name, value in made.items() if value is not None}


UBRN = {"system": "https://fhir.nhs.uk/Id/UBRN", "value": "12345"}
SEATS = {"url": OURS + "slot-capacity", "valueString": "two"}


@pytest.mark.parametrize(
    ("resource", "place"),
    [
        (changed(SLOT, end="2026-03-02T08:00:00Z"), "Slot"),
        (changed(SLOT, extension=[SEATS]), "Slot.extension[0]"),
        (changed(REFERRAL, identifier=[UBRN]), "ServiceRequest.identifier[0].value"),
        (changed(REFERRAL, priority="stat"), "ServiceRequest.priority"),
        (changed(REFERRAL, priority=None), "ServiceRequest.priority"),
        (changed(REFERRAL, intent="plan"), "ServiceRequest.intent"),
        (changed(REFERRAL, category=[{"text": "other"}]), "ServiceRequest.category"),
        (changed(REFERRAL, performer=REFERRAL["performer"] * 2), "ServiceRequest"),
        (changed(REFERRAL, performer=[{"reference": "Patient/1"}]), "ServiceRequest.performer[0]"),
        (changed(REFERRAL, subject={"reference": "Group/1"}), "ServiceRequest.subject"),
        (changed(APPOINTMENT, basedOn=None), "Appointment.basedOn"),
        (changed(APPOINTMENT, end="2026-03-02T08:00:00Z"), "Appointment"),
    ],
)
def test_what_breaks_its_profile_is_told_with_its_place(library, resource, place):
    assert validate({name: value for name, value in resource.items() if name != "meta"}) == ()
    found = Validator(library, {}).validate(resource)
    assert found
    assert any(issue.expression[0].startswith(place) for issue in found), found
