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
_BETWEEN = b'","resource":'


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
    """The parts of entries, each of which begins with a comma; resources go in as they are, or as shaped makes them.

    resource_type: of all of them, where that is known. What there is of a page is put together once, by searchset.
    """
    found: list[bytes] = []
    if resource_type is not None and shaped is None:
        beginning, end = _around(base_url, resource_type, mode)
        for match in resources:
            found += (beginning, match.logical_id.encode(), _BETWEEN, match.body, end)
        return found
    last = None
    for item in resources:
        resource_type = item.resource_type
        if resource_type != last:
            beginning, end = _around(base_url, resource_type, mode)
            last = resource_type
        body = item.body if shaped is None else shaped(item.body)
        found += (beginning, item.logical_id.encode(), _BETWEEN, body, end)
    return found


def outcome_entry(issues: Sequence[Issue], context: Context) -> bytes:
    """The entry that tells about the search itself, after a comma."""
    told = {
        "fullUrl": f"urn:uuid:{context.new_id()}",
        "resource": outcome(issues),
        "search": {"mode": "outcome"},
    }
    return b"," + serialise(told)


def searchset(bundle: Json, parts: Sequence[bytes]) -> bytes:
    """The Bundle, which has everything but its entries, with the parts of them."""
    head = serialise(bundle)
    if not parts:
        return head
    return b"".join((head[:-1], b',"entry":[', parts[0][1:], *parts[1:], b"]}"))


@lru_cache(maxsize=1024)
def _around(base_url: str, resource_type: str, mode: Mode) -> tuple[bytes, bytes]:
    """What stands before the id and after the resource; an id has no character that JSON would escape."""
    beginning = b"," + serialise({"fullUrl": f"{base_url}/{resource_type}/"})[:-2]
    return beginning, b',"search":' + serialise({"mode": mode}) + b"}"
