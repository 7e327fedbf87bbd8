"""Logs tell what happened, and nothing of what is in a resource, a query or a header."""

import json
from uuid import uuid4

import httpx
import psycopg
import pytest
from sqlalchemy.engine import make_url

from tests.running.raw import Connection
from tools.serving import ServerProcess

JSON = {"Content-Type": "application/fhir+json"}


@pytest.fixture
def markers():
    """Makes values that nothing else contains, and remembers them."""

    class Markers(list):
        def new(self):
            self.append(f"zqx{uuid4().hex}")
            return self[-1]

    return Markers()


def lines(printed):
    """The log as objects: every line is one."""
    return [json.loads(line) for line in printed.splitlines()]


def output(server):
    """Everything that the server wrote, after its end."""
    assert server.output is not None
    server.process.terminate()
    server.process.wait(30)
    server.output.seek(0)
    return server.output.read().decode()


def use(client, mark):
    """Every door, with values that must not be told, in requests that succeed and in requests that fail."""
    logical_id = mark()
    path = f"Patient/{logical_id}"
    resource = {
        "resourceType": "Patient",
        "id": logical_id,
        "identifier": [{"system": f"https://{mark()}.example", "value": mark()}],
        "name": [{"family": mark(), "given": [mark()]}],
        "address": [{"line": [mark()], "postalCode": mark()}],
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{mark()}</div>',
        },
    }
    bad = resource | {"gender": mark(), "birthDate": mark(), mark(): mark()}
    patch = {"Content-Type": "application/json-patch+json"}
    statuses = [
        client.put(path, json=resource),
        client.post("Patient", json=resource, headers={"If-None-Exist": f"identifier={mark()}"}),
        client.post("Patient", json=resource, headers={"If-None-Exist": f"{mark()}={mark()}"}),
        client.get(path, headers={"Authorization": f"Bearer {mark()}", "X-Anything": mark()}),
        client.get(f"{path}/_history/{mark()}"),
        client.get(f"{path}/_history?_since={mark()}"),
        client.get(f"Patient/{mark()}"),
        client.get(f"{mark()}/1"),
        client.get(f"Patient?name={mark()}&birthdate=2001-02-03"),
        client.get(f"Patient?birthdate={mark()}&{mark()}={mark()}"),
        client.get(f"Patient?name:{mark()}={mark()}", headers={"Prefer": "handling=strict"}),
        client.post("Patient/_search", data={"name": mark()}),
        client.get(f"Patient?_cursor={mark()}&_sort={mark()}"),
        client.get("Patient", headers={"Accept": mark()}),
        client.put(path, json=bad),
        client.put(path, json=resource, headers={"If-Match": mark()}),
        client.put(f"Patient?identifier={mark()}", json=resource | {"id": mark()}),
        client.patch(path, json=[{"op": "add", "path": "/active", "value": True}], headers=patch),
        client.patch(path, json=[{"op": "test", "path": f"/{mark()}", "value": 1}], headers=patch),
        client.patch(path, content=f"<{mark()}", headers={"Content-Type": mark()}),
        client.post("Patient", content=f'{{"{mark()}"', headers=JSON),
        client.post("Patient", content=f"<{mark()}", headers={"Content-Type": "application/xml"}),
        client.post("", json={"resourceType": "Bundle", "type": mark()}),
        client.post("", json=bundle(("PUT", path, bad), ("GET", f"Patient?name={mark()}", None))),
        client.post("", json=bundle(("POST", "Patient", resource), kind="transaction")),
        client.post("", json=bundle(("PUT", path, bad), kind="transaction")),
        client.post("Patient/$validate", json=bad),
        client.post(f"Patient/${mark()}", json=resource),
        client.delete(f"Patient?identifier={mark()}"),
        client.delete(path),
        client.get(path),
        client.put(f"_history?{mark()}={mark()}", json=resource),
    ]
    return {answer.status_code for answer in statuses}


def bundle(*entries, kind="batch"):
    listed = []
    for method, url, resource in entries:
        entry = {"request": {"method": method, "url": url}}
        listed.append(entry if resource is None else {"resource": resource} | entry)
    return {"resourceType": "Bundle", "type": kind, "entry": listed}


@pytest.mark.parametrize("workers", [1, 2])
def test_no_value_of_a_resource_query_or_header_is_logged_at_debug_level(
    new_database, markers, workers
):
    server = ServerProcess(new_database(), workers=workers, log_level="debug")
    with server, httpx.Client(base_url=f"{server.base}/", timeout=30) as client:
        statuses = use(client, markers.new)
        assert {200, 201, 204, 400, 404, 405, 406, 410, 415, 422} <= statuses
        assert max(statuses) < 500
        with Connection(server.port) as connection:
            connection.send(f"{markers.new()} {markers.new()}\r\n\r\n".encode())
            assert connection.answer()[0] == 400
        given = client.get("Patient/nobody", headers={"X-Request-Id": "my-own-id"})
        made = client.get("Patient/nobody").headers["x-request-id"]
        told = output(server)
    assert given.headers["x-request-id"] == "my-own-id"
    for request_id in ("my-own-id", made):
        (line,) = [line for line in lines(told) if line.get("request_id") == request_id]
        assert (line["interaction"], line["status"], line["method"]) == ("Read", 404, "GET")
    assert len(markers) > 40
    assert [value for value in markers if value in told] == []
    requests = [line for line in lines(told) if line["message"] == "request"]
    assert len(requests) >= 30
    for line in requests:
        assert line.keys() == {
            *("time", "level", "logger", "message"),
            *("request_id", "method", "interaction", "status", "milliseconds"),
        }


def test_a_fault_of_the_server_is_logged_with_its_place_and_without_values(new_database, markers):
    """The tables are taken away under the server, so that every statement on them fails."""
    database = new_database()
    if not database.startswith("postgresql"):
        pytest.skip("SQLite keeps its file locked against this")
    server = ServerProcess(database, log_level="debug")
    with server, httpx.Client(base_url=f"{server.base}/", timeout=30) as client:
        plain = make_url(database).set(drivername="postgresql")
        with psycopg.connect(plain.render_as_string(False), autocommit=True) as connection:
            connection.execute("ALTER TABLE version RENAME TO away")
        path = f"Patient/{markers.new()}"
        resource = {"resourceType": "Patient", "id": path[8:], "name": [{"family": markers.new()}]}
        answers = [
            client.put(path, json=resource),
            client.get(path),
            client.get(f"Patient?name={markers.new()}"),
        ]
        for answer in answers:
            assert answer.status_code in (500, 503)
            assert answer.json()["resourceType"] == "OperationOutcome"
        told = output(server)
    assert [value for value in markers if value in told] == []
    assert all(lines(told))
