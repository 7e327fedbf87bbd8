"""Requests that the tests over HTTP have in common, and what every refusal must look like."""

from __future__ import annotations

import http.client
import socket
import uuid
from typing import Any

import httpx

Json = dict[str, Any]

SYSTEM = "https://example.org/tests"
JSON = "application/fhir+json"
XML = "application/fhir+xml"


def unique() -> str:
    """An id or identifier value that no other test has."""
    return uuid.uuid4().hex


def patient(**elements: Any) -> Json:
    """A Patient with an identifier of its own."""
    named = {"identifier": [{"system": SYSTEM, "value": unique()}]}
    return {"resourceType": "Patient"} | named | elements


def token(resource: Json) -> str:
    """The resource's identifier as a search value, system|value."""
    first = resource["identifier"][0]
    return f"{first['system']}|{first['value']}"


def post(client: httpx.Client, body: bytes | str, path: str = "Patient", **headers: str):
    """POST a body as it is, as FHIR JSON unless content_type says otherwise."""
    named = {"content-type": JSON} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    return client.post(path, content=body, headers=named)


def put(client: httpx.Client, resource: Json, **headers: str) -> httpx.Response:
    """PUT a resource where it says it belongs; if_match="..." becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return client.put(f"{resource['resourceType']}/{resource['id']}", json=resource, headers=named)


def created(client: httpx.Client, resource: Json) -> Json:
    """The resource as the server stored it."""
    answer = client.post(resource["resourceType"], json=resource)
    assert answer.status_code == 201, answer.text
    stored: Json = answer.json()
    return stored


def how_many(client: httpx.Client, resource_type: str, **criteria: str) -> int:
    """How many resources match."""
    answer = client.get(resource_type, params=criteria | {"_summary": "count"})
    assert answer.status_code == 200, answer.text
    total: int = answer.json()["total"]
    return total


def refused(answer: httpx.Response, status: int, code: str | None = None) -> list[Json]:
    """The issues of a refusal, which is an OperationOutcome in FHIR JSON with that status and issue code."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].partition(";")[0] == JSON
    told = answer.json()
    assert told["resourceType"] == "OperationOutcome"
    assert told["issue"]
    for issue in told["issue"]:
        assert issue["severity"] in ("fatal", "error")
        assert issue["code"]
        assert issue["diagnostics"]
    if code is not None:
        assert code in [issue["code"] for issue in told["issue"]]
    issues: list[Json] = told["issue"]
    return issues


class Answer:
    """What came back over a plain socket; status 0: the server closed the connection without an answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def connect(client: httpx.Client) -> socket.socket:
    """A plain connection to the client's server."""
    made = socket.create_connection((client.base_url.host, client.base_url.port), timeout=20)
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def send_raw(client: httpx.Client, request: bytes, method: str = "POST") -> Answer:
    """Send bytes that a decent HTTP client would not send, and read one answer."""
    with connect(client) as connection:
        connection.sendall(request)
        return read_raw(connection, method)


def read_raw(connection: socket.socket, method: str = "POST") -> Answer:
    """One answer from a plain connection."""
    response = http.client.HTTPResponse(connection, method=method)
    try:
        response.begin()
        body = response.read()
    except (ConnectionError, http.client.HTTPException):
        return Answer(0, {}, b"")
    headers = {name.lower(): value for name, value in response.getheaders()}
    return Answer(response.status, headers, body)


def head(client, line, *headers):
    """The bytes of a request head to the client's server."""
    host = f"Host: {client.base_url.netloc.decode()}"
    return "\r\n".join([line, host, *headers, "", ""]).encode()
