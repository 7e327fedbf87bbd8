"""$meta, $meta-add and $meta-delete (https://hl7.org/fhir/R4/resource-operation-meta.html)."""

import pytest
from bundles import SYSTEM, basic, done, fresh, location, patient, post, put
from operating import issues, parameters, returned

# $meta.


@pytest.mark.rule(320, "resource-operation-meta")
def test_meta_of_an_instance_is_its_meta(client):
    name = fresh()
    meta = {
        "profile": ["https://example.org/p"],
        "security": [{"system": SYSTEM, "code": "s"}],
        "tag": [{"system": SYSTEM, "code": "t", "display": "T"}],
    }
    done(client, put(patient(id=name, meta=meta)))
    for answer in [
        client.get(f"Patient/{name}/$meta"),
        client.post(f"Patient/{name}/$meta"),
        client.post(f"Patient/{name}/$meta", json=parameters()),
    ]:
        assert returned(answer) == client.get(f"Patient/{name}").json()["meta"]
        assert answer.headers["ETag"] == 'W/"1"'
    issues(client.get("Patient/nobody/$meta"), 404)
    client.delete(f"Patient/{name}")
    issues(client.get(f"Patient/{name}/$meta"), 410)


@pytest.mark.rule(320, "resource-operation-meta")
def test_meta_of_a_type_and_of_the_system_is_what_is_in_use_there(client):
    code, other, profile = fresh(), fresh(), f"https://example.org/{fresh()}"
    tag = {"system": SYSTEM, "code": code, "display": "Shown"}
    label = {"system": SYSTEM, "code": other}
    shown = done(
        client,
        post(patient(meta={"tag": [tag], "profile": [profile]})),
        post(patient(meta={"tag": [tag]})),
        post(basic(meta={"security": [label]})),
    )
    patients, basics, system = (
        returned(client.get(path)) for path in ("Patient/$meta", "Basic/$meta", "$meta")
    )
    assert [item for item in patients["tag"] if item["code"] == code] == [tag]
    assert profile in patients["profile"]
    assert label not in patients.get("security", [])
    assert label in basics["security"]
    assert tag in system["tag"]
    assert label in system["security"]
    assert profile in system["profile"]
    client.delete(location(shown[2]))
    assert label not in returned(client.get("$meta")).get("security", [])


@pytest.mark.rule(320, "resource-operation-meta-add")
def test_meta_add_adds_what_is_not_there_and_meta_delete_takes_it_out(client):
    name = fresh()
    first = {"system": SYSTEM, "code": "first", "display": "First"}
    resource = patient(id=name, gender="female", meta={"tag": [first]})
    done(client, put(resource))
    given = {
        "tag": [{"system": SYSTEM, "code": "first"}, {"system": SYSTEM, "code": "second"}],
        "security": [{"system": SYSTEM, "code": "s"}],
        "profile": ["https://example.org/p"],
        "versionId": "17",
    }
    path = f"Patient/{name}/$meta-add"
    answer = client.post(path, json=parameters(meta=("valueMeta", given)))
    meta = returned(answer)
    assert meta["tag"] == [first, {"system": SYSTEM, "code": "second"}]
    assert meta["security"] == given["security"]
    assert meta["profile"] == given["profile"]
    assert (meta["versionId"], answer.headers["ETag"]) == ("2", 'W/"2"')
    stored = client.get(f"Patient/{name}").json()
    assert stored == resource | {"meta": meta}
    again = returned(client.post(path, json=parameters(meta=("valueMeta", given))))
    assert again["versionId"] == "2"
    found = client.get("Patient", params={"_id": name, "_tag": f"{SYSTEM}|second"}).json()
    assert found["total"] == 1

    path = f"Patient/{name}/$meta-delete"
    gone = {"tag": [{"system": SYSTEM, "code": "second"}, {"code": "never there"}]}
    meta = returned(client.post(path, json=parameters(meta=("valueMeta", gone))))
    assert meta["tag"] == [first]
    rest = {"tag": [first], "security": given["security"], "profile": given["profile"]}
    meta = returned(client.post(path, json=parameters(meta=("valueMeta", rest))))
    assert meta.keys() == {"versionId", "lastUpdated"}
    found = client.get("Patient", params={"_id": name, "_tag": f"{SYSTEM}|second"}).json()
    assert found["total"] == 0
    for code in ("meta-add", "meta-delete"):
        body = parameters(meta=("valueMeta", gone))
        issues(client.post(f"Patient/nobody/${code}", json=body), 404)
