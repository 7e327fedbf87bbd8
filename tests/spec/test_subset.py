"""_summary and _elements (https://hl7.org/fhir/R4/search.html#summary)."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from fhir_server.spec.definitions import node_type, resource_types
from fhir_server.spec.subset import SUBSETTED, is_subsetted, select_elements, summarise

PATIENT: dict[str, Any] = {
    "resourceType": "Patient",
    "id": "a",
    "meta": {"versionId": "3", "tag": [{"system": "urn:x", "code": "mine"}]},
    "implicitRules": "http://rules",
    "language": "en",
    "text": {"status": "generated", "div": "<div xmlns='http://www.w3.org/1999/xhtml'>x</div>"},
    "contained": [{"resourceType": "Basic", "id": "b"}],
    "extension": [{"url": "urn:e", "valueCode": "x"}],
    "modifierExtension": [{"url": "urn:m", "valueCode": "x"}],
    "active": True,
    "name": [{"family": "F", "given": ["G"]}],
    "birthDate": "1970-01-01",
    "_birthDate": {"id": "x"},
    "deceasedDateTime": "2020",
    "_deceasedDateTime": {"id": "y"},
    "maritalStatus": {"text": "m"},
    "contact": [{"name": {"family": "C"}}],
    "link": [
        {
            "id": "l",
            "extension": [{"url": "urn:e"}],
            "other": {"reference": "Patient/b"},
            "type": "refer",
        }
    ],
}
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "status": "final",
    "_status": {"id": "s"},
    "code": {"text": "c"},
    "valueQuantity": {"value": 1, "unit": "kg"},
    "note": [{"text": "n"}],
    "component": [
        {
            "code": {"text": "c", "extension": [{"url": "urn:e"}]},
            "valueString": "v",
            "_valueString": {"id": "v"},
            "interpretation": [{"text": "i"}],
        }
    ],
}


def names(resource: dict[str, Any]) -> set[str]:
    return set(resource)


def test_summary_true_keeps_summary_mandatory_and_modifier_elements() -> None:
    part = summarise(PATIENT, "true")
    assert names(PATIENT) - names(part) == {
        "language", "text", "contained", "extension", "maritalStatus", "contact",
    }  # fmt: skip
    assert part["name"] == PATIENT["name"]


def test_summary_true_reaches_into_backbone_elements_and_keeps_datatypes_whole() -> None:
    assert summarise(PATIENT, "true")["link"] == [
        {"id": "l", "other": {"reference": "Patient/b"}, "type": "refer"}
    ]
    assert summarise(OBSERVATION, "true")["component"] == [
        {
            "code": {"text": "c", "extension": [{"url": "urn:e"}]},
            "valueString": "v",
            "_valueString": {"id": "v"},
        }
    ]


def test_a_backbone_element_of_which_nothing_is_summary_is_gone() -> None:
    resource = {"resourceType": "Observation", "component": [{"interpretation": [{"text": "i"}]}]}
    assert "component" not in summarise(resource, "true")


def test_a_mandatory_element_that_is_not_summary_is_kept_whole() -> None:
    participant = [{"actor": {"reference": "Patient/a"}, "status": "accepted"}]
    appointment = {"resourceType": "Appointment", "status": "booked", "participant": participant}
    assert summarise(appointment, "true")["participant"] == participant


def test_summary_text_keeps_narrative_id_meta_and_mandatory_elements() -> None:
    assert names(summarise(PATIENT, "text")) == {"resourceType", "id", "meta", "text"}
    assert names(summarise(OBSERVATION, "text")) == {
        "resourceType", "meta", "status", "_status", "code",
    }  # fmt: skip


def test_summary_data_drops_the_narrative_only() -> None:
    assert names(PATIENT) - names(summarise(PATIENT, "data")) == {"text"}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (["name"], {"name"}),
        (["Patient.name", "Observation.birthDate"], {"name"}),
        (["name.family"], {"name"}),
        (["birthDate"], {"birthDate", "_birthDate"}),
        (["contact", "nonsense", ""], {"contact"}),
        ([], set()),
    ],
)
def test_elements_keeps_what_is_named_and_what_is_needed(
    wanted: list[str], found: set[str]
) -> None:
    needed = {
        "resourceType", "id", "meta", "implicitRules", "modifierExtension", "active", "link",
        "deceasedDateTime", "_deceasedDateTime",
    }  # fmt: skip
    assert names(select_elements(PATIENT, wanted)) == needed | found


@pytest.mark.parametrize("name", ["value", "valueQuantity", "Observation.value"])
def test_elements_takes_a_choice_by_its_stem_or_in_full(name: str) -> None:
    assert names(select_elements(OBSERVATION, [name])) == {
        "resourceType", "meta", "status", "_status", "code", "valueQuantity",
    }  # fmt: skip


@pytest.mark.parametrize("mode", ["true", "text", "data", "elements"])
def test_a_part_is_tagged_once_and_the_input_stays_as_it_is(mode: Any) -> None:
    def part_of(resource: dict[str, Any]) -> dict[str, Any]:
        return (
            select_elements(resource, ["name"]) if mode == "elements" else summarise(resource, mode)
        )

    before = copy.deepcopy(PATIENT)
    part = part_of(PATIENT)
    assert before == PATIENT
    assert part["meta"] == {
        "versionId": "3",
        "tag": [{"system": "urn:x", "code": "mine"}, SUBSETTED],
    }
    assert list(part)[:3] == ["resourceType", "id", "meta"]
    assert is_subsetted(part)
    assert not is_subsetted(PATIENT)
    assert part_of(part)["meta"] == part["meta"]


@pytest.mark.parametrize(
    "meta", [None, [], {}, {"tag": {}}, {"tag": [None, {}, {"code": "SUBSETTED"}]}]
)
def test_another_meta_is_not_the_tag(meta: Any) -> None:
    assert not is_subsetted({"resourceType": "Patient", "meta": meta})


def test_every_resource_type_has_parts() -> None:
    for name in resource_types():
        resource = {"resourceType": name, **dict.fromkeys(node_type(name).properties, "x")}
        del resource["meta"]
        for item in node_type(name).properties.values():
            if "." in item.type:
                resource[item.name] = {}  # type: ignore[assignment] # any shape will do
        mandatory = {
            i.name for i in node_type(name).properties.values() if i.minimum and not i.choice
        }
        for part in (summarise(resource, "text"), select_elements(resource, [])):
            assert mandatory <= names(part)
        assert is_subsetted(summarise(resource, "true"))
