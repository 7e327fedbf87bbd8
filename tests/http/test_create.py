"""Create (https://hl7.org/fhir/R4/http.html#create)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import pytest
from exemplars import JSON, SYSTEM, XML, created, how_many, patient, post, refused, token, unique


@pytest.mark.rule(59, 64, "http#create")
def test_a_valid_resource_is_created(client):
    sent = patient(gender="female")
    before = datetime.now(UTC) - timedelta(seconds=1)
    answer = client.post("Patient", json=sent)
    assert answer.status_code == 201
    stored = answer.json()
    assert {name: stored[name] for name in sent} == sent
    assert answer.headers["etag"] == 'W/"1"'
    updated = datetime.fromisoformat(stored["meta"]["lastUpdated"])
    assert parsedate_to_datetime(answer.headers["last-modified"]) == updated.replace(microsecond=0)
    assert before <= updated <= datetime.now(UTC) + timedelta(seconds=1)
    assert client.get(f"Patient/{stored['id']}").content == answer.content


@pytest.mark.rule(59, "http#create")
def test_a_resource_in_xml_is_created(client):
    value = unique()
    body = (
        f'<Patient xmlns="http://hl7.org/fhir"><identifier><system value="{SYSTEM}"/>'
        f'<value value="{value}"/></identifier></Patient>'
    )
    answer = post(client, body, content_type=XML, accept=XML)
    assert answer.status_code == 201
    assert answer.headers["content-type"].startswith(XML)
    assert how_many(client, "Patient", identifier=f"{SYSTEM}|{value}") == 1


@pytest.mark.rule(60, "http#create")
@pytest.mark.parametrize(
    "prefer", ["return=representation", "return=minimal", "return=OperationOutcome"]
)
def test_location_names_the_version_that_was_created(client, prefer):
    answer = client.post("Patient", json=patient(), headers={"Prefer": prefer})
    location = answer.headers["location"]
    head, history, version = location.rpartition("/_history/")
    assert (history, version) == ("/_history/", "1")
    base, _, logical_id = head.rpartition("/Patient/")
    assert base == str(client.base_url).rstrip("/")
    got = client.get(location)
    assert got.status_code == 200
    assert got.json()["id"] == logical_id


@pytest.mark.rule(60, "http#create")
def test_location_stands_below_the_base_of_the_settings(serve):
    client = serve(base_url="https://fhir.example.org/r4")
    location = client.post("Patient", json=patient()).headers["location"]
    assert location.startswith("https://fhir.example.org/r4/Patient/")


@pytest.mark.rule(61, "http#create")
@pytest.mark.parametrize("sent", ["mine", "x" * 64])
def test_the_id_of_the_body_is_ignored_and_a_new_one_assigned(client, sent):
    first, second = (created(client, patient(id=sent)) for _ in range(2))
    assert len({sent, first["id"], second["id"]}) == 3
    refused(client.get(f"Patient/{sent}"), 404)


@pytest.mark.rule(62, "http#create")
def test_version_and_last_update_of_the_body_are_ignored(client):
    meta = {"versionId": "17", "lastUpdated": "2001-01-01T00:00:00Z", "source": "urn:x"}
    stored = created(client, patient(meta=meta))
    assert stored["meta"]["versionId"] == "1"
    assert not stored["meta"]["lastUpdated"].startswith("2001")
    assert stored["meta"]["source"] == "urn:x"


@pytest.mark.rule(63, "http#create")
def test_profiles_tags_and_security_labels_are_kept(client):
    meta = {
        "profile": ["http://example.org/StructureDefinition/unknown"],
        "security": [{"system": "http://terminology.hl7.org/CodeSystem/v3-Confidentiality", "code": "R"}],
        "tag": [{"system": SYSTEM, "code": "one"}, {"system": SYSTEM, "code": "two", "display": "2"}],
        "extension": [{"url": "http://example.org/e", "valueString": "kept"}],
    }  # fmt: skip
    stored = created(client, patient(meta=meta))
    assert {name: stored["meta"][name] for name in meta} == meta


@pytest.mark.rule(65, "http#ops")
def test_return_minimal_has_no_body(client):
    answer = client.post("Patient", json=patient(), headers={"Prefer": "return=minimal"})
    assert answer.status_code == 201
    assert answer.content == b""
    assert "location" in answer.headers
    assert answer.headers["etag"] == 'W/"1"'


@pytest.mark.rule(66, "http#ops")
@pytest.mark.parametrize("prefer", [None, "return=representation", "return=representation; x=y"])
def test_return_representation_has_the_stored_resource(client, prefer):
    headers = {} if prefer is None else {"Prefer": prefer}
    answer = client.post("Patient", json=patient(), headers=headers)
    assert answer.status_code == 201
    assert client.get(answer.headers["location"]).content == answer.content


@pytest.mark.rule(67, "http#ops")
@pytest.mark.parametrize("accept", [JSON, XML])
def test_return_operation_outcome_has_one(client, accept):
    headers = {"Prefer": "return=OperationOutcome", "Accept": accept}
    answer = client.post("Patient", json=patient(), headers=headers)
    assert answer.status_code == 201
    assert "location" in answer.headers
    if accept == JSON:
        told = answer.json()
        assert told["resourceType"] == "OperationOutcome"
        assert [issue["severity"] for issue in told["issue"]] == ["information"]
    else:
        assert "<OperationOutcome " in answer.text


@pytest.mark.rule(68, "http#ops")
@pytest.mark.parametrize("prefer", ["return=minimal", "return=representation"])
def test_prefer_does_not_apply_to_failures(client, prefer):
    answer = client.post("Patient", json=patient(gender="odd"), headers={"Prefer": prefer})
    refused(answer, 422, "code-invalid")


@pytest.mark.rule(69, "http#ops")
@pytest.mark.parametrize(
    "prefer",
    [
        "return=nothing",
        "x",
        "",
        "=",
        ";;,,",
        "return",
        'a="b',
        "respond-async, foo; bar=1",
        "return==minimal",
    ],
)
def test_an_unknown_preference_is_ignored(client, prefer):
    answer = client.post("Patient", json=patient(), headers={"Prefer": prefer})
    assert answer.status_code == 201
    assert answer.json()["resourceType"] == "Patient"


@pytest.mark.rule(70, "http#create")
@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        (JSON, '{"resourceType":"Patient"'),
        (JSON, '{"resourceType":"Patient",}'),
        (JSON, "{'resourceType':'Patient'}"),
        (JSON, '{"resourceType":"Patient"} x'),
        (JSON, "<Patient/>"),
        (JSON, "null"),
        (JSON, "true"),
        (JSON, '"Patient"'),
        (JSON, "1"),
        (XML, "<Patient"),
        (XML, '<Patient xmlns="http://hl7.org/fhir">'),
        (XML, '<Patient xmlns="http://hl7.org/fhir"/><Patient xmlns="http://hl7.org/fhir"/>'),
        (XML, '<Patient xmlns="http://example.org"/>'),
        (XML, "<Patient/>"),
        (XML, '{"resourceType":"Patient"}'),
        (XML, '<!DOCTYPE x [<!ENTITY e "x">]><Patient xmlns="http://hl7.org/fhir"/>'),
    ],
)
def test_what_is_no_json_or_xml_is_400(client, content_type, body):
    refused(post(client, body, content_type=content_type), 400, "structure")


@pytest.mark.rule(71, "http#create")
@pytest.mark.parametrize("content_type", [JSON, XML])
@pytest.mark.parametrize("body", ["", " ", "\n\t"])
def test_an_empty_body_is_400(client, content_type, body):
    refused(post(client, body, content_type=content_type), 400)


@pytest.mark.rule(72, "http#create")
@pytest.mark.parametrize(
    "body",
    ["{}", '{"resourceType":"Practitioner"}', '{"resourceType":null}', '{"resourceType":["Patient"]}',
     '{"resourceType":"patient"}', '{"resourceType":""}', '{"id":"1","active":true}', "[]",
     '[{"resourceType":"Patient"}]'],
)  # fmt: skip
def test_another_resource_type_than_the_urls_is_400(client, body):
    refused(post(client, body), 400)


@pytest.mark.rule(72, "http#create")
def test_another_resource_type_in_xml_is_400(client):
    body = '<Practitioner xmlns="http://hl7.org/fhir"/>'
    refused(post(client, body, content_type=XML), 400)


@pytest.mark.rule(73, "http#create")
@pytest.mark.parametrize(
    ("elements", "expression"),
    [
        ({"nickname": "x"}, "Patient.nickname"),
        ({"name": [{"surname": "x"}]}, "Patient.name[0].surname"),
        ({"Active": True}, "Patient.Active"),
        ({"deceased": True}, "Patient.deceased"),
        ({"deceasedString": "x"}, "Patient.deceasedString"),
        ({"_name": [{"id": "x"}]}, "Patient._name"),
        ({"resource_type": "x"}, "Patient.resource_type"),
    ],
)
def test_an_unknown_element_is_400(client, elements, expression):
    resource = patient(**elements)
    issues = refused(client.post("Patient", json=resource), 400)
    assert expression.replace("_name", "name") in str(issues) or expression in str(issues)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


SLOT = {
    "resourceType": "Slot",
    "schedule": {"reference": "Schedule/1"},
    "status": "free",
    "start": "2026-03-01T10:00:00Z",
    "end": "2026-03-01T10:20:00Z",
}


@pytest.mark.rule(74, "http#create")
@pytest.mark.parametrize("name", ["schedule", "status", "start", "end"])
def test_a_missing_element_that_is_required_is_named(client, name):
    resource = {key: value for key, value in SLOT.items() if key != name}
    answer = client.post("Slot", json=resource)
    assert answer.status_code in (400, 422)
    issues = refused(answer, answer.status_code, "required")
    assert [f"Slot.{name}"] in [issue.get("expression") for issue in issues]


@pytest.mark.rule(75, "http#create")
def test_a_code_outside_of_a_required_binding_is_named(client):
    answer = client.post("Slot", json=SLOT | {"status": "open"})
    assert answer.status_code in (400, 422)
    issues = refused(answer, answer.status_code, "code-invalid")
    assert ["Slot.status"] in [issue.get("expression") for issue in issues]
    assert "free" in str(issues)


@pytest.mark.rule(76, "http#create")
def test_a_broken_invariant_is_422_and_its_key_is_named(client):
    resource = patient(contact=[{"gender": "female"}])
    issues = refused(client.post("Patient", json=resource), 422, "invariant")
    assert "pat-1" in str(issues)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(78, "http#create")
@pytest.mark.parametrize("type_name", ["Nothing", "patient", "DomainResource", "Foo"])
def test_a_type_that_does_not_exist_is_404(client, type_name):
    refused(client.post(type_name, json={"resourceType": type_name}), 404)
    refused(post(client, "{", type_name), 404)


@pytest.mark.rule(79, "json")
@pytest.mark.parametrize(
    "body",
    [
        '{"resourceType":"Patient","active":true,"active":false}',
        '{"resourceType":"Patient","resourceType":"Patient"}',
        '{"resourceType":"Patient","name":[{"family":"a","family":"b"}]}',
        '{"resourceType":"Patient","active":true,"\\u0061ctive":true}',
    ],
)
def test_a_property_that_is_there_twice_is_400(client, body):
    issues = refused(post(client, body), 400)
    assert "twice" in issues[0]["diagnostics"]


@pytest.mark.rule(59, "http#create")
@pytest.mark.parametrize("query", ["?_format=json", "?_pretty=true"])
def test_a_create_with_parameters_of_representation_is_a_create(client, query):
    assert client.post(f"Patient{query}", json=patient()).status_code == 201


@pytest.mark.rule(59, "http#create")
def test_what_is_stored_keeps_the_order_and_the_text_that_was_sent(client):
    body = (
        '{"resourceType":"Patient","name":[{"given":["B","A"],"family":"\\u00dc","_family":{"id":"f"}}],'
        '"active":false,"extension":[{"valueDecimal":1.00,"url":"http://example.org/d"}]}'
    )
    answer = post(client, body)
    assert answer.status_code == 201
    kept = answer.text.partition('"},"name":')[2]
    assert kept == (
        '[{"given":["B","A"],"family":"Ü","_family":{"id":"f"}}],"active":false,'
        '"extension":[{"valueDecimal":1.00,"url":"http://example.org/d"}]}'
    )
