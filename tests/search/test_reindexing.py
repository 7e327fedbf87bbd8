"""Indexing what is stored anew, from the command line."""

from __future__ import annotations

import os
import subprocess

import httpx

from fhir_server.spec.published import own_definitions
from tools.serving import ROOT, ServerProcess, command


def run(database, *arguments, **settings):
    environment = os.environ | {f"FHIR_{name.upper()}": value for name, value in settings.items()}
    given = command(*arguments, "--database", database)
    return subprocess.run(given, cwd=ROOT, env=environment, capture_output=True, text=True)


def test_a_setting_that_changes_the_index_is_applied_to_what_is_stored(new_database):
    database = new_database()
    with ServerProcess(database) as server, httpx.Client(base_url=server.base + "/") as client:
        for value in ("1", "1", "2"):
            body = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": value}]}
            body["contact"] = [{"name": {"family": f"Aardvark{value}"}}]
            assert client.post("Patient", json=body).status_code == 201
    changed = {"content_search": "true", "unique_identifiers": "Patient|urn:x"}
    assert run(database, "check-store", **changed).returncode == 1
    done = run(database, "reindex", **changed)
    assert done.returncode == 1
    own = len(own_definitions())
    assert f"{own + 3} resources indexed, {own + 2} changed, 1 refused" in done.stdout
    assert "declared to be unique" in done.stderr
    settings = {f"FHIR_{name.upper()}": value for name, value in changed.items()}
    with (
        ServerProcess(database, settings=settings) as server,
        httpx.Client(base_url=server.base + "/") as client,
    ):
        assert client.get("Patient?_content=aardvark2").json()["total"] == 1
        body = {"resourceType": "Patient", "identifier": [{"system": "urn:x", "value": "2"}]}
        assert client.post("Patient", json=body).status_code == 409
