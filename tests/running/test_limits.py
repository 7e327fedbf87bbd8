"""Limits on what a request may send and on how many are worked on at once."""

import gzip
import json

import pytest

from tests.running.raw import CREATE, Connection, outcome

PATIENT = {"resourceType": "Patient", "name": [{"family": "Slow"}]}


def port(client):
    return client.base_url.port


def patient_of(size):
    resource = {"resourceType": "Patient", "name": [{"family": ""}]}
    resource["name"][0]["family"] = "x" * (size - len(json.dumps(resource)))
    return json.dumps(resource).encode()


@pytest.mark.rule(17, "http#Status-Codes")
def test_a_body_beyond_the_limit_is_413_whether_its_length_is_declared_or_not(serve):
    client = serve(maximum_body="10000", maximum_bundle="20000")
    headers = {"Content-Type": "application/fhir+json"}
    assert client.post("Patient", content=patient_of(10_000), headers=headers).status_code == 201
    too_large = patient_of(10_001)
    answer = client.post("Patient", content=too_large, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-long"
    in_parts = (too_large[start : start + 1000] for start in range(0, len(too_large), 1000))
    assert client.post("Patient", content=in_parts, headers=headers).status_code == 413
    assert client.get("Patient?_summary=count").json()["total"] == 1


def test_a_bundle_has_a_limit_of_its_own(serve):
    client = serve(maximum_body="10000", maximum_bundle="20000")
    entry = {
        "resource": json.loads(patient_of(9_000)),
        "request": {"method": "POST", "url": "Patient"},
    }
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry, entry]}
    assert client.post("", json=bundle).status_code == 200
    bundle["entry"].append(entry)
    assert client.post("", json=bundle).status_code == 413


def test_a_compressed_body_is_415_and_not_unpacked(client):
    headers = {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}
    body = gzip.compress(b" " * 50_000_000)
    answer = client.post("Patient", content=body, headers=headers)
    assert (answer.status_code, answer.json()["resourceType"]) == (415, "OperationOutcome")


def test_too_many_or_too_long_headers_are_431(client):
    many = {f"X-Header-{number}": "x" for number in range(300)}
    answer = client.get("Patient/1", headers=many)
    assert (answer.status_code, answer.json()["resourceType"]) == (431, "OperationOutcome")
    answer = client.get("Patient/1", headers={"X-Long": "x" * 40_000})
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (431, "too-long")


def test_two_thousand_headers_are_refused(client):
    with Connection(port(client)) as connection:
        lines = b"".join(b"X-Header-%d: %s\r\n" % (number, b"x" * 60) for number in range(2000))
        connection.send(b"GET /fhir/Patient/1 HTTP/1.1\r\nHost: localhost\r\n" + lines + b"\r\n")
        status, _, body = connection.answer()
    assert status in (400, 431)
    assert outcome(body)["severity"] == "error"


def test_a_head_without_end_is_refused(client):
    with Connection(port(client)) as connection:
        connection.send(b"GET /fhir/Patient/1 HTTP/1.1\r\nHost: localhost\r\nX-Endless: ")
        try:
            for _ in range(64):
                connection.send(b"x" * 16_384)
        except OSError:
            pass  # the server has hung up already
        assert connection.file.read(12) in (b"HTTP/1.1 400", b"")


@pytest.mark.parametrize("sent", [b"", b'{"resourceType": '])
def test_a_body_that_does_not_arrive_in_time_is_408_and_the_connection_ends(serve, sent):
    client = serve(body_timeout="0.3")
    with Connection(port(client)) as connection:
        connection.send(CREATE % 1000 + sent)
        status, headers, body = connection.answer()
        assert status == 408
        assert outcome(body)["code"] == "timeout"
        assert headers["connection"] == "close"
        assert connection.is_closed()
    assert client.post("Patient", json=PATIENT).status_code == 201


def test_who_hangs_up_in_the_middle_of_a_body_stores_nothing(serve):
    client = serve()
    with Connection(port(client)) as connection:
        connection.begin_create(PATIENT)
    assert client.get("Patient?_summary=count").json()["total"] == 0


def test_more_requests_than_are_worked_on_at_once_get_503_with_retry_after(serve):
    client = serve(maximum_in_flight="2")
    with Connection(port(client)) as one, Connection(port(client)) as other:
        rests = [one.begin_create(PATIENT), other.begin_create(PATIENT)]
        answer = client.get("metadata?_summary=true")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["issue"][0]["code"] == "transient"
        in_xml = client.get("Patient", headers={"Accept": "application/fhir+xml"})
        assert in_xml.text.count("<OperationOutcome") == 1
        for connection, rest in zip((one, other), rests, strict=True):
            connection.send(rest)
            assert connection.answer()[0] == 201
    assert client.get("metadata?_summary=true").status_code == 200


@pytest.mark.parametrize(
    "request_line",
    [b"GET /fhir/Patient HTTP/9.9", b"GET", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
)
def test_what_is_no_http_is_400(client, request_line):
    with Connection(port(client)) as connection:
        connection.send(request_line + b"\r\nHost: localhost\r\n\r\n")
        status, _, body = connection.answer()
    assert status == 400
    assert outcome(body)["code"] == "structure"


def test_requests_that_follow_each_other_on_a_connection_are_answered_in_order(client):
    with Connection(port(client)) as connection:
        connection.send(
            b"GET /fhir/Patient/nobody HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /fhir/Unknown/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        told = [outcome(connection.answer()[2])["diagnostics"] for _ in range(2)]
    assert "nobody" in told[0]
    assert "Unknown" in told[1]
