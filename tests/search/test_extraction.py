"""The index entries of resources (https://hl7.org/fhir/R4/searchparameter.html)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_server.fhirpath import Environment, compile_expression, root
from fhir_server.search.composites import composite_of
from fhir_server.search.converters import CONVERTERS, LOGICAL
from fhir_server.search.entries import ReferenceEntry, TokenEntry
from fhir_server.search.extraction import entries, plan_of
from fhir_server.search.folding import fold
from fhir_server.search.parameters import IDENTIFIER, parameter, parameters, supported
from fhir_server.search.paths import paths
from fhir_server.spec.definitions import resource_types


def number(resource_type: str, code: str) -> int:
    found = parameter(resource_type, code)
    assert found is not None
    return found.number


def test_every_supported_parameter_of_every_type_has_a_plan_and_a_converter() -> None:
    for name in resource_types():
        evaluated = {item.parameter.code for item in plan_of(name).evaluated}
        for item in parameters(name):
            if supported(item) and item.code not in evaluated and item.expression:
                found = paths(item)
                if item.type == "composite":
                    assert composite_of(item).repeats, (name, item.code)
                    assert all(
                        part.legs for _, parts in composite_of(item).repeats for part in parts
                    )
                    continue
                assert found, (name, item.code)
                assert any(path.type in CONVERTERS[item.type] for path in found), (name, item.code)


def test_a_plain_path_finds_what_fhirpath_finds() -> None:
    resource: dict[str, Any] = {
        "resourceType": "Observation",
        "id": "o",
        "status": "final",
        "code": {"coding": [{"system": "s", "code": "1"}]},
        "valueCodeableConcept": {"coding": [{"system": "s", "code": "v"}]},
        "component": [{"code": {"coding": [{"code": "x"}]}, "valueString": "y"}],
    }
    start = root(resource)
    found = entries(resource)
    for item in parameters("Observation"):
        if supported(item) and item.type == "token" and item.code not in ("_id", "_query"):
            nodes = compile_expression(item.expression).evaluate(start, Environment(start))
            indexed = [entry for entry in found if entry.parameter == item.number]
            assert bool(nodes) == bool(indexed), item.code


@pytest.mark.parametrize(
    ("deceased", "code"),
    [
        ({}, "false"),
        ({"deceasedBoolean": False}, "false"),
        ({"deceasedBoolean": True}, "true"),
        ({"deceasedDateTime": "2026-01-01"}, "true"),
    ],
)
def test_deceased_is_evaluated_even_when_it_is_absent(deceased: dict[str, Any], code: str) -> None:
    found = entries({"resourceType": "Patient", "id": "p", **deceased})
    assert TokenEntry(number("Patient", "deceased"), "", code) in found


def test_resolve_chooses_by_the_type_of_the_reference() -> None:
    actors = ["Patient/1", "#c", "https://else.example/fhir/Patient/2", "Location/3"]
    found = entries(
        {
            "resourceType": "Appointment",
            "id": "a",
            "contained": [{"resourceType": "Patient", "id": "c"}],
            "participant": [{"actor": {"reference": item}} for item in actors],
        }
    )
    patients = number("Appointment", "patient")
    assert {e for e in found if e.parameter == patients} == {
        ReferenceEntry(patients, "Patient", "1", "", ""),
        ReferenceEntry(patients, "", "", "#c", ""),
        ReferenceEntry(patients, "", "", "https://else.example/fhir/Patient/2", ""),
    }


def test_a_logical_reference_has_a_token_under_a_number_of_its_own() -> None:
    subject = {"type": "Patient", "identifier": {"system": "s", "value": "v"}}
    found = entries({"resourceType": "ServiceRequest", "id": "r", "subject": subject})
    for code in ("subject", "patient"):
        wanted = number("ServiceRequest", code)
        assert TokenEntry(wanted + IDENTIFIER, "s", "v") in found
        assert ReferenceEntry(wanted, "", "", LOGICAL, "") in found


def test_bundle_composition_is_the_first_entry_only_when_it_is_one() -> None:
    def bundle(kind: str) -> dict[str, Any]:
        return {
            "resourceType": "Bundle",
            "id": "b",
            "entry": [{"resource": {"resourceType": kind, "id": "x"}}],
        }

    wanted = number("Bundle", "composition")
    assert ReferenceEntry(wanted, "Composition", "x", "", "") in entries(bundle("Composition"))
    assert not any(e.parameter == wanted for e in entries(bundle("Patient")))


def test_a_url_below_another_base_that_begins_alike_is_elsewhere() -> None:
    subject = {"reference": "https://here.example/fhir2/Patient/1"}
    found = entries(
        {"resourceType": "ServiceRequest", "id": "r", "subject": subject},
        base_urls=("https://here.example/fhir",),
    )
    assert any(isinstance(e, ReferenceEntry) and e.url == subject["reference"] for e in found)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "coding",
                    "system",
                    "code",
                    "value",
                    "reference",
                    "identifier",
                    "type",
                    "start",
                    "end",
                    "event",
                    "repeat",
                    "boundsPeriod",
                    "low",
                    "high",
                    "family",
                    "given",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.data())
def test_odd_values_are_left_out_and_never_raise(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(["Patient", "ServiceRequest", "Appointment", "Observation"]))
    properties = st.sampled_from(sorted(plan_of(name).legs))
    resource = data.draw(st.dictionaries(properties, _JSON, max_size=6))
    entries({**resource, "resourceType": name, "id": "x"})


def test_letters_that_are_styled_forms_of_others_fold_to_them() -> None:
    assert fold("𝐀ǾＭ") == "aom"


@given(st.text(max_size=40))
def test_folding_twice_is_folding_once(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert once == once.strip()
    assert "  " not in once
