"""A Bundle of type searchset, joined from stored bytes (https://hl7.org/fhir/R4/bundle.html#searchset)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal, Protocol

from fhir_server.interactions.call import Context
from fhir_server.interactions.outcome import outcome
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]
Mode = Literal["match", "include"]


class Resource(Protocol):
    """What a match and an included version have in common."""

    @property
    def resource_type(self) -> str: ...
    @property
    def logical_id(self) -> str: ...
    @property
    def body(self) -> bytes: ...


def entries(
    resources: Iterable[Resource],
    mode: Mode,
    base_url: str,
    shaped: Callable[[bytes], bytes] | None = None,
    resource_type: str | None = None,
) -> list[bytes]:
    """The entries of resources, whose bytes go in as they are, or as shaped makes them.

    resource_type: of all of them, where that is known.
    """
    if resource_type is not None and shaped is None:
        beginning, end = _around(base_url, resource_type, mode)
        between = b'","resource":'
        return [
            b"%b%b%b%b%b" % (beginning, item.logical_id.encode(), between, item.body, end)
            for item in resources
        ]
    found = []
    last = None
    for item in resources:
        resource_type = item.resource_type
        if resource_type != last:
            beginning, end = _around(base_url, resource_type, mode)
            last = resource_type
        body = item.body if shaped is None else shaped(item.body)
        found.append(b'%b%b","resource":%b%b' % (beginning, item.logical_id.encode(), body, end))
    return found


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
    return b'%b,"entry":[%b]}' % (head[:-1], b",".join(entries)) if entries else head


@lru_cache(maxsize=1024)
def _around(base_url: str, resource_type: str, mode: Mode) -> tuple[bytes, bytes]:
    """What stands before the id and after the resource; an id has no character that JSON would escape."""
    beginning = serialise({"fullUrl": f"{base_url}/{resource_type}/"})[:-2]
    return beginning, b',"search":' + serialise({"mode": mode}) + b"}"
