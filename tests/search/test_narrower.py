"""One parameter may have a part of another's references: https://hl7.org/fhir/R4/searchparameter-registry.html"""

from __future__ import annotations

import pytest

from fhir_server.search.extraction import entries
from fhir_server.search.narrower import answered, kept, narrower
from fhir_server.search.parameters import (
    IDENTIFIER,
    TEXT,
    SearchParameter,
    by_number,
    parameter,
    reference_numbers,
)
from fhir_server.search.paths import paths


def number(resource_type: str, code: str) -> int:
    found = parameter(resource_type, code)
    assert found is not None
    return found.number


@pytest.mark.parametrize(
    ("resource_type", "wide", "narrow"),
    [
        ("ServiceRequest", "subject", {"Patient": "patient"}),
        ("Task", "subject", {"Patient": "patient"}),
        (
            "Appointment",
            "actor",
            {"Patient": "patient", "Practitioner": "practitioner", "Location": "location"},
        ),
        ("ServiceRequest", "patient", {}),
        ("ServiceRequest", "requester", {}),
        # Of one type's performers and another's subjects: none has all of the other's paths.
        ("DeviceUseStatement", "patient", {}),
    ],
)
def test_a_narrower_parameter_has_all_references_to_one_type(
    resource_type: str, wide: str, narrow: dict[str, str]
) -> None:
    for offset in (0, IDENTIFIER, TEXT):
        found = narrower(number(resource_type, wide) + offset)
        assert found == {
            kind: number(resource_type, code) + offset for kind, code in narrow.items()
        }


def test_a_parameter_of_the_deployment_and_one_that_is_no_reference_have_none() -> None:
    assert narrower(1_000_000) == {}
    assert narrower(number("ServiceRequest", "status")) == {}


def test_a_search_for_one_type_asks_for_the_narrower_parameter_alone() -> None:
    actor, patient = number("Appointment", "actor"), number("Appointment", "patient")
    practitioner, location = (
        number("Appointment", "practitioner"),
        number("Appointment", "location"),
    )
    assert kept((actor,), {"Patient"}) == (patient,)
    assert set(kept((actor,), {"Patient", "Device"})) == {actor, patient}
    assert set(kept((actor,))) == {actor, patient, practitioner, location}
    assert kept((patient,), {"Patient"}) == (patient,)


def test_what_is_kept_under_the_narrower_answers_both() -> None:
    actor, patient = number("Appointment", "actor"), number("Appointment", "patient")
    found = answered((actor, patient))
    assert found[patient] == [actor, patient]
    assert found[actor] == [actor]


REFERENCES = (
    {"reference": "Patient/1", "display": "Ann", "identifier": {"system": "urn:x", "value": "1"}},
    {"reference": "Patient/1/_history/2"},
    {"reference": "https://elsewhere.example/fhir/Patient/1"},
    {"reference": "https://here.example/fhir/Patient/1", "type": "Group"},
    {"reference": "Group/1", "type": "Patient"},
    {"reference": "#inside"},
    {"reference": "urn:uuid:7b0e4d5c-8f6e-4d27-9f6e-000000000001", "type": "Patient"},
    {"reference": "Practitioner/1", "display": "Ann"},
    {"reference": "Location/1"},
    {"type": "Patient", "identifier": {"value": "1"}},
    {"identifier": {"system": "urn:x", "value": "1"}, "display": "Ann"},
    {"display": "somebody"},
    {},
)


def _holding(parameter: SearchParameter, reference: dict[str, object]) -> dict[str, object]:
    """A resource that has the reference where the parameter looks for it."""
    found: object = reference
    (path,) = paths(parameter) or ()
    for step in reversed(path.steps):
        found = {step.property.name: [found] if step.property.many else found}
    assert isinstance(found, dict)
    inside = {"resourceType": "Patient", "id": "inside"}
    return {"resourceType": parameter.resource_type, "contained": [inside], **found}


def _found(body: dict[str, object], number: int) -> set[tuple[object, ...]]:
    """The entries of a parameter, without its number."""
    listed = entries(body, base_urls=("https://here.example/fhir",))
    return {tuple(entry[1:]) for entry in listed if entry[0] == number}


@pytest.mark.parametrize("reference", REFERENCES)
def test_the_narrower_has_a_part_of_the_wider_and_every_reference_to_a_resource_of_its_type(
    reference: dict[str, object],
) -> None:
    wider = [number for number in reference_numbers() if narrower(number)]
    assert len(wider) > 30
    for wide in wider:
        body = _holding(by_number(wide), reference)
        assert _found(body, wide)
        for kind, narrow in narrower(wide).items():
            assert _found(body, narrow) <= _found(body, wide)
            assert {item for item in _found(body, wide) if item[0] == kind} <= _found(body, narrow)
        for offset in (IDENTIFIER, TEXT):
            for narrow in narrower(wide + offset).values():
                assert _found(body, narrow) <= _found(body, wide + offset)
