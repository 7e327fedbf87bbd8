"""Snapshots compile into rules, and rules into source: base definitions and profiles by the same builders."""

from __future__ import annotations

from dataclasses import replace

import pytest

from fhir_server.spec import definitions
from fhir_server.validation.emit import emit
from fhir_server.validation.fast import FastPath
from fhir_server.validation.invariants import resource_conditions
from fhir_server.validation.primitives import PRIMITIVES
from fhir_server.validation.rules import Invariant
from fhir_server.validation.snapshot import compile_structure, rules_of
from fhir_server.validation.source import Source

PROFILES = [
    url for url, item in definitions.structures().items() if item.get("derivation") == "constraint"
]


def test_rules_say_what_the_definition_says() -> None:
    rules = rules_of("Slot")
    status, kind = rules.properties["status"]
    assert (status.minimum, status.maximum, status.many) == (1, 1, False)
    assert status.binding is not None
    assert status.binding.value_set == "http://hl7.org/fhir/ValueSet/slotstatus"
    assert rules.properties["schedule"][1].targets == frozenset({"Schedule"})
    assert rules.properties["serviceType"][0].many
    assert kind.sibling
    assert rules.properties["id"][1].type == "id"
    assert not rules.properties["id"][1].sibling


def test_a_choice_has_one_property_for_each_type() -> None:
    names = {
        name
        for name, (element, _) in rules_of("ServiceRequest").properties.items()
        if element.name == "occurrence"
    }
    assert names == {"occurrenceDateTime", "occurrencePeriod", "occurrenceTiming"}


def test_a_content_reference_has_the_rules_that_it_names() -> None:
    assert rules_of("Bundle.entry").properties["link"][1].type == "Bundle.link"


def test_a_type_profile_is_a_type_of_its_own() -> None:
    assert rules_of("Range").properties["low"][1].type == "SimpleQuantity"
    assert "comparator" not in rules_of("SimpleQuantity").properties


@pytest.mark.parametrize("url", PROFILES[::9])
def test_profiles_compile_by_the_same_builders(url: str) -> None:
    structure = definitions.structure_by_id(definitions.structures()[url]["id"])
    source = emit(compile_structure(structure, url))
    compile("\n".join(source.lines), url, "exec")


def test_an_invariant_that_looks_at_the_whole_resource_is_asked_of_the_whole() -> None:
    base = rules_of("Patient")
    alike = Invariant("x-1", "error", "gender = %resource.gender", "Patient.contact", False)
    contact = replace(rules_of("Patient.contact"), invariants=(alike,))
    source = Source("x", {})
    (condition,) = resource_conditions({"Patient": base, "Patient.contact": contact}, source)
    patient = {"resourceType": "Patient", "gender": "male", "contact": [{"gender": "male"}]}
    assert eval(condition, {**source.constants, "o": patient})
    patient["contact"] = [{"gender": "male"}, {"gender": "female"}]
    assert not eval(condition, {**source.constants, "o": patient})


def test_the_source_of_a_small_type_is_readable() -> None:
    assert FastPath().source("Period").splitlines() == [
        "def Period(o, s):",
        "    if type(o) is not dict: return False",
        "    n = 0",
        "    v = o.get('id')",
        "    if v is not None:",
        f"        if not ({PRIMITIVES['string'].quick} or is_string(v)): return False",
        "        n += 1",
        "    i = n",
        "    v = o.get('extension')",
        "    if v is not None:",
        "        if type(v) is not list or not v: return False",
        "        for x in v:",
        "            if not Extension(x, s): return False",
        "        n += 1",
        "    v = o.get('start')",
        "    if v is not None:",
        "        if not (type(v) is str and quick_instant(v) or is_dateTime(v)): return False",
        "        n += 1",
        "    v = o.get('end')",
        "    if v is not None:",
        "        if not (type(v) is str and quick_instant(v) or is_dateTime(v)): return False",
        "        n += 1",
        "    if n != len(o) and not siblings(o, n, Period_SIBLINGS_0, s): return False",
        "    if len(o) == i: return False",
        "    if not Period_HOLDS_1(o): return False",
        "    return True",
    ]
