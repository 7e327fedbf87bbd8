"""Following all parameters of a type together finds what each of them finds by itself.

https://hl7.org/fhir/R4/searchparameter.html#expression
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from plain_entries import plain_entries, plain_fold, plain_parameters

from fhir_server.search.extraction import entries
from fhir_server.search.folding import fold
from fhir_server.spec.definitions import resource_types

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "validation"))
from random_resources import damage, resource

ROOT = Path(__file__).resolve().parents[2]
Json = dict[str, Any]

BASES = ("http://here.example/fhir",)
_REFERENCES: tuple[Json, ...] = (
    {"reference": "Patient/1", "display": "Ann Lee"},
    {"reference": "Group/g/_history/2"},
    {"reference": f"{BASES[0]}/Patient/3", "identifier": {"system": "s", "value": "v"}},
    {"reference": f"{BASES[0]}/Device/4/_history/5", "type": "Patient"},
    {"reference": "https://else.example/fhir/Practitioner/6"},
    {"reference": "https://else.example/fhir/Patient/7/_history/8", "display": " "},
    {"reference": "#a"},
    {"reference": "#none", "type": "Patient"},
    {"reference": "urn:uuid:7b0e4d5c-8f6e-4d27-9f6e-000000000001"},
    {"reference": ""},
    {"reference": None, "identifier": {"value": "v"}},
    {"type": "Patient", "identifier": {"value": "v"}},
    {"type": "Location"},
    {"identifier": {"system": "s", "value": "v"}, "display": "Ann Lee"},
    {"identifier": {"system": "s"}},
    {"identifier": {"system": 1, "value": 2}},
    {"display": "Ann Lee"},
)


def same(value: Json) -> None:
    """Both ways find the same, in the same classes."""
    numbers = {item.number for item in plain_parameters(value["resourceType"])}
    found = {item for item in entries(value, base_urls=BASES) if item[0] % 10_000 in numbers}
    expected = plain_entries(value, BASES)
    assert {(type(item), item) for item in found} == {(type(item), item) for item in expected}


@pytest.mark.parametrize("resource_type", resource_types())
def test_resources_of_every_type_whole_and_damaged(resource_type: str) -> None:
    random = Random(resource_type)
    for _ in range(15):
        value = resource(resource_type, random)
        same(value)
        same(damage(value, random) | {"resourceType": resource_type})


def test_the_region(tmp_path: Path) -> None:
    file = tmp_path / "region.ndjson"
    made = [sys.executable, "examples/region.py", "--scale", "0.05", "--out", str(file)]
    subprocess.run(made, cwd=ROOT, check=True)
    for line in file.read_text("utf-8").splitlines():
        same(json.loads(line))


@pytest.mark.parametrize("reference", _REFERENCES, ids=json.dumps)
@pytest.mark.parametrize(
    "resource_type", ["ServiceRequest", "Task", "Provenance", "Coverage", "Appointment"]
)
def test_references_of_every_kind_under_wide_and_narrow_parameters(
    reference: Json, resource_type: str
) -> None:
    properties = ("subject", "for", "focus", "target", "payor", "beneficiary", "performer")
    value: Json = {
        "resourceType": resource_type,
        "contained": [{"resourceType": "Patient", "id": "a"}],
        "participant": [{"actor": reference}],
        "agent": [{"who": reference}],
    }
    same(value | dict.fromkeys(properties, reference))
    several = [reference, {"reference": "Patient/9"}, reference]
    same(value | dict.fromkeys(properties, several))


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=200))
def test_ascii_is_folded_as_by_the_character(text: str) -> None:
    assert fold(text) == plain_fold(text)
