"""A Provenance sent with a change as X-Provenance (https://hl7.org/fhir/R4/provenance.html#header)."""

from __future__ import annotations

import json

import pytest
from exemplars import created, how_many, patient, put, refused, token, unique

PROVENANCE = {
    "resourceType": "Provenance",
    "recorded": "2026-03-01T10:00:00Z",
    "agent": [{"who": {"display": "A. Clerk"}}],
}


def header(**elements):
    return json.dumps(PROVENANCE | elements)


def about(client, logical_id):
    """The Provenance resources whose target is that Patient."""
    found = client.get("Provenance", params={"target": f"Patient/{logical_id}"}).json()
    return [entry["resource"] for entry in found.get("entry", ())]


@pytest.mark.rule(80, "provenance#header")
@pytest.mark.parametrize("target", [{}, {"target": [{"reference": "Patient/someone-else"}]}])
def test_the_provenance_of_a_create_is_stored_with_the_new_version_as_its_target(client, target):
    answer = client.post("Patient", json=patient(), headers={"X-Provenance": header(**target)})
    assert answer.status_code == 201
    assert answer.json()["resourceType"] == "Patient"
    logical_id = answer.json()["id"]
    (stored,) = about(client, logical_id)
    assert stored["target"] == [{"reference": f"Patient/{logical_id}/_history/1"}]
    assert stored["agent"] == PROVENANCE["agent"]
    assert stored["id"]


@pytest.mark.rule(80, "provenance#header")
def test_the_provenance_of_update_and_patch_names_their_versions(client):
    resource = created(client, patient())
    path = f"Patient/{resource['id']}"
    assert put(client, resource, x_provenance=header()).status_code == 200
    patch = [{"op": "add", "path": "/active", "value": True}]
    headers = {"X-Provenance": header(), "Content-Type": "application/json-patch+json"}
    assert client.patch(path, content=json.dumps(patch), headers=headers).status_code == 200
    criteria = {"identifier": token(resource)}
    answer = client.put(
        "Patient", params=criteria, json=resource, headers={"X-Provenance": header()}
    )
    assert answer.status_code == 200
    versions = {item["target"][0]["reference"] for item in about(client, resource["id"])}
    assert versions == {f"{path}/_history/{number}" for number in (2, 3, 4)}


@pytest.mark.rule(80, "provenance#header")
def test_the_provenance_of_a_conditional_create_that_finds_its_resource_is_not_stored(client):
    resource = patient()
    headers = {"X-Provenance": header(), "If-None-Exist": f"identifier={token(resource)}"}
    first = client.post("Patient", json=resource, headers=headers)
    second = client.post("Patient", json=resource, headers=headers)
    assert (first.status_code, second.status_code) == (201, 200)
    assert len(about(client, first.json()["id"])) == 1


MALFORMED = [
    "", "{", "x", "[]", "null", '{"resourceType":"Patient"}',
    json.dumps(PROVENANCE | {"recorded": "yesterday"}),
    json.dumps(PROVENANCE | {"unknown": 1}),
    json.dumps(PROVENANCE | {"agent": [{"who": {"reference": "Practitioner?name=x"}}]}),
    json.dumps(PROVENANCE).replace("{", '{"recorded":"2026",', 1),
    "<Provenance/>",
]  # fmt: skip


@pytest.mark.rule(80, "provenance#header")
@pytest.mark.parametrize("sent", MALFORMED)
def test_a_malformed_provenance_is_400_and_nothing_is_stored(client, sent):
    resource = patient(id=unique())
    refused(client.post("Patient", json=resource, headers={"X-Provenance": sent}), 400)
    refused(put(client, resource, x_provenance=sent), 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(80, "provenance#header")
@pytest.mark.parametrize("missing", ["recorded", "agent"])
def test_a_provenance_without_a_required_element_is_422_and_nothing_is_stored(client, missing):
    resource = patient()
    sent = json.dumps({name: value for name, value in PROVENANCE.items() if name != missing})
    answer = client.post("Patient", json=resource, headers={"X-Provenance": sent})
    issues = refused(answer, 422, "required")
    assert [issue["expression"] for issue in issues] == [[f"Provenance.{missing}"]]
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(80, "provenance#header")
def test_a_provenance_that_cannot_be_stored_takes_its_resource_with_it(serve):
    """Under referential integrity, an agent that does not exist refuses both."""
    client = serve(referential_integrity="true")
    resource = patient()
    lost = header(agent=[{"who": {"reference": "Practitioner/nobody"}}])
    refused(client.post("Patient", json=resource, headers={"X-Provenance": lost}), 422)
    assert how_many(client, "Patient", identifier=token(resource)) == 0
    answer = client.post("Patient", json=resource, headers={"X-Provenance": header()})
    assert answer.status_code == 201
    assert len(about(client, answer.json()["id"])) == 1


@pytest.mark.rule(80, "provenance#header")
def test_a_change_that_is_refused_leaves_no_provenance(client):
    resource = created(client, patient())
    answer = put(client, resource, x_provenance=header(), if_match='W/"7"')
    refused(answer, 412)
    assert about(client, resource["id"]) == []


@pytest.mark.rule(80, "provenance#header")
def test_where_there_is_no_version_to_speak_of_it_is_refused_or_has_no_meaning(client):
    logical_id = created(client, patient())["id"]
    headers = {"X-Provenance": header()}
    refused(client.delete(f"Patient/{logical_id}", headers=headers), 400, "not-supported")
    bundle = {"resourceType": "Bundle", "type": "batch"}
    refused(client.post("", json=bundle, headers=headers), 400, "not-supported")
    assert client.get(f"Patient/{logical_id}", headers=headers).status_code == 200
