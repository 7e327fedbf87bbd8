"""Requests that are wrong before their body is: paths, queries, headers, framing (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import json
import socket

import pytest
from exemplars import (
    JSON,
    connect,
    created,
    head,
    how_many,
    patient,
    put,
    read_raw,
    refused,
    send_raw,
    token,
    unique,
)

pytestmark = pytest.mark.usefixtures("goes_on")

PATHS = ["Patient/%00", "Patient/a%00b", "%00", "Patient%00", "Patient/1/_history/%00", "Patient/1/%00", "$%00",
         "Patient/1/_history/1%00", "Patient/%ED%A0%80", "Patient/%", "Patient/%zz", "Patient/%C3%28",
         "Patient/..%00/metadata", "Patient/" + "a" * 50_000, "Patient/" + "a/" * 2_000]  # fmt: skip


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_a_path_with_nul_or_nonsense_is_refused(client, method, path):
    body = json.dumps(patient(id="1")).encode() if method in ("POST", "PUT", "PATCH") else b""
    request = head(
        client, f"{method} /fhir/{path} HTTP/1.1", f"Content-Type: {JSON}", f"Content-Length: {len(body)}"
    )  # fmt: skip
    answer = send_raw(client, request + body, method)
    assert answer.status in ((204,) if method == "OPTIONS" else (400, 404, 405))
    if method not in ("HEAD", "OPTIONS"):
        assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


QUERIES = ["name=%00", "%00=x", "name=a%00b", "_id=%00", "_format=%00", "_pretty=%00", "_elements=%00",
           "identifier=%00|%00", "_sort=%00", "_include=%00", "_count=%00", "name=%FF", "name=%ED%A0%80",
           "identifier=a%00"]  # fmt: skip


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize(
    "path", ["Patient", "Patient/1", "", "_history", "metadata", "Patient/1/_history"]
)
def test_a_query_with_nul_or_no_utf_8_is_400(client, path, query):
    refused(client.get(f"{path}?{query}"), 400)


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("query", QUERIES)
def test_a_form_with_nul_or_no_utf_8_is_400(client, query):
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    refused(client.post("Patient/_search", content=query, headers=form), 400)


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_query_of_raw_bytes_is_read_as_utf_8_or_400(client):
    family = "é" + unique()
    created(client, patient(name=[{"family": family}]))
    line = b"GET /fhir/Patient?_summary=count&family=" + family.encode() + b" HTTP/1.1\r\n"
    rest = head(client, "")[2:]
    answer = send_raw(client, line + rest, "GET")
    assert answer.status in (200, 400)
    if answer.status == 200:
        assert json.loads(answer.body)["total"] == 1
    answer = send_raw(client, b"GET /fhir/Patient?family=\xe2\x80 HTTP/1.1\r\n" + rest, "GET")
    assert answer.status == 400
    answer = send_raw(client, b"GET /fhir/Patient/\xc3\xa9 HTTP/1.1\r\n" + rest, "GET")
    assert answer.status in (400, 404)
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


@pytest.mark.rule(16, "http#Status-Codes")
def test_an_encoded_form_of_the_base_is_no_way_round_it(client):
    answer = client.get(client.base_url.copy_with(raw_path=b"/%66hir/Patient/1"))
    assert answer.status_code == 404


@pytest.mark.rule(44, 45, "http#Status-Codes")
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("PUT", "Patient/" + "a" * 65, 400),
        ("GET", "Patient/" + "a" * 65, 404),
        ("DELETE", "Patient/" + "a" * 65, 404),
        ("PATCH", "Patient/" + "a" * 65, 404),
        ("PUT", "Patient/a_b", 400),
        ("PUT", "Nothing/1", 404),
        ("POST", "Nothing", 404),
        ("DELETE", "Nothing/1", 404),
        ("PATCH", "Nothing/1", 404),
        ("POST", "Practitioner", 400),
        ("PUT", "Practitioner/1", 400),
    ],
)
def test_a_wrong_type_or_id_in_the_path_is_refused(client, method, path, status):
    resource = patient(id=path.rpartition("/")[2])
    answer = client.request(method, path, json=resource)
    refused(answer, status)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(16, "http#Status-Codes")
def test_two_thousand_headers_are_431(client):
    lines = [f"X-{number}: x" for number in range(2000)]
    answer = send_raw(client, head(client, "GET /fhir/metadata HTTP/1.1", *lines), "GET")
    assert answer.status == 431
    assert json.loads(answer.body)["issue"][0]["code"] == "too-long"


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("size", [40_000, 120_000, 2_000_000])
def test_a_header_that_is_too_long_is_refused(client, size):
    request = head(client, "GET /fhir/metadata HTTP/1.1", "X-Long: " + "x" * size)
    with connect(client) as connection:
        try:
            connection.sendall(request)
        except (BrokenPipeError, ConnectionResetError):
            return  # it was not even read to its end
        answer = read_raw(connection, "GET")
    assert answer.status in (0, 400, 431)


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_url_that_is_too_long_is_414(client):
    refused(client.get("Patient?name=" + "x" * 60_001), 414, "too-long")
    line = "GET /fhir/Patient?name=" + "x" * 65_600 + " HTTP/1.1"
    answer = send_raw(client, head(client, line), "GET")
    assert answer.status in (400, 414)
    assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("names", [1001, 5000])
def test_too_many_parameters_are_refused(client, names):
    refused(client.get("Patient?" + "&".join(["_id=1"] * names)), 403, "too-costly")


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\r\n\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET /fhir/metadata\r\n\r\n",
        b"GET /fhir/metadata HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost : x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nA\x00B: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nA: \x00\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\n A: folded\r\n\r\n",
        b"GET http://[::1/fhir HTTP/1.1\r\nHost: x\r\n\r\n",
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"GET /fhir/metadata HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused(client, request_bytes):
    with connect(client) as connection:
        connection.sendall(request_bytes)
        connection.shutdown(socket.SHUT_WR)
        answer = read_raw(connection, "GET")
    assert answer.status in (0, 400, 404, 405)
    if answer.status == 400:
        assert json.loads(answer.body)["resourceType"] == "OperationOutcome"


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_request_without_host_is_400(client):
    answer = send_raw(client, b"GET /fhir/metadata HTTP/1.1\r\n\r\n", "GET")
    assert answer.status == 400
    answer = send_raw(client, b"GET /fhir/metadata HTTP/1.0\r\n\r\n", "GET")
    assert answer.status == 200


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "name", ["Host", "Content-Type", "If-None-Exist", "If-Modified-Since", "X-Provenance"]
)
def test_a_header_that_can_be_there_once_only_is_400_when_it_is_there_twice(client, name):
    lines = [f"{name}: a", f"{name}: a"] if name != "Host" else ["Host: other"]
    answer = send_raw(client, head(client, "GET /fhir/Patient HTTP/1.1", *lines), "GET")
    assert answer.status == 400


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_content_length_and_chunks_together_are_400(client):
    """A proxy in front may see another request in them than this server: smuggling."""
    lines = [f"Content-Type: {JSON}", "Content-Length: 5", "Transfer-Encoding: chunked"]
    request = head(client, "POST /fhir/Patient HTTP/1.1", *lines) + b"0\r\n\r\n"
    assert send_raw(client, request).status == 400


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "coding", ["gzip", "identity, chunked", "chunked, chunked", "xchunked", "chunked, gzip"]
)
def test_another_transfer_encoding_is_refused(client, coding):
    lines = [f"Content-Type: {JSON}", f"Transfer-Encoding: {coding}"]
    request = head(client, "POST /fhir/Patient HTTP/1.1", *lines) + b"0\r\n\r\n"
    assert send_raw(client, request).status in (400, 501)


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("coding", ["gzip", "br", "deflate", "identity, gzip"])
def test_a_compressed_body_is_415(client, coding):
    headers = {"Content-Encoding": coding, "Content-Type": JSON}
    refused(client.post("Patient", content=b"\x1f\x8b", headers=headers), 415)


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_content_length_that_is_too_short_stores_nothing_of_the_rest(client):
    resource = patient()
    body = json.dumps(resource).encode()
    lines = [f"Content-Type: {JSON}", f"Content-Length: {len(body) - 1}"]
    answer = send_raw(client, head(client, "POST /fhir/Patient HTTP/1.1", *lines) + body)
    assert answer.status == 400
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize("sent", [0, 1, -1])
def test_a_content_length_that_is_too_long_is_408_after_a_while(impatient, sent):
    """Also when nothing at all follows the head."""
    client = impatient
    resource = patient()
    body = json.dumps(resource).encode()
    lines = [f"Content-Type: {JSON}", f"Content-Length: {len(body) + 10}"]
    part = body if sent == -1 else body[:sent]
    answer = send_raw(client, head(client, "POST /fhir/Patient HTTP/1.1", *lines) + part)
    assert answer.status == 408
    assert json.loads(answer.body)["issue"][0]["code"] == "timeout"
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_client_that_goes_away_in_its_body_stores_nothing(client):
    resource = patient()
    body = json.dumps(resource).encode()
    lines = [f"Content-Type: {JSON}", f"Content-Length: {len(body) + 10}"]
    with connect(client) as connection:
        connection.sendall(head(client, "POST /fhir/Patient HTTP/1.1", *lines) + body)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


CHUNKED = (f"Content-Type: {JSON}", "Transfer-Encoding: chunked")


@pytest.mark.rule(16, "http#Status-Codes")
def test_a_body_in_chunks_is_read(client):
    resource = patient()
    body = json.dumps(resource).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer = send_raw(client, head(client, "POST /fhir/Patient HTTP/1.1", *CHUNKED) + chunks)
    assert answer.status == 201


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "chunks", [b"zz\r\n", b"-1\r\n", b"5\r\nabc", b"FFFFFFFFFFFFFFFFF\r\n", b"1\r\nab\r\n"]
)
def test_chunks_that_are_malformed_store_nothing(client, chunks):
    resource = patient()
    body = json.dumps(resource).encode()
    good = b"%x\r\n%s\r\n" % (len(body), body)
    request = head(client, "POST /fhir/Patient HTTP/1.1", *CHUNKED) + good + chunks
    with connect(client) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        assert read_raw(connection).status in (0, 400)
    assert how_many(client, "Patient", identifier=token(resource)) == 0


@pytest.mark.rule(17, "http#Status-Codes")
def test_chunks_without_end_are_413_at_the_limit(impatient):
    chunk = b"2000\r\n" + b" " * 0x2000 + b"\r\n"
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "POST /fhir/Patient HTTP/1.1", *CHUNKED))
        for _ in range(14):
            connection.sendall(chunk)
        answer = read_raw(connection)
        assert answer.status == 413
        assert json.loads(answer.body)["issue"][0]["code"] == "too-long"


@pytest.mark.rule(17, "http#Status-Codes")
def test_the_connection_goes_on_when_the_rest_of_a_refused_body_has_come(impatient):
    lines = [f"Content-Type: {JSON}", "Content-Length: 200000"]
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "POST /fhir/Patient HTTP/1.1", *lines) + b" " * 10)
        assert read_raw(connection).status == 413
        connection.sendall(b" " * 199_990)
        connection.sendall(head(impatient, "GET /fhir/Patient/nobody HTTP/1.1"))
        assert read_raw(connection, "GET").status == 404


@pytest.mark.rule(16, "http#Status-Codes")
def test_chunks_that_stop_are_408(impatient):
    with connect(impatient) as connection:
        connection.sendall(head(impatient, "POST /fhir/Patient HTTP/1.1", *CHUNKED) + b'5\r\n{ "a"')
        assert read_raw(connection).status == 408


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "prefer", ["return=everything", "handling=mild", "\u00ff".encode("latin-1"), "x" * 5000]
)
def test_an_unknown_prefer_is_no_reason_to_fail(client, prefer):
    assert client.post("Patient", json=patient(), headers={"Prefer": prefer}).status_code == 201
    assert client.get("metadata", headers={"Prefer": prefer}).status_code == 200


@pytest.mark.rule(16, "http#Status-Codes")
@pytest.mark.parametrize(
    "value", [b"\xff\xfe", "\u00e9".encode(), b"x" * 20_000, b'"' * 5000, b"," * 5000]
)
@pytest.mark.parametrize(
    "name",
    ["Accept", "Content-Type", "If-Match", "If-None-Match", "If-Modified-Since", "If-None-Exist", "Prefer", "Origin",
     "X-Request-Id", "X-Provenance", "Authorization", "Accept-Encoding", "Cookie", "Expect", "Range", "Forwarded"],
)  # fmt: skip
def test_nonsense_in_a_header_is_never_a_fault(client, name, value):
    resource = patient()
    headers = [(b"Content-Type", JSON.encode())] if name != "Content-Type" else []
    headers.append((name.encode(), value))
    body = json.dumps(resource).encode()
    answer = client.post("Patient", content=body, headers=headers)
    assert answer.status_code < 500
    stored = answer.status_code == 201
    assert how_many(client, "Patient", identifier=token(resource)) == stored
    logical_id = unique()
    answer = client.put(
        f"Patient/{logical_id}", json=patient(id=logical_id), headers=[(name.encode(), value)]
    )
    assert answer.status_code < 500
    assert client.get("Patient/1", headers=[(name.encode(), value)]).status_code < 500


@pytest.mark.rule(16, "http#Status-Codes")
def test_what_was_sent_is_not_sent_back_as_a_control_character(client):
    answer = client.get("Patient?%1b%5b31m%0d%0aSet-Cookie:x=1")
    assert answer.status_code in (200, 400)
    assert "set-cookie" not in answer.headers
    assert "\x1b" not in answer.text
    refused(client.get("Nothing%0d%0aSet-Cookie:%20x=1"), 404)


@pytest.mark.rule(16, "http#Status-Codes")
def test_head_and_options_are_answered_everywhere(client):
    stored = created(client, patient())
    paths = ["", "metadata", "_history", "Patient", f"Patient/{stored['id']}", "Patient/_history", "foo/bar",
             f"Patient/{stored['id']}/_history/1", "Patient/_search", "$validate"]  # fmt: skip
    for path in paths:
        assert client.options(path).status_code in (200, 204)
        answer = client.head(path)
        assert answer.status_code in (200, 400, 404, 405)
        assert answer.content == b""
    assert put(client, stored).status_code == 200
