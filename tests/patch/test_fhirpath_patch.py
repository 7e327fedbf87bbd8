"""FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html)."""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

import httpx
import pytest
from third_party import DATA

from fhir_server.fhirpath.patch import apply_fhirpath_patch
from fhir_server.spec.errors import FhirError
from fhir_server.spec.xml_format import parse_xml
from fhir_server.validation import validate

SUITE = DATA / "patch" / "fhir-patch-tests.xml"


def resource(case: ET.Element, name: str) -> Any:
    held = case.find(name)
    assert held is not None
    ET.register_namespace("", "http://hl7.org/fhir")
    return parse_xml(ET.tostring(held[0], encoding="utf-8"))


def cases() -> list[ET.Element]:
    return list(ET.parse(SUITE).getroot().iter("case")) if SUITE.exists() else []


needs_suite = pytest.mark.skipif(not SUITE.exists(), reason="the suite is not here")


@needs_suite
def test_the_suite_passes() -> None:
    assert len(cases()) == 33
    for case in cases():
        before, operations = resource(case, "input"), resource(case, "diff")
        if case.find("error") is not None:
            with pytest.raises(FhirError) as caught:
                apply_fhirpath_patch(before, operations)
            assert caught.value.status == 422
            continue
        assert apply_fhirpath_patch(before, operations) == resource(case, "output"), case.get(
            "name"
        )


@needs_suite
@pytest.mark.rule(122, "http#patch")
def test_the_suite_passes_over_http(client: httpx.Client) -> None:
    xml = {"Content-Type": "application/fhir+xml"}
    for case in cases():
        body = case.find("input")
        diff = case.find("diff")
        assert body is not None
        assert diff is not None
        created = client.post("Patient", content=ET.tostring(body[0]), headers=xml)
        assert created.status_code == 201, created.text
        place = f"Patient/{created.json()['id']}"
        answer = client.patch(place, content=ET.tostring(diff[0]), headers=xml)
        found = client.get(place).json()
        assert found.pop("id") == created.json()["id"]
        assert found.pop("meta")
        failing = case.find("error") is not None or bool(validate(resource(case, "output")))
        assert answer.status_code == (422 if failing else 200), answer.text
        expected = resource(case, "input" if failing else "output")
        expected.pop("id", None)
        assert found == expected, case.get("name")


PATIENT = {
    "resourceType": "Patient",
    "name": [{"family": "A", "given": ["B", "C"]}, {"family": "D"}],
    "contact": [{"name": {"text": "E"}}],
}


def operation(kind: str, **parts: Any) -> dict[str, Any]:
    listed: list[dict[str, Any]] = [{"name": "type", "valueCode": kind}]
    for name, value in parts.items():
        typed = "valueInteger" if isinstance(value, int) else "valueString"
        listed.append(value if isinstance(value, dict) else {"name": name, typed: value})
    return {"name": "operation", "part": listed}


def patched(*operations: dict[str, Any]) -> dict[str, Any]:
    return apply_fhirpath_patch(
        PATIENT, {"resourceType": "Parameters", "parameter": list(operations)}
    )


TEXT = {"name": "value", "valueString": "X"}


def test_each_operation_does_what_it_says() -> None:
    result = patched(
        operation("add", path="Patient.name[1]", name="given", value=TEXT),
        operation("insert", path="Patient.name[0].given", index=1, value=TEXT),
        operation("replace", path="Patient.name.where(family = 'A').family", value=TEXT),
        operation("move", path="Patient.name", source=1, destination=0),
        operation("delete", path="Patient.contact.name.text"),
    )
    assert result == {
        "resourceType": "Patient",
        "name": [{"family": "D", "given": ["X"]}, {"family": "X", "given": ["B", "X", "C"]}],
    }


@pytest.mark.parametrize(
    ("status", "step"),
    [
        (400, operation("rename", path="Patient.name")),
        (400, operation("delete")),
        (400, operation("delete", path="Patient.name[")),
        (400, operation("replace", path="Patient.name[0].family", value={"name": "value"})),
        (422, operation("replace", path="Patient.name.family", value=TEXT)),
        (422, operation("delete", path="Patient.name")),
        (422, operation("add", path="Patient", name="colour", value=TEXT)),
        (422, operation("insert", path="Patient.name[0].given", index=9, value=TEXT)),
        (422, operation("move", path="Patient.name", source=0, destination=2)),
        (422, operation("move", path="Patient.birthDate", source=0, destination=0)),
        (422, operation("replace", path="'text'", value=TEXT)),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_refused(status: int, step: dict[str, Any]) -> None:
    with pytest.raises(FhirError) as caught:
        patched(step)
    assert caught.value.status == status
    assert caught.value.issues[0].expression == ("Parameters.parameter[0]",)
