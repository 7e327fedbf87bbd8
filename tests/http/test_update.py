"""Update, and update as create (https://hl7.org/fhir/R4/http.html#update)."""

from __future__ import annotations

import json
from datetime import datetime
from email.utils import parsedate_to_datetime

import pytest
from exemplars import JSON, SYSTEM, XML, created, how_many, patient, put, refused, token, unique


@pytest.mark.rule(89, 106, "http#update")
def test_an_update_makes_the_next_version(client):
    first = created(client, patient(gender="male"))
    answer = put(client, first | {"gender": "female"})
    assert answer.status_code == 200
    second = answer.json()
    assert (second["id"], second["gender"]) == (first["id"], "female")
    assert second["meta"]["versionId"] == "2"
    assert answer.headers["etag"] == 'W/"2"'
    updated = datetime.fromisoformat(second["meta"]["lastUpdated"])
    assert parsedate_to_datetime(answer.headers["last-modified"]) == updated.replace(microsecond=0)
    assert client.get(f"Patient/{first['id']}").content == answer.content
    assert client.get(f"Patient/{first['id']}/_history/1").json() == first


@pytest.mark.rule(89, "http#update")
def test_an_update_replaces_the_whole_resource(client):
    first = created(client, patient(gender="male", active=True, name=[{"family": "A"}]))
    answer = put(client, {"resourceType": "Patient", "id": first["id"], "active": False})
    assert answer.json().keys() == {"resourceType", "id", "meta", "active"}


@pytest.mark.rule(90, "http#update")
def test_a_body_without_an_id_is_400(client):
    first = created(client, patient())
    resource = patient()
    issues = refused(client.put(f"Patient/{first['id']}", json=resource), 400)
    assert issues[0]["expression"] == ["Patient.id"]
    assert client.get(f"Patient/{first['id']}").json() == first
    fresh = unique()
    refused(client.put(f"Patient/{fresh}", json=resource), 400)
    refused(client.get(f"Patient/{fresh}"), 404)


@pytest.mark.rule(91, "http#update")
@pytest.mark.parametrize("sent", ["other", "", 1, None, ["x"], "x" * 65])
def test_a_body_with_another_id_is_400(client, sent):
    first = created(client, patient())
    resource = patient(id=sent)
    refused(client.put(f"Patient/{first['id']}", json=resource), 400)
    assert client.get(f"Patient/{first['id']}").json() == first
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(91, "http#update")
def test_an_id_that_differs_in_case_only_is_400(client):
    first = created(client, patient())
    path = f"Patient/{first['id'].upper()}"
    refused(client.put(path, json=first), 400)


@pytest.mark.rule(92, "http#update")
@pytest.mark.parametrize("sent", ["Practitioner", "patient", "", None, 3, ["Patient"]])
def test_a_body_of_another_resource_type_is_400(client, sent):
    first = created(client, patient())
    refused(client.put(f"Patient/{first['id']}", json=first | {"resourceType": sent}), 400)
    assert client.get(f"Patient/{first['id']}").json() == first


@pytest.mark.rule(93, "http#update")
@pytest.mark.parametrize("version", ["1", "99", "x"])
def test_version_and_last_update_of_the_body_are_ignored(client, version):
    first = created(client, patient())
    put(client, first)
    stale = {"versionId": version, "lastUpdated": "1999-12-31T23:59:59Z"}
    answer = put(client, first | {"meta": stale})
    assert answer.status_code == 200
    assert answer.json()["meta"]["versionId"] == "3"
    assert not answer.json()["meta"]["lastUpdated"].startswith("1999")


@pytest.mark.rule(94, "http#update")
def test_a_tag_that_is_left_out_is_gone(client):
    tags = [{"system": SYSTEM, "code": code} for code in ("a", "b")]
    meta = {"tag": tags, "security": [{"code": "R"}], "profile": ["http://example.org/p"]}
    first = created(client, patient(meta=meta))
    second = put(client, first | {"meta": {"tag": tags[1:]}}).json()
    assert second["meta"].keys() == {"versionId", "lastUpdated", "tag"}
    assert second["meta"]["tag"] == tags[1:]
    bare = {name: value for name, value in first.items() if name != "meta"}
    assert put(client, bare).json()["meta"].keys() == {"versionId", "lastUpdated"}
    found = {"_tag": f"{SYSTEM}|a", "identifier": token(first)}
    assert how_many(client, "Patient", **found) == 0


@pytest.mark.rule(95, "http#update")
@pytest.mark.parametrize("accept", [JSON, XML])
def test_an_id_that_is_not_used_is_created(client, accept):
    resource = patient(id=unique())
    answer = put(client, resource, accept=accept)
    assert answer.status_code == 201
    assert answer.headers["location"].endswith(f"/Patient/{resource['id']}/_history/1")
    assert answer.headers["etag"] == 'W/"1"'
    assert client.get(f"Patient/{resource['id']}").status_code == 200


@pytest.mark.rule(95, "http#update")
def test_an_update_in_xml_is_stored(client):
    logical_id = unique()
    body = f'<Patient xmlns="http://hl7.org/fhir"><id value="{logical_id}"/><active value="true"/></Patient>'
    for status in (201, 200):
        answer = client.put(f"Patient/{logical_id}", content=body, headers={"Content-Type": XML})
        assert answer.status_code == status
        assert answer.json()["active"] is True


@pytest.mark.rule(95, 96, "http#update")
def test_the_capability_statement_says_whether_clients_may_choose_ids(client, serve):
    strict = serve(update_create="false")
    for server, told in ((client, True), (strict, False)):
        statement = server.get("metadata").json()
        assert {item["updateCreate"] for item in statement["rest"][0]["resource"]} == {told}
    resource = patient(id=unique())
    answer = put(strict, resource)
    refused(answer, 405)
    assert "PUT" not in answer.headers["allow"]
    refused(strict.get(f"Patient/{resource['id']}"), 404)
    first = created(strict, patient())
    assert put(strict, first).status_code == 200
    strict.delete(f"Patient/{first['id']}")
    assert put(strict, first).status_code == 201


@pytest.mark.rule(97, "http#update")
def test_a_deleted_id_comes_back_and_its_versions_go_on(client):
    first = created(client, patient())
    client.delete(f"Patient/{first['id']}")
    answer = put(client, first)
    assert answer.status_code == 201
    assert answer.json()["meta"]["versionId"] == "3"
    assert answer.headers["etag"] == 'W/"3"'
    assert answer.headers["location"].endswith(f"/Patient/{first['id']}/_history/3")
    assert client.get(f"Patient/{first['id']}").status_code == 200
    refused(client.get(f"Patient/{first['id']}/_history/2"), 410)


@pytest.mark.rule(98, "http#update")
@pytest.mark.parametrize("type_name", ["Nothing", "patient", "Resource"])
def test_a_type_that_does_not_exist_is_404(client, type_name):
    refused(client.put(f"{type_name}/1", json={"resourceType": type_name, "id": "1"}), 404)


@pytest.mark.rule(99, "http#update")
@pytest.mark.parametrize(
    ("elements", "status"),
    [
        ({"unknown": 1}, 400),
        ({"active": "yes"}, 400),
        ({"birthDate": "2026-13-45"}, 400),
        ({"gender": "odd"}, 422),
        ({"contact": [{"gender": "male"}]}, 422),
    ],
)
def test_what_is_not_fhir_is_400_and_what_breaks_a_rule_is_422(client, elements, status):
    first = created(client, patient())
    refused(put(client, first | elements), status)
    assert client.get(f"Patient/{first['id']}").json() == first


@pytest.mark.rule(99, "http#update")
@pytest.mark.parametrize("body", ["", "{", "[]", "null", '"x"', "<a/>"])
def test_a_body_that_cannot_be_parsed_is_400(client, body):
    first = created(client, patient())
    path = f"Patient/{first['id']}"
    refused(client.put(path, content=body, headers={"Content-Type": JSON}), 400)
    assert client.get(path).json() == first


@pytest.mark.rule(106, "http#concurrency")
def test_every_read_and_write_has_an_etag(client):
    resource = patient(id=unique())
    path = f"Patient/{resource['id']}"
    patch = json.dumps([{"op": "add", "path": "/active", "value": True}])
    patch_type = {"Content-Type": "application/json-patch+json"}
    answers = [
        put(client, resource),
        put(client, resource, prefer="return=minimal"),
        client.patch(path, content=patch, headers=patch_type),
        client.get(path),
        client.head(path),
        client.get(f"{path}/_history/3"),
        client.delete(path),
    ]
    tags = [answer.headers["etag"] for answer in answers]
    assert tags == [f'W/"{number}"' for number in (1, 2, 3, 3, 3, 3, 4)]


@pytest.mark.rule(108, "http#update")
def test_identical_content_makes_a_new_version_as_documented(client):
    first = created(client, patient())
    answer = put(client, first)
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert client.get(f"Patient/{first['id']}").headers["etag"] == 'W/"2"'
    documentation = client.get("metadata").json()["rest"][0]["documentation"]
    assert "always makes a new version" in documentation


@pytest.mark.rule(109, "resource#meta")
def test_last_updated_never_goes_backwards(client):
    resource = created(client, patient())
    seen = [resource["meta"]["lastUpdated"]]
    seen += [put(client, resource).json()["meta"]["lastUpdated"] for _ in range(20)]
    assert sorted(set(seen)) == seen


@pytest.mark.rule(110, "http#cond-update")
@pytest.mark.parametrize(
    "query", ["", "?", "?_format=json", "?&", "?_pretty=true", "?identifier=", "?foo=bar"]
)
def test_a_put_without_id_and_without_criteria_touches_nothing(client, query):
    resource = created(client, patient())
    answer = client.put(f"Patient{query}", json=resource)
    assert answer.status_code in (400, 405, 412)
    refused(answer, answer.status_code)
    assert client.get(f"Patient/{resource['id']}").json() == resource


@pytest.mark.rule(111, "http#read")
@pytest.mark.parametrize("query", ["_summary=true", "_summary=data", "_elements=name"])
def test_a_part_of_a_resource_is_refused(client, query):
    resource = created(client, patient(name=[{"family": "A"}]))
    part = client.get(f"Patient/{resource['id']}?{query}").json()
    issues = refused(put(client, part), 422)
    assert issues[0]["expression"] == ["Patient.meta.tag"]
    part["id"] = unique()
    refused(put(client, part), 422)
    assert client.get(f"Patient/{resource['id']}").json() == resource


@pytest.mark.rule(65, 66, 67, "http#ops")
def test_an_update_honours_prefer(client):
    resource = created(client, patient())
    answer = put(client, resource, prefer="return=minimal")
    assert (answer.status_code, answer.content) == (200, b"")
    answer = put(client, resource, prefer="return=OperationOutcome")
    assert answer.json()["resourceType"] == "OperationOutcome"
    answer = put(client, resource, prefer="return=representation")
    assert answer.json()["meta"]["versionId"] == "4"
