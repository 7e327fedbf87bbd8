"""What holds for every exchange over HTTP (https://hl7.org/fhir/R4/http.html#general)."""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime

import pytest
from exemplars import JSON, XML, created, how_many, patient, put, refused, unique


@pytest.mark.rule(1, "http#general")
@pytest.mark.parametrize("path", ["patient/{id}", "PATIENT/{id}", "Patient/{other}", "PAtient"])
def test_paths_are_case_sensitive(client, path):
    logical_id = "a" + unique()
    assert put(client, patient(id=logical_id)).status_code == 201
    answer = client.get(path.format(id=logical_id, other=logical_id.upper()))
    refused(answer, 404, "not-found")


@pytest.mark.rule(1, "http#general")
def test_ids_that_differ_in_case_are_different_resources(client):
    lower = "a" + unique()
    upper = lower.upper()
    put(client, patient(id=lower, gender="female"))
    put(client, patient(id=upper, gender="male"))
    assert client.get(f"Patient/{lower}").json()["gender"] == "female"
    assert client.get(f"Patient/{upper}").json()["gender"] == "male"


@pytest.mark.rule(2, "http#general")
@pytest.mark.parametrize(
    "path", ["Patient", "Patient/{id}", "Patient/{id}/_history", "metadata", ""]
)
def test_a_slash_at_the_end_changes_nothing_and_redirects_nowhere(client, path):
    stored = created(client, patient())
    path = path.format(id=stored["id"])
    query = {"_id": stored["id"]} if path in ("Patient", "") else {}
    base = str(client.base_url).rstrip("/")
    plain = client.get(f"{base}/{path}".rstrip("/"), params=query)
    slashed = client.get(f"{base}/{path}".rstrip("/") + "/", params=query)
    assert (plain.status_code, slashed.status_code) == (200, 200)
    if "_history" in path or path in ("Patient", ""):
        assert plain.json()["entry"] == slashed.json()["entry"]
    else:
        assert plain.content == slashed.content


@pytest.mark.rule(2, "http#general")
def test_a_create_with_a_slash_at_the_end_is_not_redirected(client):
    assert client.post("Patient/", json=patient()).status_code == 201


@pytest.mark.rule(3, "http#general")
def test_percent_encoded_utf_8_in_a_query_is_read_as_utf_8(client):
    system = f"urn:tests:{unique()}"
    stored = created(
        client,
        patient(identifier=[{"system": system, "value": "1"}], name=[{"family": "O’Brien"}]),
    )
    query = f"Patient?family=O%E2%80%99Brien&identifier={system}%7C1"
    found = client.get(query)
    assert found.status_code == 200
    assert [entry["resource"]["id"] for entry in found.json()["entry"]] == [stored["id"]]


@pytest.mark.rule(3, 16, "http#general")
@pytest.mark.parametrize("query", [b"family=%E2%80", b"family=%FF", b"%FF=1"])
def test_a_query_that_is_not_utf_8_is_400(client, query):
    answer = client.get(client.base_url.copy_with(raw_path=b"/fhir/Patient?" + query))
    refused(answer, 400)


@pytest.mark.rule(4, "http#root")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_http_and_https_name_the_same_resource(client, scheme):
    """A reference in either scheme of the base leads to the one resource of that type and id."""
    subject = created(client, patient())
    base = str(client.base_url).rstrip("/").replace("http:", f"{scheme}:")
    referrer = created(
        client,
        {
            "resourceType": "Basic",
            "code": {"text": "test"},
            "subject": {"reference": f"{base}/Patient/{subject['id']}"},
        },
    )
    found = client.get("Basic", params={"patient": f"Patient/{subject['id']}"}).json()
    assert [entry["resource"]["id"] for entry in found["entry"]] == [referrer["id"]]


@pytest.mark.rule(4, "http#root")
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_either_scheme_of_the_base_may_stand_in_a_bundle(client, scheme):
    stored = created(client, patient())
    base = str(client.base_url).rstrip("/").replace("http:", f"{scheme}:")
    entry = {"request": {"method": "GET", "url": f"{base}/Patient/{stored['id']}"}}
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry]}
    answer = client.post("", json=bundle).json()
    assert answer["entry"][0]["resource"] == stored


@pytest.mark.rule(4, "http#root")
def test_either_scheme_of_the_base_is_held_to_referential_integrity(serve):
    client = serve(referential_integrity="true")
    stored = created(client, patient())
    for scheme in ("http", "https"):
        base = str(client.base_url).rstrip("/").replace("http:", f"{scheme}:")
        for logical_id, status in ((stored["id"], 201), ("nobody", 422)):
            basic = {
                "resourceType": "Basic",
                "code": {"text": "test"},
                "subject": {"reference": f"{base}/Patient/{logical_id}"},
            }
            assert client.post("Basic", json=basic).status_code == status
    refused(client.delete(f"Patient/{stored['id']}"), 409)


GETS = ["", "metadata", "_history", "Patient?_count=1", "Patient/_history?_count=1", "Patient/{id}",
        "Patient/{id}/_history", "Patient/{id}/_history/1", "Patient/nobody", "Nothing/1",
        "Patient/{id}/*", "Patient/{id}/Basic", "$nothing", "Patient/{id}/$validate"]  # fmt: skip


@pytest.mark.rule(5, "http#head")
@pytest.mark.parametrize("path", GETS)
def test_head_answers_like_get_without_a_body(client, path):
    path = path.format(id=created(client, patient())["id"])
    got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code
    assert head.content == b""
    passing = {"date", "x-request-id", "content-length"}
    kept = {name: value for name, value in got.headers.items() if name not in passing}
    assert {name: value for name, value in head.headers.items() if name not in passing} == kept
    if "entry" not in got.text:  # a Bundle tells when it was made
        assert head.headers["content-length"] == got.headers["content-length"]


@pytest.mark.rule(5, "http#head")
@pytest.mark.parametrize(
    "path", ["/", "/health/live", "/health/ready", "/metrics", "/openapi.json"]
)
def test_head_beside_the_base_answers_like_get_or_405(client, path):
    url = client.base_url.copy_with(path=path)
    got, head = client.get(url), client.head(url)
    assert head.status_code in (got.status_code, 405)
    assert head.content == b""


@pytest.mark.rule(6, 7, "http#general")
@pytest.mark.parametrize(
    "path", ["", "metadata", "Patient", "Patient/1", "Patient/1/_history", "$x"]
)
def test_a_preflight_is_answered_without_a_token(client, path):
    answer = client.options(
        path,
        headers={
            "Origin": "https://app.example.org",
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "if-match, content-type, authorization",
        },
    )
    assert answer.status_code in (200, 204)
    assert answer.headers["access-control-allow-origin"] in ("*", "https://app.example.org")
    methods = _listed(answer, "access-control-allow-methods")
    assert methods >= {"get", "post", "put", "patch", "delete", "head"}
    allowed = _listed(answer, "access-control-allow-headers")
    assert allowed >= {
        "authorization", "content-type", "if-match", "if-none-match", "if-modified-since",
        "if-none-exist", "prefer", "x-request-id", "x-provenance",
    }  # fmt: skip


def _listed(answer, name):
    return {item.strip().lower() for item in answer.headers[name].split(",")}


@pytest.mark.rule(8, "http#general")
@pytest.mark.parametrize("path", ["metadata", "Patient/nobody"])
def test_a_browser_may_read_the_headers_of_an_answer(client, path):
    answer = client.get(path, headers={"Origin": "https://app.example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert _listed(answer, "access-control-expose-headers") >= {
        "etag", "location", "content-location", "last-modified", "x-request-id",
    }  # fmt: skip
    assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.rule(6, "http#general")
def test_only_the_origins_of_the_settings_may_call(serve):
    client = serve(cors_origins="https://one.example.org https://two.example.org")
    friend = client.options("Patient", headers={"Origin": "https://two.example.org"})
    assert friend.headers["access-control-allow-origin"] == "https://two.example.org"
    assert "Origin" in client.get("metadata").headers["vary"]
    stranger = client.options("Patient", headers={"Origin": "https://evil.example.org"})
    assert "access-control-allow-origin" not in stranger.headers


@pytest.mark.rule(9, "http#return")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "DELETE"])
@pytest.mark.parametrize("path", ["metadata", "Patient/nobody", "foo/bar/baz"])
def test_every_answer_has_a_date_in_gmt(client, method, path):
    date = client.request(method, path).headers["date"]
    assert date.endswith(" GMT")
    assert parsedate_to_datetime(date).tzinfo is not None


@pytest.mark.rule(10, "http#custom")
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "TRACE", "DELETE"])
@pytest.mark.parametrize("path", ["metadata", "Patient/nobody", "foo/bar/baz"])
def test_every_answer_has_a_request_id_of_its_own(client, method, path):
    first, second = (client.request(method, path).headers["x-request-id"] for _ in range(2))
    assert first != second
    assert re.fullmatch(r"[0-9a-f]+-\d+", first)


@pytest.mark.rule(10, "http#custom")
def test_a_request_id_that_can_be_taken_over_is(client):
    answer = client.get("metadata", headers={"X-Request-Id": "client-7.1"})
    assert answer.headers["x-request-id"] == "client-7.1"
    assert "x-correlation-id" not in answer.headers


@pytest.mark.rule(10, "http#custom")
@pytest.mark.parametrize("sent", ["a b", "<script>", "x" * 65, '{"id": 1}'])
def test_a_request_id_that_is_not_taken_over_comes_back_as_the_correlation_id(client, sent):
    answer = client.get("metadata", headers={"X-Request-Id": sent})
    assert answer.headers["x-request-id"] != sent
    assert answer.headers["x-correlation-id"] == sent


REFUSALS = [
    ("GET", "Patient/nobody", {}, 404),
    ("GET", "foo/bar/baz", {}, 404),
    ("PUT", "metadata", {}, 405),
    ("GET", "Patient?birthdate=2026-13-45", {}, 400),
    ("POST", "Patient", {"Content-Type": "text/plain"}, 415),
    ("TRACE", "Patient", {}, 405),
]


@pytest.mark.rule(11, "http#Status-Codes")
@pytest.mark.parametrize(("method", "path", "headers", "status"), REFUSALS)
def test_every_refusal_is_an_operation_outcome_in_the_format_asked_for(
    client, method, path, headers, status
):
    refused(client.request(method, path, headers=headers | {"Accept": JSON}), status)
    answer = client.request(method, path, headers=headers | {"Accept": XML})
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(XML)
    assert '<OperationOutcome xmlns="http://hl7.org/fhir">' in answer.text
    assert "<severity " in answer.text
    assert "<code " in answer.text


@pytest.mark.rule(12, "http#Status-Codes")
@pytest.mark.parametrize(
    "path",
    ["foo/bar/baz", "Patient/1/2/3", "Patient/1/_history/1/2", "_nothing", "metadata/x", "Patient//",
     "Patient/_history/1", "_history/1", "Patient/1/_search", "Patient/1/Nothing", "%2e%2e/metadata"],
)  # fmt: skip
def test_an_unknown_path_below_the_base_is_404(client, path):
    url = client.base_url.copy_with(raw_path=b"/fhir/" + path.encode())
    refused(client.get(url), 404, "not-found")


@pytest.mark.rule(13, "http#Status-Codes")
@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "Patient/1", {"GET", "PUT", "PATCH", "DELETE"}),
        ("PUT", "metadata", {"GET"}),
        ("POST", "metadata", {"GET"}),
        ("DELETE", "", {"GET", "POST"}),
        ("PUT", "", {"GET", "POST"}),
        ("PATCH", "", {"GET", "POST"}),
        ("POST", "Patient/1/_history", {"GET"}),
        ("PUT", "Patient/1/_history/1", {"GET"}),
        ("DELETE", "Patient/_history", {"GET"}),
        ("GET", "Patient/_search", {"POST"}),
        ("PUT", "Patient/$validate", {"POST"}),
        ("TRACE", "Patient/1", {"GET", "PUT"}),
        ("PROPFIND", "Patient/1", {"GET", "PUT"}),
    ],
)
def test_a_known_path_with_the_wrong_method_is_405_with_allow(client, method, path, allowed):
    resource = patient(id="1")
    answer = client.request(method, path, json=resource if method != "TRACE" else None)
    refused(answer, 405, "not-supported")
    listed = {item.strip() for item in answer.headers["allow"].split(",")}
    assert listed >= allowed
    assert method not in listed


@pytest.mark.rule(17, "http#Status-Codes")
def test_a_body_of_50_megabytes_is_413(client):
    family = unique()
    resource = patient(name=[{"family": family, "given": ["x" * 50_000_000]}])
    refused(client.post("Patient", json=resource), 413, "too-long")
    assert how_many(client, "Patient", family=family) == 0


@pytest.mark.rule(17, "http#Status-Codes")
def test_the_limit_of_a_body_is_a_setting_and_counts_chunks_too(serve):
    client = serve(maximum_body="1000", maximum_bundle="2000")
    small, large = patient(), patient(address=[{"text": "x" * 1000}])
    assert client.post("Patient", json=small).status_code == 201
    refused(client.post("Patient", json=large), 413, "too-long")
    chunks = iter([b" " * 600, b" " * 600])
    headers = {"Content-Type": JSON}
    refused(client.post("Patient", content=chunks, headers=headers), 413, "too-long")
    bundle = {"resourceType": "Bundle", "type": "batch"}
    assert client.post("", json=bundle | {"id": "x" * 64}).status_code == 200
    entry = {"resource": patient(address=[{"text": "x" * 2000}])}
    refused(client.post("", json=bundle | {"entry": [entry]}), 413, "too-long")
