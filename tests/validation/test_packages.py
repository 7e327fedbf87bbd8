"""Packages: taken in from archives and folders, pinned, read when they are asked for."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from profiles_under_test import ALL, GOOD_PATIENT, OURS
from typer.testing import CliRunner

from fhir_server.cli import application
from fhir_server.spec.json_format import serialise
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.profiles.packages import (
    PINS,
    Folder,
    Packages,
    UnreadablePackage,
    add,
    missing_dependencies,
    pins,
)
from fhir_server.validation.validator import Validator

Json = dict[str, Any]
MANIFEST = {
    "name": "org.example.profiles",
    "version": "1.2.0",
    "dependencies": {"hl7.fhir.r4.core": "4.0.1", "org.example.other": "2.0.0"},
}


def archive(path: Path, *resources: Json, manifest: Json = MANIFEST, **files: bytes) -> Path:
    """An npm-format package of those resources."""
    members = {f"{item['url'].rpartition('/')[2]}.json": serialise(item) for item in resources}
    members |= {"package.json": json.dumps(manifest).encode(), **files}
    with tarfile.open(path, "w:gz") as made:
        for name, content in members.items():
            member = tarfile.TarInfo(f"package/{name}")
            member.size = len(content)
            made.addfile(member, io.BytesIO(content))
    return path


def test_a_package_is_pinned_with_what_is_in_it(tmp_path: Path) -> None:
    added = add(tmp_path / "kept", archive(tmp_path / "p.tgz", *ALL))
    assert added.counts == {"StructureDefinition": 6, "ValueSet": 1}
    (pin,) = pins(tmp_path / "kept")
    assert (pin.name, pin.version, pin.resources) == ("org.example.profiles", "1.2.0", 7)
    assert [(name, version) for _, name, version in missing_dependencies([pin])] == [
        ("org.example.other", "2.0.0")
    ]


def test_resources_are_held_to_the_profiles_of_a_package(tmp_path: Path) -> None:
    add(tmp_path, archive(tmp_path / "p.tgz", *ALL))
    validator = Validator(Library((CoreDefinitions(), Packages(tmp_path))))
    assert validator.validate(GOOD_PATIENT) == ()
    assert len(validator.validate({**GOOD_PATIENT, "identifier": []})) > 0
    assert len(validator.validate({k: v for k, v in GOOD_PATIENT.items() if k != "name"})) == 1


def test_a_folder_of_json_and_xml_is_a_package_too(tmp_path: Path) -> None:
    source = tmp_path / "guide"
    (source / "definitions").mkdir(parents=True)
    (source / "examples").mkdir()
    (source / "definitions" / "rank.json").write_bytes(serialise(ALL[2]))
    (source / "languages.xml").write_text(
        '<ValueSet xmlns="http://hl7.org/fhir"><url value="http://example.org/ValueSet/a"/>'
        '<status value="active"/></ValueSet>'
    )
    (source / "examples" / "x.json").write_bytes(serialise(ALL[0]))
    (source / "broken.json").write_text("{")
    added = add(tmp_path / "kept", source)
    assert added.counts == {"StructureDefinition": 1, "ValueSet": 1}
    assert [name for name, _ in added.unread] == ["broken.json"]
    assert (added.pin.name, added.pin.version) == ("guide", "0.0.0")
    found = Packages(tmp_path / "kept").find("ValueSet", "http://example.org/ValueSet/a", None)
    assert found is not None


def test_a_newer_version_replaces_the_older(tmp_path: Path) -> None:
    add(tmp_path, archive(tmp_path / "p.tgz", *ALL))
    newer = archive(tmp_path / "q.tgz", ALL[2], manifest={**MANIFEST, "version": "2.0.0"})
    add(tmp_path, newer)
    assert [(pin.name, pin.version) for pin in pins(tmp_path)] == [
        ("org.example.profiles", "2.0.0")
    ]
    assert Packages(tmp_path).find("StructureDefinition", OURS + "patient", None) is None


def test_a_canonical_with_a_version_finds_that_version(tmp_path: Path) -> None:
    versioned = {**ALL[2], "version": "3.1.4"}
    (tmp_path / "rank.json").write_bytes(serialise(versioned))
    folder = Folder(tmp_path)
    url = OURS + "rank"
    assert folder.find("StructureDefinition", url, "3.1.4") is not None
    assert folder.find("StructureDefinition", url, "3.1") is not None
    assert folder.find("StructureDefinition", url, "3.2") is None


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b broken"])
def test_what_is_no_package_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "p.tgz"
    path.write_bytes(content)
    with pytest.raises(UnreadablePackage):
        add(tmp_path / "kept", path)


def test_an_archive_that_was_changed_is_not_loaded(tmp_path: Path) -> None:
    pin = add(tmp_path, archive(tmp_path / "p.tgz", *ALL)).pin
    with (tmp_path / pin.archive).open("ab") as file:
        file.write(b"x")
    with pytest.raises(UnreadablePackage, match="not the archive"):
        Packages(tmp_path).find("StructureDefinition", OURS + "patient", None)


def test_the_command_adds_and_lists_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FHIR_PACKAGES", str(tmp_path / "kept"))
    run = CliRunner().invoke
    added = run(application, ["package", "add", str(archive(tmp_path / "p.tgz", *ALL))])
    assert added.exit_code == 0, added.output
    assert "org.example.profiles 1.2.0" in added.output
    assert "6 StructureDefinition" in added.output
    assert "org.example.other 2.0.0" in added.output
    listed = run(application, ["package", "list"])
    assert "org.example.profiles" in listed.output
    assert (tmp_path / "kept" / PINS).is_file()
    assert run(application, ["package", "add", str(tmp_path / "nothing")]).exit_code == 2


BROKEN: list[Json] = [
    {"differential": {"element": [{"path": "Patient.name", "type": [{}]}]}},
    {"differential": {"element": [{"id": "Patient"}]}},
    {"differential": {"element": ["Patient"]}},
    {"differential": []},
    {
        "snapshot": {
            "element": [
                {"path": "Patient"},
                {"path": "Patient.name", "constraint": [{"expression": "true"}]},
            ]
        }
    },
    {"snapshot": {"element": [{"path": 1}]}},
    {
        "differential": {
            "element": [
                {"path": "Patient"},
                {"path": "Patient.deceased[x]", "type": [{"code": ""}]},
            ]
        }
    },
    {"type": None},
]


@pytest.mark.parametrize("change", BROKEN)
def test_a_definition_that_is_none_is_told_and_asks_nothing(tmp_path: Path, change: Json) -> None:
    broken = {"resourceType": "StructureDefinition", "url": OURS + "broken", "type": "Patient", "kind": "resource",
              "derivation": "constraint", "baseDefinition": "http://hl7.org/fhir/StructureDefinition/Patient",
              **change}  # fmt: skip
    add(tmp_path, archive(tmp_path / "p.tgz", broken))
    validator = Validator(Library((CoreDefinitions(), Packages(tmp_path))))
    patient = {"resourceType": "Patient", "meta": {"profile": [OURS + "broken"]}}
    assert validator.validate(patient) == ()
    assert validator.explain(patient) or validator.library.problems(OURS + "broken")


def test_value_sets_and_questionnaires_that_are_none_ask_nothing(tmp_path: Path) -> None:
    questionnaire = {"resourceType": "Questionnaire", "url": OURS + "q", "item": [
        {"linkId": "a", "type": "string", "answerOption": ["x"], "extension": [1]}]}  # fmt: skip
    languages = {**ALL[4], "compose": {"include": [{"system": "urn:ietf:bcp:47", "concept": [{}]}]}}
    add(tmp_path, archive(tmp_path / "p.tgz", ALL[0], ALL[1], languages, questionnaire))
    validator = Validator(Library((CoreDefinitions(), Packages(tmp_path))))
    answers = {"resourceType": "QuestionnaireResponse", "questionnaire": OURS + "q", "status": "completed",
               "item": [{"linkId": "a", "answer": [{"valueString": "x"}]}]}  # fmt: skip
    assert validator.validate(answers) == ()
    assert validator.validate(GOOD_PATIENT) == ()
