"""Limits on what a request may send and on how many are worked on at once.

They hold before any database is asked, so these servers keep everything in memory.
"""

import json
import time

import httpx
import pytest

from tests.running.raw import CREATE, Connection, outcome
from tools.serving import ServerProcess

PATIENT = {"resourceType": "Patient", "name": [{"family": "Slow"}]}


@pytest.fixture(scope="module")
def limited():
    """A client of a server with low limits."""
    settings = {
        "FHIR_MAXIMUM_BODY": "10000",
        "FHIR_MAXIMUM_BUNDLE": "20000",
        "FHIR_MAXIMUM_IN_FLIGHT": "2",
    }
    with (
        ServerProcess("memory://", settings=settings) as server,
        httpx.Client(base_url=f"{server.base}/", timeout=30) as client,
    ):
        yield client


def port(client):
    return client.base_url.port


def patients(client):
    return client.get("Patient?_summary=count").json()["total"]


def patient_of(size):
    resource = {"resourceType": "Patient", "name": [{"family": ""}]}
    resource["name"][0]["family"] = "x" * (size - len(json.dumps(resource)))
    return json.dumps(resource).encode()


@pytest.mark.rule(17, "http#Status-Codes")
def test_a_body_beyond_the_limit_is_413_whether_its_length_is_declared_or_not(limited):
    before = patients(limited)
    headers = {"Content-Type": "application/fhir+json"}
    assert limited.post("Patient", content=patient_of(10_000), headers=headers).status_code == 201
    too_large = patient_of(10_001)
    answer = limited.post("Patient", content=too_large, headers=headers)
    assert answer.status_code == 413
    assert answer.json()["issue"][0]["code"] == "too-long"
    in_parts = (too_large[start : start + 1000] for start in range(0, len(too_large), 1000))
    assert limited.post("Patient", content=in_parts, headers=headers).status_code == 413
    assert patients(limited) == before + 1


def test_a_bundle_has_a_limit_of_its_own(limited):
    entry = {
        "resource": json.loads(patient_of(9_000)),
        "request": {"method": "POST", "url": "Patient"},
    }
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": [entry, entry]}
    assert limited.post("", json=bundle).status_code == 200
    bundle["entry"].append(entry)
    assert limited.post("", json=bundle).status_code == 413


def test_who_hangs_up_in_the_middle_of_a_body_stores_nothing(limited):
    before = patients(limited)
    with Connection(port(limited)) as connection:
        connection.begin_create(PATIENT)
    assert patients(limited) == before


def test_more_requests_than_are_worked_on_at_once_get_503_with_retry_after(limited):
    with Connection(port(limited)) as one, Connection(port(limited)) as other:
        rests = [one.begin_create(PATIENT), other.begin_create(PATIENT)]
        answer = limited.get("metadata?_summary=true")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) >= 1
        assert answer.json()["issue"][0]["code"] == "transient"
        in_xml = limited.get("Patient", headers={"Accept": "application/fhir+xml"})
        assert in_xml.text.count("<OperationOutcome") == 1
        for connection, rest in zip((one, other), rests, strict=True):
            connection.send(rest)
            assert connection.answer()[0] == 201
    assert limited.get("metadata?_summary=true").status_code == 200


@pytest.mark.parametrize(
    "request_line",
    [b"GET /fhir/Patient HTTP/9.9", b"GET", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
)
def test_what_is_no_http_is_400(limited, request_line):
    with Connection(port(limited)) as connection:
        connection.send(request_line + b"\r\nHost: localhost\r\n\r\n")
        status, _, body = connection.answer()
    assert status == 400
    assert outcome(body)["code"] == "structure"


def test_requests_that_follow_each_other_on_a_connection_are_answered_in_order(limited):
    with Connection(port(limited)) as connection:
        connection.send(
            b"GET /fhir/Patient/nobody HTTP/1.1\r\nHost: localhost\r\n\r\n"
            b"GET /fhir/Unknown/1 HTTP/1.1\r\nHost: localhost\r\n\r\n"
        )
        told = [outcome(connection.answer()[2])["diagnostics"] for _ in range(2)]
    assert "nobody" in told[0]
    assert "Unknown" in told[1]


def test_a_body_is_the_same_in_however_many_pieces_it_comes(server):
    """At once with its head, after it, byte by byte, in chunks, and when several requests come in one packet."""

    def create(name, size=1):
        body = json.dumps(
            {"resourceType": "Patient", "name": [{"family": name, "text": "x" * size}]}
        )
        return CREATE % len(body) + body.encode(), name

    def chunked(name):
        whole, _ = create(name)
        body = whole.partition(b"\r\n\r\n")[2]
        head = (CREATE % 0).replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        parts = (body[:20], body[20:], b"")
        return head + b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts), name

    long, short = create("Long", 300_000), create("Short")
    with Connection(int(server.base.rpartition(":")[2].partition("/")[0])) as connection:
        for whole, name in (create("Whole"), chunked("Chunked"), long, short):
            connection.send(whole)
            assert _family(connection.answer()) == name
        for at in (10, len(short[0]) - 1, short[0].index(b"\r\n\r\n") + 4):
            connection.send(short[0][:at])
            time.sleep(0.05)
            connection.send(short[0][at:])
            assert _family(connection.answer()) == "Short"
        connection.send(create("One")[0] + chunked("Two")[0] + long[0] + short[0])
        answered = [_family(connection.answer()) for _ in range(4)]
        assert answered == ["One", "Two", "Long", "Short"]


def _family(answer):
    status, _, body = answer
    assert status == 201, body
    return json.loads(body)["name"][0]["family"]
