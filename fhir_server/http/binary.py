"""Binary as its raw content (https://hl7.org/fhir/R4/binary.html#rest)."""

from __future__ import annotations

import base64
import re
from typing import Any

from fhir_server.http import formats
from fhir_server.http.exchange import Exchange
from fhir_server.interactions.call import Parameters, Result
from fhir_server.interactions.preconditions import write_etag
from fhir_server.spec import errors
from fhir_server.spec.instants import write_http_date
from fhir_server.spec.json_format import parse

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}(\s*;.*)?")


def _is_binary(path: str) -> bool:
    return path == "Binary" or path.startswith("Binary/")


def wants_raw(method: str, path: str, query: Parameters, accept: str | None) -> bool:
    """Whether a read of a Binary asks for the content itself: an Accept that names no FHIR format."""
    if not _is_binary(path) or method not in ("GET", "HEAD") or accept is None:
        return False
    if path.count("/") == 0 or any(name == "_format" for name, _ in query):
        return False
    asked = [item.partition(";")[0].strip() for item in accept.split(",")]
    return not any(formats.is_fhir(item) or item in ("*/*", "application/*") for item in asked)


def is_raw(exchange: Exchange, content_type: str | None) -> bool:
    """Whether the body of a write to Binary is the content itself."""
    return (
        _is_binary(exchange.path)
        and exchange.method in ("POST", "PUT")
        and content_type is not None
        and not formats.is_fhir(content_type)
    )


def wrap(exchange: Exchange, body: bytes, content_type: str) -> dict[str, Any]:
    """A Binary resource around raw content; FhirError 415 for what is no media type."""
    if not _MEDIA_TYPE.fullmatch(content_type):
        raise errors.unsupported_media_type("Content-Type is not a media type")
    if not body:
        raise errors.malformed("The body is empty; send the content of the Binary")
    made: dict[str, Any] = {"resourceType": "Binary"}
    _, _, logical_id = exchange.path.rstrip("/").partition("/")
    if logical_id:
        made["id"] = logical_id
    made["contentType"] = content_type
    context = exchange.header(b"x-security-context")
    if context:
        made["securityContext"] = {"reference": context}
    made["data"] = base64.b64encode(body).decode()
    return made


def render(
    result: Result, exchange: Exchange, headers: list[tuple[bytes, bytes]]
) -> tuple[int, bytes]:
    """The content with its media type, if that is acceptable; as a download that no browser runs."""
    if result.body is None:
        return result.status, b""
    resource = parse(result.body)
    media_type: str = resource["contentType"]
    essence = media_type.partition(";")[0].strip().lower()
    asked = {
        item.partition(";")[0].strip().lower()
        for item in (exchange.header(b"accept") or "").split(",")
    }
    if not asked & {essence, essence.partition("/")[0] + "/*"}:
        raise errors.not_acceptable(
            f"The content is {essence}; accept that, or application/fhir+json for the resource"
        )
    assert result.version_id is not None
    assert result.last_updated is not None
    headers += [
        (b"content-type", media_type.encode("latin-1", "replace")),
        (b"content-disposition", b"attachment"),
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", b"default-src 'none'; sandbox"),
        (b"cache-control", b"no-store"),
        (b"etag", write_etag(result.version_id).encode()),
        (b"last-modified", write_http_date(result.last_updated).encode()),
    ]
    return 200, base64.b64decode(resource.get("data", ""))
