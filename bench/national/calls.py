"""The calls that users of referrals make, each with its kind and the statuses that answer it well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import orjson

from bench.client import JSON_BODY, Response, request_bytes
from bench.national.country import Json

PATCH = (("Content-Type", "application/json-patch+json"),)


@dataclass(frozen=True, slots=True)
class Call:
    """kind: what the figures are told by; statuses: of a good answer; may_lose: 409 is a race that was lost."""

    kind: str
    wire: bytes
    statuses: tuple[int, ...]
    may_lose: bool = False


def get(
    kind: str,
    path: str,
    query: Mapping[str, Any] | None = None,
    *,
    accept: str = "",
    etag: str = "",
) -> Call:
    """A GET; with an etag 304 is as good as 200."""
    asked = f"?{urlencode(query, quote_via=quote, safe='/:,', doseq=True)}" if query else ""
    headers = ((("If-None-Match", etag),) if etag else ()) + (
        (("Accept", accept),) if accept else ()
    )
    wire = request_bytes("GET", f"/fhir/{path}{asked}", headers=headers)
    return Call(kind, wire, (200, 304) if etag else (200,))


def post(kind: str, path: str, body: Json, *statuses: int, may_lose: bool = False) -> Call:
    """A POST of JSON."""
    wire = request_bytes("POST", f"/fhir/{path}".rstrip("/"), orjson.dumps(body), JSON_BODY)
    return Call(kind, wire, statuses, may_lose)


def operation(kind: str, path: str, *statuses: int, may_lose: bool = False, **values: Any) -> Call:
    """A POST of Parameters; the values say by their shape what they are."""
    listed = [{"name": name.replace("_", "-"), **_value(value)} for name, value in values.items()]
    return post(
        kind,
        path,
        {"resourceType": "Parameters"} | ({"parameter": listed} if listed else {}),
        *statuses,
        may_lose=may_lose,
    )


def _value(value: Any) -> Json:
    if isinstance(value, str):
        return {"valueString": value}
    if "resourceType" in value:
        return {"resource": value}
    return {"valueReference" if "reference" in value else "valueCodeableConcept": value}


def letter(kind: str, text: bytes) -> Call:
    """A Binary of plain text."""
    headers = (("Content-Type", "text/plain"),)
    return Call(kind, request_bytes("POST", "/fhir/Binary", text, headers), (201,))


def shortlist(referral_id: str, services: list[Json]) -> Call:
    """A JSON Patch of the services that a patient chooses among."""
    body = orjson.dumps([{"op": "replace", "path": "/performer", "value": services}])
    wire = request_bytes("PATCH", f"/fhir/ServiceRequest/{referral_id}", body, PATCH)
    return Call("shortlist", wire, (200,))


def transaction(kind: str, *resources: tuple[str, Json]) -> Call:
    """Creates of resources under the urn:uuids by which they refer to one another."""
    entries = [
        {
            "fullUrl": name,
            "resource": resource,
            "request": {"method": "POST", "url": resource["resourceType"]},
        }
        for name, resource in resources
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return post(kind, "", bundle, 200)


def body(response: Response) -> Json:
    """The answer's resource."""
    found: Json = orjson.loads(response.body)
    return found


def matches(response: Response) -> list[Json]:
    """The matches of a searchset."""
    listed = body(response).get("entry", ())
    return [item["resource"] for item in listed if item.get("search", {}).get("mode") == "match"]


def created(response: Response, kind: str) -> str:
    """The id of what was made: of the answer itself, or the first of that type in a Bundle."""
    location = response.header(b"location")
    if location is not None:
        parts = location.decode().split("/")
        return parts[parts.index(kind.lower()) + 1]
    for item in body(response)["entry"]:
        parts = item.get("response", {}).get("location", "").split("/")
        if kind in parts:
            return str(parts[parts.index(kind) + 1])
        if item.get("resource", {}).get("resourceType") == kind:
            return str(item["resource"]["id"])
    raise KeyError(kind)
