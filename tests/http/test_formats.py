"""Formats and their negotiation (https://hl7.org/fhir/R4/http.html#mime-type)."""

from __future__ import annotations

import json

import pytest
from exemplars import JSON, XML, created, how_many, patient, post, put, refused, token, unique

TURTLE = ["ttl", "application/fhir+turtle", "text/turtle"]


@pytest.fixture(scope="module")
def stored(client):
    """A Patient to read."""
    return created(client, patient(name=[{"family": "Lovelace", "given": ["Ada"]}]))


def essence(answer):
    return answer.headers["content-type"].partition(";")[0]


@pytest.mark.rule(18, 19, "http#mime-type")
@pytest.mark.parametrize("media_type", [JSON, XML])
@pytest.mark.parametrize("path", ["Patient/{id}", "Patient?_id={id}", "metadata", "Patient/nobody"])
def test_an_answer_carries_the_exact_type_of_its_format_and_is_utf_8(
    client, stored, media_type, path
):
    answer = client.get(path.format(id=stored["id"]), headers={"Accept": media_type})
    assert answer.headers["content-type"].replace(" ", "").lower() == f"{media_type};charset=utf-8"
    text = answer.content.decode("utf-8")
    assert text[0] == ("{" if media_type == JSON else "<")


@pytest.mark.rule(18, "http#mime-type")
@pytest.mark.parametrize("media_type", TURTLE[1:])
def test_turtle_is_not_offered_and_406(client, stored, media_type):
    refused(client.get(f"Patient/{stored['id']}", headers={"Accept": media_type}), 406)


@pytest.mark.rule(19, "http#mime-type")
def test_characters_outside_of_ascii_come_back_in_utf_8(client):
    family = "Ōé漢字😀" + unique()
    logical_id = created(client, patient(name=[{"family": family}]))["id"]
    for media_type in (JSON, XML):
        answer = client.get(f"Patient/{logical_id}", headers={"Accept": media_type})
        assert family in answer.content.decode("utf-8")


@pytest.mark.rule(20, 21, "http#mime-type")
@pytest.mark.parametrize(
    "media_type", ["application/json", "text/json", "application/xml", "text/xml"]
)
def test_a_generic_type_is_answered_with_that_type(client, stored, media_type):
    answer = client.get(f"Patient/{stored['id']}", headers={"Accept": media_type})
    assert answer.status_code == 200
    assert essence(answer) == media_type
    assert answer.text[0] == ("{" if "json" in media_type else "<")


@pytest.mark.rule(22, "http#mime-type")
@pytest.mark.parametrize("accept", [None, "*/*", "application/*", "text/html, */*;q=0.1"])
def test_without_a_wish_the_answer_is_json(client, stored, accept):
    request = client.build_request("GET", f"Patient/{stored['id']}")
    del request.headers["accept"]
    if accept is not None:
        request.headers["accept"] = accept
    answer = client.send(request)
    assert answer.status_code == 200
    assert essence(answer) == JSON


@pytest.mark.rule(23, "http#mime-type")
@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (f"{XML};q=0.5, {JSON}", JSON),
        (f"{JSON};q=0.5, {XML}", XML),
        (f"{JSON};q=0.5,{XML};q=0.9,text/plain", XML),
        (f"{JSON};q=0, {XML};q=0.001", XML),
        (f"{XML}, {JSON}", XML),
        (f"*/*;q=0.8, {XML}", XML),
        (f"*/*, {XML};q=0.9", JSON),
        (f"{JSON};q=0, */*", XML),
        ("application/FHIR+XML", XML),
    ],
)
def test_quality_values_are_honoured(client, stored, accept, expected):
    answer = client.get(f"Patient/{stored['id']}", headers={"Accept": accept})
    assert answer.status_code == 200
    assert essence(answer) == expected


@pytest.mark.rule(24, "http#mime-type")
@pytest.mark.parametrize(
    "accept",
    ["text/plain", "text/plain, image/png", f"{JSON};q=0", "json", f"{JSON};q=many", f"{JSON};q=nan", f"{JSON};q=-1",
     ",", "application/pdf"],
)  # fmt: skip
def test_a_type_that_is_not_offered_is_406(client, stored, accept):
    refused(client.get(f"Patient/{stored['id']}", headers={"Accept": accept}), 406)


@pytest.mark.rule(24, "http#mime-type")
def test_nothing_is_stored_when_the_answer_could_not_be_had(client):
    resource = patient()
    refused(client.post("Patient", json=resource, headers={"Accept": "text/plain"}), 406)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


BAD_TYPES = [
    "text/plain", "application/pdf", "multipart/form-data; boundary=x", "json", "application/x-www-form-urlencoded",
    "application/fhir+turtle", "text/turtle", "application/octet-stream", "application/json-patch+json", ";",
    f"{JSON}, {JSON}",
]  # fmt: skip


@pytest.mark.rule(25, "http#mime-type")
@pytest.mark.parametrize("content_type", BAD_TYPES)
def test_a_body_of_another_type_is_415(client, content_type):
    resource = patient(id=unique())
    body = json.dumps(resource)
    headers = {"Content-Type": content_type}
    refused(client.post("Patient", content=body, headers=headers), 415)
    path = f"Patient/{resource['id']}"
    refused(client.put(path, content=body, headers=headers), 415)
    refused(client.post("", content=body, headers=headers), 415)
    refused(client.get(path), 404)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(26, "http#mime-type")
def test_a_body_without_a_type_is_415(client):
    resource = patient(id=unique())
    body = json.dumps(resource).encode()
    refused(client.post("Patient", content=body), 415)
    refused(client.put(f"Patient/{resource['id']}", content=body), 415)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(27, "http#mime-type")
@pytest.mark.parametrize("charset", ["iso-8859-1", "utf-16", '"windows-1252"', "", "nonsense"])
@pytest.mark.parametrize("media_type", [JSON, XML, "application/json"])
def test_a_charset_other_than_utf_8_is_415(client, media_type, charset):
    body = json.dumps(patient())
    refused(post(client, body, content_type=f"{media_type}; charset={charset}"), 415)


@pytest.mark.rule(19, "http#mime-type")
@pytest.mark.parametrize("charset", ["utf-8", "UTF-8", '"utf-8"', "utf8"])
def test_the_charset_utf_8_may_be_told(client, charset):
    answer = post(client, json.dumps(patient()), content_type=f"{JSON}; charset={charset}")
    assert answer.status_code == 201


@pytest.mark.rule(28, "http#mime-type")
@pytest.mark.parametrize("content_type", ["application/json", "text/json", "Application/FHIR+Json"])
def test_a_generic_type_is_accepted_on_create(client, content_type):
    assert post(client, json.dumps(patient()), content_type=content_type).status_code == 201


@pytest.mark.rule(28, "http#mime-type")
@pytest.mark.parametrize("content_type", [XML, "application/xml", "text/xml"])
def test_a_create_in_xml_is_read_by_its_type(client, content_type):
    body = '<Patient xmlns="http://hl7.org/fhir"><active value="true"/></Patient>'
    answer = post(client, body, content_type=content_type)
    assert answer.status_code == 201
    assert answer.json()["active"] is True


SPELLINGS = {
    "json": JSON,
    "application/json": "application/json",
    "application/fhir+json": JSON,
    "text/json": "text/json",
    "xml": XML,
    "text/xml": "text/xml",
    "application/xml": "application/xml",
    "application/fhir+xml": XML,
}


@pytest.mark.rule(29, "http#parameters")
@pytest.mark.parametrize(("asked", "expected"), SPELLINGS.items())
@pytest.mark.parametrize("path", ["Patient/{id}", "Patient", "metadata", "Patient/{id}/_history"])
def test_format_understands_every_name_of_what_is_offered(client, stored, path, asked, expected):
    path = path.format(id=stored["id"])
    answer = client.get(
        path, params={"_format": asked, **({"_id": "1"} if path == "Patient" else {})}
    )
    assert answer.status_code == 200
    assert essence(answer) == expected
    assert answer.text[0] == ("{" if "json" in asked else "<")


@pytest.mark.rule(29, "http#parameters")
@pytest.mark.parametrize("asked", TURTLE)
def test_format_of_turtle_is_406_and_never_ignored(client, stored, asked):
    refused(client.get(f"Patient/{stored['id']}", params={"_format": asked}), 406)


@pytest.mark.rule(30, "http#parameters")
def test_format_wins_over_accept(client, stored):
    path = f"Patient/{stored['id']}"
    got = client.get(path, params={"_format": "json"}, headers={"Accept": XML})
    assert essence(got) == JSON
    got = client.get(path, params={"_format": "xml"}, headers={"Accept": "text/plain"})
    assert essence(got) == XML


@pytest.mark.rule(31, "http#parameters")
def test_format_does_not_change_how_the_body_is_read(client):
    resource = patient(id=unique())
    answer = post(client, json.dumps(resource), "Patient?_format=xml")
    assert answer.status_code == 201
    assert essence(answer) == XML
    answer = client.put(f"Patient/{resource['id']}?_format=xml", json=resource)
    assert answer.status_code == 201
    assert essence(answer) == XML
    body = '<Patient xmlns="http://hl7.org/fhir"/>'
    answer = post(client, body, "Patient?_format=json", content_type=XML)
    assert answer.status_code == 201
    assert essence(answer) == JSON


@pytest.mark.rule(32, "http#parameters")
@pytest.mark.parametrize(
    "sent", ["application/fhir%2Bjson", "application/fhir+json", "application/fhir%20json"]
)
def test_a_plus_in_format_may_be_escaped_or_not(client, stored, sent):
    answer = client.get(f"Patient/{stored['id']}?_format={sent}", headers={"Accept": XML})
    assert answer.status_code == 200
    assert essence(answer) == JSON


@pytest.mark.rule(33, "http#mime-type")
@pytest.mark.parametrize("asked", ["foo", "html", "application/pdf", "json,xml", "%00"])
@pytest.mark.parametrize("path", ["Patient/{id}", "Patient", "metadata"])
def test_an_unknown_format_is_406(client, stored, asked, path):
    refused(
        client.get(f"{path.format(id=stored['id'])}?_format={asked}"),
        400 if asked == "%00" else 406,
    )


@pytest.mark.rule(34, "http#parameters")
@pytest.mark.parametrize("format_", ["json", "xml"])
@pytest.mark.parametrize("path", ["Patient/{id}", "metadata", "Patient/{id}/_history/1"])
def test_pretty_changes_white_space_only(client, stored, format_, path):
    path = path.format(id=stored["id"])
    plain, ugly, pretty = (
        client.get(path, params={"_format": format_} | more).text
        for more in ({}, {"_pretty": "false"}, {"_pretty": "true"})
    )
    assert "\n" not in ugly.replace('"?>\n', "")
    assert plain == ugly
    assert pretty.count("\n") > 4
    if format_ == "json":
        assert json.dumps(json.loads(pretty)) == json.dumps(json.loads(plain))
        compact = json.dumps(json.loads(pretty), separators=(",", ":"), ensure_ascii=False)
        assert compact == plain
    else:
        assert "".join(line.strip() for line in pretty.splitlines()) == plain.replace("\n", "")


@pytest.mark.rule(34, "http#parameters")
def test_pretty_keeps_the_digits_of_decimals(client):
    body = '{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1.50e2}}'
    logical_id = post(client, body, "Observation").json()["id"]
    assert '"value": 1.50e2' in client.get(f"Observation/{logical_id}?_pretty=true").text


@pytest.mark.rule(34, "http#parameters")
def test_a_pretty_that_is_neither_true_nor_false_is_400(client, stored):
    refused(client.get(f"Patient/{stored['id']}?_pretty=maybe"), 400)
    resource = patient()
    refused(client.post("Patient?_pretty=maybe", json=resource), 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(34, "http#parameters")
def test_errors_are_pretty_too(client):
    assert "\n" in client.get("Patient/nobody?_pretty=true").text
    assert "\n" not in client.get("Patient/nobody").text


@pytest.mark.rule(35, "http#version-parameter")
@pytest.mark.parametrize("version", ["4.0", "4.0.1", '"4.0"'])
def test_the_version_of_r4_may_be_named(client, stored, version):
    named = f"{JSON}; fhirVersion={version}"
    answer = client.get(f"Patient/{stored['id']}", headers={"Accept": named})
    assert answer.status_code == 200
    answer = post(client, json.dumps(patient()), content_type=named, accept=named)
    assert answer.status_code == 201


@pytest.mark.rule(36, "http#version-parameter")
@pytest.mark.parametrize(("version", "status"), [("4.0", 200), ("3.0", 406), ("5.0", 406)])
def test_the_version_in_format_is_heard_too(client, stored, version, status):
    asked = {"_format": f"{JSON}; fhirVersion={version}"}
    assert client.get(f"Patient/{stored['id']}", params=asked).status_code == status


@pytest.mark.rule(36, "http#version-parameter")
@pytest.mark.parametrize("version", ["3.0", "5.0", "1.0", "x"])
def test_another_version_is_406_in_accept_and_415_in_content_type(client, stored, version):
    named = f"{JSON}; fhirVersion={version}"
    refused(client.get(f"Patient/{stored['id']}", headers={"Accept": named}), 406)
    resource = patient()
    refused(post(client, json.dumps(resource), content_type=named), 415)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(37, "http#version-parameter")
@pytest.mark.parametrize(
    ("accept", "content_type"), [("4.0", "3.0"), ("3.0", "4.0"), ("5.0", "3.0")]
)
def test_different_versions_in_accept_and_content_type_are_refused(client, accept, content_type):
    resource = patient()
    answer = post(
        client,
        json.dumps(resource),
        accept=f"{JSON}; fhirVersion={accept}",
        content_type=f"{JSON}; fhirVersion={content_type}",
    )
    refused(answer, 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(38, "http#mime-type")
@pytest.mark.parametrize(
    ("old", "new"), [("application/json+fhir", JSON), ("application/xml+fhir", XML)]
)
def test_the_types_before_r3_are_accepted_and_answered_with_those_of_r4(client, stored, old, new):
    answer = client.get(f"Patient/{stored['id']}", headers={"Accept": old})
    assert answer.status_code == 200
    assert essence(answer) == new
    xml = '<Patient xmlns="http://hl7.org/fhir"/>'
    body = json.dumps(patient()) if new == JSON else xml
    assert post(client, body, content_type=old).status_code == 201


@pytest.mark.rule(18, "http#mime-type")
def test_the_capability_statement_names_the_formats(client):
    assert {JSON, XML} <= set(client.get("metadata").json()["format"])


@pytest.mark.rule(58, "http#mime-type")
def test_put_of_what_was_read_in_xml_changes_nothing_but_meta(client):
    first = created(client, patient(active=True, name=[{"family": "Ü", "given": ["a", "b"]}]))
    path = f"Patient/{first['id']}"
    xml = client.get(path, headers={"Accept": XML}).content
    answer = client.put(path, content=xml, headers={"Content-Type": XML})
    assert answer.status_code == 200
    second = answer.json()
    assert list(second) == list(first)
    assert {**second, "meta": None} == {**first, "meta": None}
    assert put(client, second).status_code == 200


def test_the_same_search_is_answered_as_each_asks_for_it(client):
    def asked(**headers):
        answer = client.get("Patient?name=nobody-has-this&_count=3", headers=headers)
        return answer.status_code, answer.headers["content-type"].partition(";")[0]

    for _ in range(2):
        assert asked(accept="application/fhir+json") == (200, "application/fhir+json")
        assert asked(accept="application/fhir+xml") == (200, "application/fhir+xml")
        assert asked(accept="image/png")[0] == 406
        assert asked(accept="application/json") == (200, "application/json")
