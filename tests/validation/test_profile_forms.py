"""The two forms of profiles agree: the generated check says yes exactly when the walker finds no error."""

from __future__ import annotations

import copy
from random import Random
from typing import Any

import profiles_under_test as ours
import pytest
import random_resources
from hypothesis import given, settings
from hypothesis import strategies as st

from fhir_server.spec import definitions
from fhir_server.validation.issues import refused

Json = dict[str, Any]
VALIDATOR = ours.validator(*ours.ALL)
# Values that the profiles under test ask for or forbid, put where they may or may not fit.
TELLING: tuple[Any, ...] = (
    ours.NHS, "official", "usual", "old", "mm[Hg]", "m", "one", "two", ours.OURS + "rank", ours.OURS + "parts",
    {"reference": "#o"}, {"reference": "#p"}, {"url": ours.OURS + "rank", "valuePositiveInt": 2},
    {"coding": [{"system": "http://loinc.org", "code": "8480-6"}]}, {"use": "usual"},
    {"use": "official", "family": "a"},
    {"system": ours.NHS, "value": "1"}, {"system": ours.NHS}, {"text": "x"},
)  # fmt: skip
RESOURCE_PROFILES = [
    (url, item["type"])
    for url, item in definitions.structures().items()
    if item.get("derivation") == "constraint" and definitions.is_resource_type(item["type"])
]
EXTENSIONS = [
    item["id"]
    for item in definitions.structures().values()
    if item.get("derivation") == "constraint" and item["type"] == "Extension"
]


def agree(resource: Any) -> bool:
    walked = [issue for issue in VALIDATOR.explain(resource) if refused(issue)]
    accepted = VALIDATOR._is_faultless(resource, None)
    assert accepted == (not walked), (resource, walked)
    return accepted


def put_somewhere(resource: Json, value: Any, random: Random) -> None:
    """Put a telling value in the place of one of its kind."""
    places: list[tuple[Any, Any]] = []
    pending: list[Any] = [resource]
    while pending:
        item = pending.pop()
        for key, child in list(item.items() if isinstance(item, dict) else enumerate(item)):
            if type(child) is type(value):
                places.append((item, key))
            if isinstance(child, (dict, list)):
                pending.append(child)
    if places:
        parent, key = random.choice(places)
        parent[key] = copy.deepcopy(value)


@settings(max_examples=1200, deadline=None)
@given(st.integers(0, 2**32))
def test_damaged_resources_get_one_answer_under_their_profiles(seed: int) -> None:
    random = Random(seed)
    resource = copy.deepcopy(random.choice(ours.GOOD))
    for _ in range(random.randint(1, 4)):
        if random.random() < 0.5:
            put_somewhere(resource, random.choice(TELLING), random)
        else:
            resource = random_resources.damage(resource, random)
    agree(resource)


@pytest.mark.parametrize(("url", "resource_type"), RESOURCE_PROFILES)
def test_generated_resources_get_one_answer_under_r4s_profiles(
    url: str, resource_type: str
) -> None:
    random = Random(url)
    for _ in range(8):
        resource = random_resources.resource(resource_type, random)
        resource["meta"] = {"profile": [url]}
        agree(resource)
        agree(random_resources.damage(resource, random))


@pytest.mark.parametrize("identifier", EXTENSIONS[::5])
def test_generated_extensions_get_one_answer_by_their_definitions(identifier: str) -> None:
    random = Random(identifier)
    structure = definitions.structure_by_id(identifier)
    for context in structure.get("context", ())[:2]:
        name = context["expression"].partition(".")[0]
        kind = name if definitions.is_resource_type(name) else "Patient"
        for _ in range(6):
            held = random_resources.node(random_resources.rules_of("Extension"), random, 1)
            held["url"] = structure["url"]
            resource = random_resources.resource(kind, random)
            resource["extension"] = [held]
            agree(resource)


RANK = {"url": ours.OURS + "rank", "valuePositiveInt": 1}  # may stand on a Patient only


def entry(where: str, random: Random) -> Json:
    """An entry with a Patient that may have an extension, as may another part of the entry."""
    patient: Json = {
        "resourceType": "Patient",
        "name": [{"text": "x"}],
        "contained": [{"resourceType": "Organization", "id": "o", "name": "x"}],
        "managingOrganization": {"reference": "#o"},
    }
    outcome: Json = {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": "invalid"}],
    }
    made: Json = {"resource": patient, "response": {"status": "200", "outcome": outcome}}
    held = {
        "patient": patient,
        "name": patient["name"][0],
        "contained": patient["contained"][0],
        "entry": made,
        "outcome": outcome,
    }
    for name in ("patient", where):
        if random.random() < 0.5:
            held[name]["extension"] = [RANK] * random.randint(1, 2)
    return made


@pytest.mark.parametrize(
    ("where", "allowed"),
    [("patient", True), ("name", False), ("contained", False), ("entry", False), ("outcome", True)],
)
def test_an_extension_is_found_wherever_it_is_in_a_bundle(where: str, allowed: bool) -> None:
    random = Random(where)
    for _ in range(40):
        entries = [entry(where, random) for _ in range(3)]
        bundle = {
            "resourceType": "Bundle",
            "type": "batch-response",
            "entry": [*entries, entries[0]],
        }
        misplaced = not allowed and str(entries).count("rank") > sum(
            str(one["resource"].get("extension")).count("rank") for one in entries
        )
        assert agree(bundle) == (not misplaced)


def test_what_was_made_is_not_all_refused() -> None:
    accepted = 0
    for seed in range(200):
        random = Random(seed)
        resource = copy.deepcopy(random.choice(ours.GOOD))
        put_somewhere(resource, random.choice(TELLING), random)
        accepted += agree(resource)
    assert 10 < accepted < 190
