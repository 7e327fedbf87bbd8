"""A Bundle of type searchset, joined from stored bytes (https://hl7.org/fhir/R4/bundle.html#searchset)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

from fhir_server.interactions.call import Context
from fhir_server.interactions.outcome import outcome
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]
Mode = Literal["match", "include"]


def entry(resource_type: str, logical_id: str, body: bytes, mode: Mode, context: Context) -> bytes:
    """An entry: body goes into it as it is."""
    beginning, end = _around(context.base_url, resource_type, mode)
    return b"".join((beginning, logical_id.encode(), b'","resource":', body, end))


def outcome_entry(issues: Sequence[Issue], context: Context) -> bytes:
    """The entry that tells about the search itself."""
    told = {
        "fullUrl": f"urn:uuid:{context.new_id()}",
        "resource": outcome(issues),
        "search": {"mode": "outcome"},
    }
    return serialise(told)


def searchset(bundle: Json, entries: Sequence[bytes]) -> bytes:
    """The Bundle, which has everything but its entries, with them."""
    head = serialise(bundle)
    if not entries:
        return head
    return b"".join((head[:-1], b',"entry":[', b",".join(entries), b"]}"))


@lru_cache(maxsize=1024)
def _around(base_url: str, resource_type: str, mode: Mode) -> tuple[bytes, bytes]:
    """What stands before the id and after the resource; an id has no character that JSON would escape."""
    beginning = serialise({"fullUrl": f"{base_url}/{resource_type}/"})[:-2]
    return beginning, b',"search":' + serialise({"mode": mode}) + b"}"
