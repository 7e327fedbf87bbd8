"""Every profile of ours has an example, which is valid and which others can read too.

https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

import json
from datetime import date
from importlib import import_module
from pathlib import Path

import pytest

from fhir_server.server import validator_of
from fhir_server.settings import Settings
from fhir_server.spec.json_format import parse
from fhir_server.spec.published import folder, own_definitions

EXAMPLES = sorted((folder("profiles") / "examples").glob("*.json"))
ROOT = Path(__file__).resolve().parents[2]


def read(file):
    return parse(file.read_bytes())


def claims(resource):
    return tuple(resource.get("meta", {}).get("profile", ()))


def extensions(value):
    """The urls of all extensions in a value."""
    if isinstance(value, dict):
        for name, child in value.items():
            if name == "extension":
                yield from (item["url"] for item in child)
            yield from extensions(child)
    elif isinstance(value, list):
        for child in value:
            yield from extensions(child)


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_has_no_fault_under_the_profile_that_it_claims(file):
    resource = read(file)
    assert file.stem == f"{resource['resourceType']}-{resource['id']}"
    issues = validator_of(Settings()).explain(resource, profiles=claims(resource))
    assert [issue for issue in issues if issue.severity in ("error", "fatal")] == []


def test_every_profile_and_every_extension_of_ours_is_shown_by_an_example():
    claimed = {url for file in EXAMPLES for url in claims(read(file))}
    used = {url for file in EXAMPLES for url in extensions(read(file))}
    ours = {
        resource["url"]
        for (kind, _), resource in own_definitions().items()
        if kind == "StructureDefinition"
    }
    assert ours <= claimed | used


def read_by_another_library(resource):
    """The resource as the R4B model of fhir.resources reads it."""
    kind = resource["resourceType"]
    model = getattr(import_module(f"fhir.resources.R4B.{kind.lower()}"), kind)
    return model.model_validate_json(json.dumps(resource))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_another_library_reads_an_example(file):
    resource = json.loads(file.read_text("utf-8"))
    assert read_by_another_library(resource).id == resource["id"]


@pytest.mark.filterwarnings("ignore")
def test_another_library_reads_every_kind_of_resource_of_the_example_region(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "examples"))
    region = import_module("region")
    first = {}
    for resource in region.generate(7, date(2026, 3, 27), 0.2):
        first.setdefault(resource["resourceType"], []).append(resource)
    for listed in first.values():
        for resource in listed[:20]:
            assert read_by_another_library(resource).id == resource["id"]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", sorted({kind for kind, _ in own_definitions()}))
def test_another_library_reads_the_definitions(kind):
    for (name, logical_id), resource in own_definitions().items():
        if name == kind:
            assert read_by_another_library(resource).id == logical_id
