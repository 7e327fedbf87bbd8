"""Published UK resources and HL7's validator cases: no false alarms beyond those explained here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from third_party import DATA

from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse
from fhir_server.spec.xml_format import parse_xml
from fhir_server.validation import Validator, validate
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.profiles.packages import Packages, add
from tools.validator_agreement import outcome


def read(path: Path) -> Any:
    body = path.read_bytes()
    return parse_xml(body) if path.suffix == ".xml" else parse(body)


def resources(folder: Path) -> Iterator[tuple[str, Any]]:
    for path in sorted(folder.rglob("*")):
        if path.suffix in (".xml", ".json"):
            try:
                resource = read(path)
            except FhirError:
                continue  # not R4's JSON or XML at all
            if isinstance(resource, dict) and "resourceType" in resource:
                yield path.name, resource


@pytest.mark.skipif(not (DATA / "uk-core").is_dir(), reason="needs the UK Core files")
def test_uk_core_examples_and_definitions_are_good() -> None:
    found = dict(resources(DATA / "uk-core"))
    assert len(found) > 500
    assert {name: issues for name, item in found.items() if (issues := validate(item))} == {}


@pytest.mark.skipif(not (DATA / "e-rs").is_dir(), reason="needs the e-RS examples")
def test_e_rs_examples_are_good_but_for_relative_full_urls_and_one_shape() -> None:
    found = [
        issue
        for folder in (DATA / "e-rs").glob("*-r4")
        for _, item in resources(folder)
        for issue in validate(item)
    ]
    others = [issue for issue in found if "relative fullUrl" not in issue.diagnostics]
    assert [issue.expression for issue in others] == [("Bundle.entry[0].resource.identifier",)]


@pytest.fixture(scope="module")
def uk_core(tmp_path_factory: pytest.TempPathFactory) -> Validator:
    """A validator that knows UK Core as a package."""
    if not (DATA / "uk-core").is_dir():
        pytest.skip("needs the UK Core files")
    kept = tmp_path_factory.mktemp("packages")
    added = add(kept, DATA / "uk-core")
    assert added.counts["StructureDefinition"] == 153
    # One code system has a stray letter between its elements.
    assert len(added.unread) == 1
    return Validator(Library((CoreDefinitions(), Packages(kept))))


def test_every_profile_of_uk_core_gets_a_snapshot_and_compiles(uk_core: Validator) -> None:
    sources = dict(resources(DATA / "uk-core" / "structuredefinitions"))
    for source in sources.values():
        made = uk_core.library.profile(source["url"])
        assert made is not None
        for fault in uk_core.library.problems(source["url"]):
            # Two slices of one profile are both told by their type, which is the same.
            assert source["id"] == "UKCore-Observation-Lab"
            assert not fault.grave


def test_uk_core_examples_keep_their_profiles(uk_core: Validator) -> None:
    profiles = {
        item["id"]: item for _, item in resources(DATA / "uk-core" / "structuredefinitions")
    }
    checked = 0
    for name, example in resources(DATA / "uk-core" / "examples"):
        # The name tells the profile, UKCore-Observation-Lab-Albumin-Example: the longest that there is.
        words = name.split("-Example")[0].split("-")
        names = ["-".join(words[:count]) for count in range(len(words), 0, -1)]
        names.append(f"UKCore-{example['resourceType']}")
        claimed = next(
            profiles[item]["url"]
            for item in names
            if item in profiles and profiles[item]["type"] == example["resourceType"]
        )
        example["meta"] = {**example.get("meta", {}), "profile": [claimed]}
        assert uk_core.validate(example) == (), name
        checked += 1
    assert checked > 130


@pytest.mark.skipif(not (DATA / "validator").is_dir(), reason="needs HL7's validator cases")
def test_hl7s_validator_agrees_on_most_of_its_cases() -> None:
    folder = DATA / "validator"
    cases = json.loads((folder / "manifest.json").read_text())
    base = [outcome(folder, case, "base") for case in cases if "base" in case["expected"]]
    profiled = [outcome(folder, case, "profile") for case in cases if "profile" in case["expected"]]
    assert [item.name for item in base if item.found and not item.expected] == []
    assert sum(item.agrees for item in base) >= 234
    assert sum(item.agrees for item in profiled) >= 47
