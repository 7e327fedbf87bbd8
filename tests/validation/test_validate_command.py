"""fhir-server validate: files held to R4 and profiles, told as a table or as JSON, with an exit status."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from profiles_under_test import ALL, GOOD_PATIENT, OURS
from test_packages import archive
from typer.testing import CliRunner

from fhir_server.cli import application
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FHIR_PACKAGES", str(tmp_path / "none"))
    return archive(tmp_path / "p.tgz", *ALL)


def run(*arguments: object) -> Result:
    return CliRunner().invoke(application, ["validate", *map(str, arguments)])


def file(path: Path, resource: Json) -> Path:
    path.write_bytes(serialise(resource))
    return path


def test_a_good_file_ends_with_status_0(tmp_path: Path, package: Path) -> None:
    done = run(file(tmp_path / "good.json", GOOD_PATIENT), "--package", package)
    assert done.exit_code == 0, done.output
    assert "1 checked, 0 errors" in done.output


def test_a_fault_ends_with_status_1_and_is_told_with_its_line(
    tmp_path: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    path = Path("bad.json")
    path.write_text(
        '{\n "resourceType": "Organization",\n "name": "x",\n "identifier": [\n  {"use": "none"}]}'
    )
    done = run(path, "--package", package)
    assert done.exit_code == 1
    assert "bad.json:5:" in done.output
    assert "Organization.identifier[0].use" in done.output


def test_the_json_form_is_for_programs(tmp_path: Path, package: Path) -> None:
    path = file(
        tmp_path / "o.json", {"resourceType": "Organization", "identifier": [{"value": "1"}]}
    )
    done = run(path, "--package", package, "--profile", OURS + "organization", "--format", "json")
    told = json.loads(done.output)
    assert (done.exit_code, told["checked"], told["errors"]) == (1, 1, 1)
    (issue,) = told["issues"]
    assert (issue["expression"], issue["profile"]) == (["Organization.name"], OURS + "organization")


def test_an_unknown_profile_is_an_error(tmp_path: Path, package: Path) -> None:
    done = run(file(tmp_path / "o.json", GOOD_PATIENT), "--profile", "http://nowhere.org/p")
    assert done.exit_code == 1
    assert "not known here" in " ".join(done.output.split())


def test_what_is_no_fhir_is_told_beside_what_breaks_its_rules(
    tmp_path: Path, package: Path
) -> None:
    path = tmp_path / "o.xml"
    path.write_text(
        '<Organization xmlns="http://hl7.org/fhir">\n<nick/>\n<active value="x"/>\n<name value="x"/>\n'
        '<telecom><system value="x"/></telecom>\n</Organization>'
    )
    told = json.loads(run(path, "--package", package, "--format", "json").output)
    found = [(issue["code"], issue["expression"][0], issue["line"]) for issue in told["issues"]]
    assert found == [
        ("structure", "Organization", 1),
        ("structure", "Organization.active", 3),
        ("code-invalid", "Organization.telecom[0].system", 5),
    ]


def test_what_cannot_be_read_is_told(tmp_path: Path, package: Path) -> None:
    path = tmp_path / "broken.json"
    path.write_text("{")
    assert run(path).exit_code == 1
    assert run(tmp_path / "none.json").exit_code == 2
    assert run(path, "--package", tmp_path / "none.tgz").exit_code == 2
