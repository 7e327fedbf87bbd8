"""Patch by id and by criteria, in its three languages (https://hl7.org/fhir/R4/http.html#patch)."""

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

JSON_PATCH = "application/json-patch+json"
XML_PATCH = "application/xml-patch+xml"
FHIR_JSON = "application/fhir+json"
SYSTEM = "https://example.org/patch"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">Jones</div>'

TO_URGENT = [{"op": "replace", "path": "/priority", "value": "urgent"}]
XML_TO_URGENT = '<diff><replace sel="ServiceRequest/priority/@value">urgent</replace></diff>'


def fhirpath(*operations):
    """A FHIRPath Patch; each operation is its parts by name."""
    return {
        "resourceType": "Parameters",
        "parameter": [
            {
                "name": "operation",
                "part": [
                    {"name": name, **(value if isinstance(value, dict) else {kind: value})}
                    for name, (kind, value) in operation.items()
                ],
            }
            for operation in operations
        ],
    }


FHIRPATH_TO_URGENT = fhirpath(
    {
        "type": ("valueCode", "replace"),
        "path": ("valueString", "ServiceRequest.priority"),
        "value": ("valueCode", "urgent"),
    }
)


@pytest.fixture
def referral(client):
    """A new ServiceRequest, as stored."""
    value = uuid4().hex
    return client.put(
        f"ServiceRequest/{value}",
        json={
            "resourceType": "ServiceRequest",
            "id": value,
            "identifier": [{"system": SYSTEM, "value": value}],
            "status": "active",
            "intent": "order",
            "priority": "routine",
            "subject": {"reference": "Patient/patch"},
        },
    ).json()


def send(client, path, content, media_type=JSON_PATCH, **headers):
    body = content if isinstance(content, str) else json.dumps(content)
    return client.patch(path, content=body, headers={"Content-Type": media_type, **headers})


def place(resource):
    return f"{resource['resourceType']}/{resource['id']}"


def unchanged(client, resource):
    return client.get(place(resource)).json() == resource


def is_urgent_now(client, before, answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["etag"] == 'W/"2"'
    after = answer.json()
    assert client.get(place(before)).json() == after
    assert after["meta"]["versionId"] == "2"
    return after | {"meta": before["meta"]} == before | {"priority": "urgent"}


@pytest.mark.rule(121, "http#patch")
def test_json_patch_makes_the_next_version(client, referral):
    assert is_urgent_now(client, referral, send(client, place(referral), TO_URGENT))


@pytest.mark.rule(122, "http#patch")
@pytest.mark.parametrize("media_type", [FHIR_JSON, "application/json"])
def test_fhirpath_patch_makes_the_next_version(client, referral, media_type):
    answer = send(client, place(referral), FHIRPATH_TO_URGENT, media_type)
    assert is_urgent_now(client, referral, answer)


@pytest.mark.rule(122, "http#patch")
def test_fhirpath_patch_in_xml_makes_the_next_version(client, referral):
    xml = (
        '<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/>'
        '<part><name value="type"/><valueCode value="replace"/></part>'
        '<part><name value="path"/><valueString value="ServiceRequest.priority"/></part>'
        '<part><name value="value"/><valueCode value="urgent"/></part>'
        "</parameter></Parameters>"
    )
    answer = send(client, place(referral), xml, "application/fhir+xml", Accept=FHIR_JSON)
    assert is_urgent_now(client, referral, answer)


@pytest.mark.rule(123, "http#patch")
def test_xml_patch_makes_the_next_version(client, referral):
    assert is_urgent_now(client, referral, send(client, place(referral), XML_TO_URGENT, XML_PATCH))


@pytest.mark.rule(124, "http#patch")
@pytest.mark.parametrize("media_type", ["text/plain", "application/merge-patch+json", ""])
def test_another_content_type_is_415_and_tells_those_that_are_taken(client, referral, media_type):
    answer = send(client, place(referral), TO_URGENT, media_type)
    assert answer.status_code == 415
    offered = answer.headers["accept-patch"].split(", ")
    assert offered == client.get("metadata").json()["patchFormat"]
    assert unchanged(client, referral)


@pytest.mark.rule(125, "http#patch")
@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (JSON_PATCH, "{"),
        (JSON_PATCH, ""),
        (JSON_PATCH, {"op": "remove", "path": "/priority"}),
        (JSON_PATCH, ["remove"]),
        (JSON_PATCH, [{"op": "erase", "path": "/priority"}]),
        (JSON_PATCH, [{"op": "remove", "path": "priority"}]),
        (JSON_PATCH, [{"op": "add", "path": "/priority"}]),
        (XML_PATCH, "<diff>"),
        (XML_PATCH, ""),
        (XML_PATCH, '<diff><erase sel="ServiceRequest/priority"/></diff>'),
        (XML_PATCH, '<diff><remove sel="ServiceRequest/priority[["/></diff>'),
        (FHIR_JSON, {"resourceType": "ServiceRequest"}),
        (FHIR_JSON, fhirpath({"type": ("valueCode", "erase"), "path": ("valueString", "id")})),
        (FHIR_JSON, fhirpath({"type": ("valueCode", "delete"), "path": ("valueString", "((")})),
    ],
)
def test_a_malformed_patch_document_is_400(client, referral, media_type, content):
    answer = send(client, place(referral), content, media_type)
    assert answer.status_code == 400, answer.text
    assert answer.json()["issue"][0]["diagnostics"]
    assert unchanged(client, referral)


@pytest.mark.rule(126, "http#patch")
@pytest.mark.parametrize(
    ("media_type", "content"),
    [
        (JSON_PATCH, [*TO_URGENT, {"op": "test", "path": "/status", "value": "draft"}]),
        (JSON_PATCH, [*TO_URGENT, {"op": "remove", "path": "/note/0"}]),
        (JSON_PATCH, [*TO_URGENT, {"op": "replace", "path": "/doNotPerform", "value": True}]),
        (JSON_PATCH, [{"op": "replace", "path": "", "value": {"resourceType": "Patient"}}]),
        (XML_PATCH, '<diff><remove sel="ServiceRequest/note"/></diff>'),
        (
            FHIR_JSON,
            fhirpath(
                {
                    "type": ("valueCode", "replace"),
                    "path": ("valueString", "ServiceRequest.note[0].text"),
                    "value": ("valueString", "x"),
                }
            ),
        ),
    ],
)
def test_a_test_that_fails_or_a_path_that_is_not_there_is_422(
    client, referral, media_type, content
):
    answer = send(client, place(referral), content, media_type)
    assert answer.status_code == 422, answer.text
    assert unchanged(client, referral)


@pytest.mark.rule(127, "http#patch")
@pytest.mark.parametrize(
    ("operation", "place_of_fault"),
    [
        ({"op": "remove", "path": "/status"}, "ServiceRequest.status"),
        ({"op": "replace", "path": "/priority", "value": "soonish"}, "ServiceRequest.priority"),
        ({"op": "add", "path": "/colour", "value": "red"}, "ServiceRequest.colour"),
        ({"op": "add", "path": "/note", "value": {}}, "ServiceRequest.note"),
        ({"op": "add", "path": "/occurrenceDateTime", "value": "2026-13-45"}, "occurrence"),
        ({"op": "replace", "path": "/meta", "value": "x"}, "ServiceRequest.meta"),
    ],
)
def test_a_result_that_is_not_valid_is_refused_as_an_update_with_it_would_be(
    client, referral, operation, place_of_fault
):
    answer = send(client, place(referral), [operation])
    assert answer.status_code in (400, 422)
    assert place_of_fault in answer.json()["issue"][0]["expression"][0]
    assert unchanged(client, referral)
    after = {name: value for name, value in referral.items() if name != operation["path"][1:]}
    if operation["op"] != "remove":
        after[operation["path"][1:]] = operation["value"]
    updated = client.put(place(referral), json=after)
    assert (updated.status_code, updated.json()["issue"]) == (
        answer.status_code,
        answer.json()["issue"],
    )


@pytest.mark.rule(127, "http#patch")
def test_a_reference_by_criteria_does_not_come_in_by_a_patch(client, referral):
    operation = {"op": "replace", "path": "/subject/reference", "value": "Patient?identifier=x|y"}
    assert send(client, place(referral), [operation]).status_code == 400
    assert unchanged(client, referral)


@pytest.mark.rule(128, "http#patch")
@pytest.mark.parametrize(
    ("name", "operation"),
    [
        ("id", {"op": "replace", "path": "/id", "value": "another"}),
        ("id", {"op": "remove", "path": "/id"}),
        ("resourceType", {"op": "replace", "path": "/resourceType", "value": "Patient"}),
        ("resourceType", {"op": "remove", "path": "/resourceType"}),
    ],
)
def test_a_patch_may_not_change_what_the_resource_is(client, referral, name, operation):
    answer = send(client, place(referral), [operation])
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == [f"ServiceRequest.{name}"]
    assert unchanged(client, referral)
    assert client.get("ServiceRequest/another").status_code == 404


def test_version_and_time_are_the_servers_whatever_the_patch_says(client, referral):
    operations = [
        {"op": "replace", "path": "/meta/versionId", "value": "77"},
        {"op": "replace", "path": "/meta/lastUpdated", "value": "2001-01-01T00:00:00Z"},
        {"op": "add", "path": "/meta/tag", "value": [{"code": "kept"}]},
    ]
    meta = send(client, place(referral), operations).json()["meta"]
    assert (meta["versionId"], meta["tag"]) == ("2", [{"code": "kept"}])
    assert meta["lastUpdated"] > referral["meta"]["lastUpdated"]


def test_a_patch_keeps_the_digits_of_decimals_and_the_order_of_what_it_does_not_touch(client):
    value = uuid4().hex
    body = (
        f'{{"resourceType":"Observation","id":"{value}","status":"final","code":{{"text":"x"}},'
        '"valueQuantity":{"unit":"g","value":1.500}}'
    )
    headers = {"Content-Type": FHIR_JSON}
    client.put(f"Observation/{value}", content=body, headers=headers).raise_for_status()
    send(client, f"Observation/{value}", [{"op": "replace", "path": "/status", "value": "amended"}])
    assert '{"unit":"g","value":1.500}' in client.get(f"Observation/{value}").text


@pytest.mark.rule(129, "http#patch")
def test_if_match_of_an_old_version_is_412(client, referral):
    etag = {"If-Match": 'W/"1"'}
    assert send(client, place(referral), TO_URGENT, **etag).status_code == 200
    routine = [{"op": "replace", "path": "/priority", "value": "routine"}]
    assert send(client, place(referral), routine, **etag).status_code == 412
    assert client.get(place(referral)).json()["priority"] == "urgent"


@pytest.mark.rule(130, "http#patch")
def test_an_unknown_id_is_404_and_a_deleted_one_410(client, referral):
    assert send(client, "ServiceRequest/nobody", TO_URGENT).status_code == 404
    client.delete(place(referral))
    assert send(client, place(referral), TO_URGENT).status_code == 410


def criteria(referral):
    return f"ServiceRequest?identifier={SYSTEM}|{referral['identifier'][0]['value']}"


@pytest.mark.rule(131, "http#patch")
def test_a_conditional_patch_of_one_match_changes_it(client, referral):
    assert is_urgent_now(client, referral, send(client, criteria(referral), TO_URGENT))


@pytest.mark.rule(131, "http#patch")
def test_a_conditional_patch_without_a_match_is_404(client, referral):
    client.delete(place(referral))
    assert send(client, criteria(referral), TO_URGENT).status_code == 404


@pytest.mark.rule(131, "http#patch")
def test_a_conditional_patch_of_several_matches_is_412(client, referral):
    other = client.post("ServiceRequest", json=referral).json()
    assert send(client, criteria(referral), TO_URGENT).status_code == 412
    assert unchanged(client, referral)
    assert unchanged(client, other)


@pytest.mark.rule(131, "http#patch")
@pytest.mark.parametrize("query", ["", "?colour=red", "?identifier="])
def test_a_conditional_patch_without_criteria_that_are_understood_is_400(client, referral, query):
    assert send(client, f"ServiceRequest{query}", TO_URGENT).status_code == 400


def test_a_conditional_patch_checks_if_match(client, referral):
    answer = send(client, criteria(referral), TO_URGENT, **{"If-Match": 'W/"7"'})
    assert answer.status_code == 412
    assert unchanged(client, referral)


@pytest.mark.rule(132, "http#patch")
def test_prefer_decides_what_a_patch_returns(client, referral):
    answer = send(client, place(referral), TO_URGENT, Prefer="return=minimal")
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["etag"] == 'W/"2"'
    answer = send(client, place(referral), TO_URGENT, Prefer="return=OperationOutcome")
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "OperationOutcome")
    answer = send(client, place(referral), TO_URGENT, Prefer="return=representation")
    assert answer.json() == client.get(place(referral)).json()


def patient_with_narrative(client, status):
    value = uuid4().hex
    resource = {
        "resourceType": "Patient",
        "id": value,
        "text": {"status": status, "div": DIV},
        "name": [{"family": "Jones"}],
    }
    return client.put(f"Patient/{value}", json=resource).json()


TO_SMITH = {"op": "replace", "path": "/name/0/family", "value": "Smith"}


@pytest.mark.rule(133, "http#patch")
@pytest.mark.parametrize("status", ["generated", "extensions"])
def test_a_narrative_made_from_data_that_a_patch_changes_is_removed(client, status):
    patient = patient_with_narrative(client, status)
    answer = send(client, place(patient), [TO_SMITH])
    assert answer.status_code == 200
    assert "text" not in answer.json()
    assert answer.json()["name"] == [{"family": "Smith"}]


@pytest.mark.rule(133, "http#patch")
def test_a_narrative_that_says_more_than_the_data_is_neither_dropped_nor_left_stale(client):
    patient = patient_with_narrative(client, "additional")
    answer = send(client, place(patient), [TO_SMITH])
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Patient.text"]
    assert unchanged(client, patient)
    div = {"op": "replace", "path": "/text/div", "value": DIV.replace("Jones", "Smith")}
    answer = send(client, place(patient), [TO_SMITH, div])
    assert answer.status_code == 200
    assert "Smith" in answer.json()["text"]["div"]


@pytest.mark.rule(133, "http#patch")
@pytest.mark.parametrize("status", ["generated", "additional"])
def test_a_patch_that_leaves_the_data_as_they_are_keeps_the_narrative(client, status):
    patient = patient_with_narrative(client, status)
    tag = {"op": "add", "path": "/meta/tag", "value": [{"code": "seen"}]}
    assert send(client, place(patient), [tag]).json()["text"] == patient["text"]


@pytest.mark.rule(134, "http#patch")
def test_a_binary_cannot_be_patched(client):
    made = client.post(
        "Binary", json={"resourceType": "Binary", "contentType": "text/plain", "data": "YQ=="}
    ).json()
    patch = [{"op": "replace", "path": "/data", "value": "Yg=="}]
    answer = send(client, place(made), patch)
    assert answer.status_code == 405
    assert "PATCH" not in answer.headers["allow"]
    assert unchanged(client, made)


def in_bundle(kind, referral, resource):
    request = {"method": "PATCH", "url": place(referral)}
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [{"resource": resource, "request": request}],
    }


@pytest.mark.rule(135, "http#patch")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_bundle_entry_patches_by_fhirpath(client, referral, kind):
    answer = client.post("", json=in_bundle(kind, referral, FHIRPATH_TO_URGENT)).json()
    assert answer["entry"][0]["response"]["status"].startswith("200")
    assert client.get(place(referral)).json()["priority"] == "urgent"


@pytest.mark.rule(135, "http#patch")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_bundle_entry_carries_a_json_patch_as_a_binary(client, referral, kind):
    data = base64.b64encode(json.dumps(TO_URGENT).encode()).decode()
    binary = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data}
    answer = client.post("", json=in_bundle(kind, referral, binary)).json()
    assert answer["entry"][0]["response"]["status"].startswith("200")
    assert client.get(place(referral)).json()["priority"] == "urgent"


def test_parallel_patches_are_all_there_in_the_end(client, referral):
    def note(number):
        operation = {"op": "add", "path": "/note", "value": [{"text": "first"}]}
        if number:
            operation = {"op": "add", "path": "/note/-", "value": {"text": str(number)}}
        return send(client, place(referral), [operation]).status_code

    assert note(0) == 200
    with ThreadPoolExecutor(8) as threads:
        assert set(threads.map(note, range(1, 17))) == {200}
    texts = {item["text"] for item in client.get(place(referral)).json()["note"]}
    assert texts == {"first", *map(str, range(1, 17))}
