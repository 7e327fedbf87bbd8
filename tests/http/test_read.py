"""Read, version read and conditional read (https://hl7.org/fhir/R4/http.html#read)."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime

import pytest
from exemplars import JSON, XML, created, patient, post, put, refused, unique


@pytest.fixture(scope="module")
def thrice(client):
    """A Patient of three versions."""
    stored = created(client, patient(gender="male"))
    for gender in ("female", "other"):
        answer = put(client, stored | {"gender": gender})
        assert answer.status_code == 200
    return answer.json()


@pytest.fixture(scope="module")
def deleted(client):
    """The id of a Patient with one version and a deletion after it."""
    logical_id = created(client, patient(gender="male"))["id"]
    assert client.delete(f"Patient/{logical_id}").status_code == 204
    return logical_id


def moved(instant, **by):
    """An instant as an HTTP date, moved by a timedelta."""
    return format_datetime(datetime.fromisoformat(instant) + timedelta(**by), usegmt=True)


@pytest.mark.rule(39, "http#read")
def test_a_read_answers_the_resource_with_the_id_of_the_url(client):
    sent = patient(gender="female")
    stored = created(client, sent)
    answer = client.get(f"Patient/{stored['id']}")
    assert answer.status_code == 200
    got = answer.json()
    assert got["id"] == stored["id"]
    assert {name: got[name] for name in sent} == sent


@pytest.mark.rule(40, 41, "http#versioning")
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["Patient/{id}", "Patient/{id}/_history/3"])
def test_the_etag_is_weak_and_quoted_and_the_headers_equal_meta(client, thrice, method, path):
    answer = client.request(method, path.format(id=thrice["id"]))
    assert answer.headers["etag"] == 'W/"3"'
    assert thrice["meta"]["versionId"] == "3"
    assert answer.headers["last-modified"].endswith(" GMT")
    updated = datetime.fromisoformat(thrice["meta"]["lastUpdated"])
    assert parsedate_to_datetime(answer.headers["last-modified"]) == updated.replace(microsecond=0)


@pytest.mark.rule(42, "http#read")
@pytest.mark.parametrize("accept", [JSON, XML])
def test_an_unknown_id_is_404(client, accept):
    refused(client.get("Patient/nobody"), 404, "not-found")
    answer = client.get("Patient/nobody", headers={"Accept": accept})
    assert answer.status_code == 404
    assert "OperationOutcome" in answer.text


@pytest.mark.rule(42, "http#read")
def test_an_id_of_another_type_is_404(client, thrice):
    refused(client.get(f"Practitioner/{thrice['id']}"), 404)


@pytest.mark.rule(43, "http#read")
def test_a_deleted_id_is_410(client, deleted):
    refused(client.get(f"Patient/{deleted}"), 410, "deleted")
    refused(client.get(f"Patient/{deleted}", headers={"If-None-Match": 'W/"1"'}), 410)


BAD_IDS = ["a" * 65, "a_b", "a%20b", "%C3%A9", "a%00b", "%00", "a+b", "a%2Fb", "a:b", "..%2F..%2Fetc", "%2e",
           "%2e%2e", "a;b", "%F0%9F%98%80", "%FF", "a%0D%0Ab", "*", "a,b", "'", "%25"]  # fmt: skip


@pytest.mark.rule(44, "http#read")
@pytest.mark.parametrize("logical_id", BAD_IDS)
@pytest.mark.parametrize("below", ["", "/_history", "/_history/1"])
def test_an_id_that_breaks_the_rules_of_ids_is_404(client, logical_id, below):
    path = f"/fhir/Patient/{logical_id}{below}".encode()
    refused(client.get(client.base_url.copy_with(raw_path=path)), 404)


@pytest.mark.rule(44, "http#read")
def test_the_longest_and_the_oddest_ids_are_read(client):
    for logical_id in ("x" + unique() + "y" * 31, "-." + unique() + ".-"):
        assert put(client, patient(id=logical_id)).status_code == 201
        assert client.get(f"Patient/{logical_id}").json()["id"] == logical_id


@pytest.mark.rule(45, "http#Status-Codes")
@pytest.mark.parametrize(
    "type_name",
    [
        "Nothing",
        "Element",
        "DomainResource",
        "Resource",
        "HumanName",
        "SubscriptionTopic",
        "%00",
        "Pati%C3%A9nt",
    ],
)
def test_an_unknown_type_is_404(client, type_name):
    refused(client.get(f"{type_name}/1"), 404, "not-found")
    refused(client.get(type_name), 404, "not-found")
    refused(client.get(f"{type_name}/1/_history/1"), 404, "not-found")


@pytest.mark.rule(46, "http#cread")
@pytest.mark.parametrize("sent", ['W/"3"', '"3"', "*", 'W/"7", W/"3"', 'W/"3","x"'])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("path", ["Patient/{id}", "Patient/{id}/_history/3"])
def test_if_none_match_of_the_current_version_is_304_without_a_body(
    client, thrice, method, path, sent
):
    answer = client.request(method, path.format(id=thrice["id"]), headers={"If-None-Match": sent})
    assert answer.status_code == 304
    assert answer.content == b""
    assert answer.headers["etag"] == 'W/"3"'
    assert "last-modified" in answer.headers


@pytest.mark.rule(47, "http#cread")
@pytest.mark.parametrize("sent", ['W/"2"', '"30"', 'W/"1", W/"2"', 'W/"x"'])
def test_if_none_match_of_another_version_is_200(client, thrice, sent):
    answer = client.get(f"Patient/{thrice['id']}", headers={"If-None-Match": sent})
    assert answer.status_code == 200
    assert answer.json() == thrice


@pytest.mark.rule(47, "http#cread")
@pytest.mark.parametrize("sent", ["W/3", "W/'3'", 'W/"3', "abc", "", '"3" "4"'])
def test_an_if_none_match_that_is_no_entity_tag_is_400(client, thrice, sent):
    refused(client.get(f"Patient/{thrice['id']}", headers={"If-None-Match": sent}), 400, "invalid")


@pytest.mark.rule(48, "http#cread")
@pytest.mark.parametrize("later", [0, 1, 86_400])
def test_if_modified_since_not_before_the_last_update_is_304(client, thrice, later):
    since = moved(thrice["meta"]["lastUpdated"], seconds=later)
    answer = client.get(f"Patient/{thrice['id']}", headers={"If-Modified-Since": since})
    assert answer.status_code == 304
    assert answer.content == b""


@pytest.mark.rule(48, "http#cread")
def test_if_modified_since_before_the_last_update_is_200(client, thrice):
    since = moved(thrice["meta"]["lastUpdated"], seconds=-1)
    answer = client.get(f"Patient/{thrice['id']}", headers={"If-Modified-Since": since})
    assert answer.status_code == 200


@pytest.mark.rule(48, "http#cread")
@pytest.mark.parametrize(
    "since", ["yesterday", "", "2026-01-01T00:00:00Z", "Mon, 99 Foo 9999 99:99:99 GMT"]
)
def test_an_if_modified_since_that_is_no_date_is_ignored(client, thrice, since):
    """RFC 7232 3.3: a recipient ignores a field value that is not a valid HTTP-date."""
    answer = client.get(f"Patient/{thrice['id']}", headers={"If-Modified-Since": since})
    assert answer.status_code == 200


@pytest.mark.rule(49, "http#cread")
def test_if_none_match_wins_over_if_modified_since(client, thrice):
    last_updated = thrice["meta"]["lastUpdated"]
    early, late = moved(last_updated, days=-1), moved(last_updated, days=1)
    path = f"Patient/{thrice['id']}"
    both = {"If-None-Match": 'W/"3"', "If-Modified-Since": early}
    assert client.get(path, headers=both).status_code == 304
    both = {"If-None-Match": 'W/"2"', "If-Modified-Since": late}
    assert client.get(path, headers=both).status_code == 200


@pytest.mark.rule(50, "http#cread")
def test_the_capability_statement_says_that_both_conditions_are_honoured(client):
    statement = client.get("metadata").json()
    told = {item["conditionalRead"] for item in statement["rest"][0]["resource"]}
    assert told == {"full-support"}


WHOLE = {
    "text": {"status": "generated", "div": '<div xmlns="http://www.w3.org/1999/xhtml">A</div>'},
    "name": [{"family": "A"}],
    "photo": [{"title": "not in the summary"}],
}


@pytest.mark.rule(51, "http#read")
@pytest.mark.parametrize(
    ("query", "there", "gone"),
    [
        ("_summary=true", {"name"}, {"text", "photo"}),
        ("_summary=text", {"text"}, {"name", "photo"}),
        ("_summary=data", {"name", "photo"}, {"text"}),
        ("_elements=photo", {"photo"}, {"name", "text"}),
        ("_elements=name,photo", {"photo", "name"}, {"text"}),
        ("_elements=Patient.name", {"name"}, {"photo", "text"}),
    ],
)
@pytest.mark.parametrize("below", ["", "/_history/1"])
def test_a_part_of_a_resource_is_tagged_as_subsetted(client, query, there, gone, below):
    stored = created(client, patient(**WHOLE, meta={"tag": [{"code": "mine"}]}))
    got = client.get(f"Patient/{stored['id']}{below}?{query}").json()
    assert "mine" in [tag["code"] for tag in got["meta"]["tag"]]
    assert "SUBSETTED" in [tag["code"] for tag in got["meta"]["tag"]]
    assert got["id"] == stored["id"]
    assert got["meta"]["versionId"] == "1"
    assert there <= got.keys()
    assert not gone & got.keys()


@pytest.mark.rule(51, "http#read")
@pytest.mark.parametrize("query", ["", "_summary=false"])
def test_the_whole_resource_is_not_tagged(client, query):
    stored = created(client, patient(**WHOLE))
    assert client.get(f"Patient/{stored['id']}?{query}").json() == stored


@pytest.mark.rule(51, "http#read")
@pytest.mark.parametrize("query", ["_summary=count", "_summary=all", "name=x", "_count=1"])
def test_a_parameter_that_a_read_does_not_have_is_400(client, thrice, query):
    refused(client.get(f"Patient/{thrice['id']}?{query}"), 400)


@pytest.mark.rule(52, "http#vread")
@pytest.mark.parametrize(("version", "gender"), [("1", "male"), ("2", "female"), ("3", "other")])
def test_a_version_is_read_as_it_was(client, thrice, version, gender):
    answer = client.get(f"Patient/{thrice['id']}/_history/{version}")
    assert answer.status_code == 200
    got = answer.json()
    assert (got["id"], got["meta"]["versionId"], got["gender"]) == (thrice["id"], version, gender)
    assert answer.headers["etag"] == f'W/"{version}"'
    updated = datetime.fromisoformat(got["meta"]["lastUpdated"])
    assert updated.tzinfo == UTC
    assert parsedate_to_datetime(answer.headers["last-modified"]) == updated.replace(microsecond=0)


@pytest.mark.rule(53, "http#vread")
@pytest.mark.parametrize(
    "version", ["4", "0", "-1", "x", "1.0", "01", "9" * 30, "%D9%A1", "1%00", "1e0", "%201"]
)
def test_an_unknown_version_is_404(client, thrice, version):
    refused(client.get(f"Patient/{thrice['id']}/_history/{version}"), 404, "not-found")


@pytest.mark.rule(53, "http#vread")
def test_a_version_of_an_unknown_resource_is_404(client, thrice):
    refused(client.get("Patient/nobody/_history/1"), 404)
    refused(client.get(f"Practitioner/{thrice['id']}/_history/1"), 404)


@pytest.mark.rule(54, "http#vread")
def test_the_version_that_is_the_deletion_is_410(client, deleted):
    refused(client.get(f"Patient/{deleted}/_history/2"), 410, "deleted")


@pytest.mark.rule(55, "http#delete")
def test_a_version_before_the_deletion_is_still_read(client, deleted):
    answer = client.get(f"Patient/{deleted}/_history/1")
    assert answer.status_code == 200
    assert answer.json()["gender"] == "male"


RICH = """{
  "resourceType": "Observation",
  "text": {"status": "generated",
    "div": "<div xmlns=\\"http://www.w3.org/1999/xhtml\\">1 &lt; 2 &amp; <b>\\u00fc</b><br/></div>"},
  "contained": [{"resourceType": "Patient", "id": "p", "birthDate": "1970-01",
    "_birthDate": {"extension": [{"url": "http://example.org/guess", "valueBoolean": true}]}}],
  "extension": [{"url": "http://example.org/d", "valueDecimal": 0.0100}],
  "status": "final",
  "code": {"coding": [{"system": "http://loinc.org", "code": "1-8"}], "text": " two  blanks "},
  "subject": {"reference": "#p"},
  "valueQuantity": {"value": 1.10, "unit": "\\u00b5g"},
  "note": [{"text": "line 1\\nline 2\\ttab \\"quoted\\" <tag>"}],
  "component": [{"code": {"text": "large"}, "valueQuantity": {"value": 12345678901234567890.12}},
                {"code": {"text": "exponent"}, "valueQuantity": {"value": 1.0E-7}},
                {"code": {"text": "none"}, "dataAbsentReason": {"text": "x", "_text": {"id": "t"}}}]
}"""


@pytest.mark.rule(58, "formats")
def test_json_and_xml_of_one_resource_hold_the_same(client):
    """What is read as XML and stored again reads as the same JSON, byte for byte but for id and meta."""
    first = post(client, RICH, "Observation")
    assert first.status_code == 201, first.text
    path = f"Observation/{first.json()['id']}"
    in_xml = client.get(path, headers={"Accept": XML})
    assert in_xml.status_code == 200
    again = post(client, in_xml.content, "Observation", content_type=XML)
    assert again.status_code == 201, again.text
    assert _data(client.get(path)) == _data(again)
    for digits in ("0.0100", "1.10", "12345678901234567890.12", "1.0E-7"):
        assert f'value="{digits}"' in in_xml.text
        assert f":{digits}," in again.text or f":{digits}}}" in again.text


def _data(answer):
    """The content without identity, decimals as they were written."""
    resource = json.loads(answer.text, parse_float=str)
    return {name: value for name, value in resource.items() if name not in ("id", "meta")}
