"""Searchsets of operations, with links that go on (https://hl7.org/fhir/R4/bundle.html#searchset)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from fhir_server.booking.inputs import Inputs
from fhir_server.interactions.call import Context, Result
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.paging import CURSOR, write_cursor, write_query
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]


def scope_of(path: str, inputs: Inputs) -> str:
    """The call as a URL below the base: pages are read by GET, whichever way the first one was asked for."""
    flat = [(name, _flat(value)) for name, values in inputs.values.items() for value in values]
    return f"{path}?{write_query(flat)}"


def _flat(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, dict):
        return str(value)
    if "reference" in value:
        return str(value["reference"])
    coding = next(iter(value.get("coding", ())), value)
    return "|".join(str(coding[name]) for name in ("system", "code") if name in coding)


def entry(resource_type: str, logical_id: str, body: bytes, search: Json, context: Context) -> Json:
    """An entry with stored bytes."""
    return {
        "fullUrl": f"{context.base_url}/{resource_type}/{logical_id}",
        "resource": orjson.Fragment(body),
        "search": search,
    }


def searchset(
    entries: Sequence[Json],
    scope: str,
    context: Context,
    *,
    total: int | None,
    following: tuple[Any, ...] | None,
    issues: Iterable[Issue] = (),
) -> Result:
    """200 with the entries; following: where the next page starts; issues stand in an outcome at the end."""
    links = [{"relation": "self", "url": f"{context.base_url}/{scope}".rstrip("?")}]
    if following is not None:
        token = write_cursor(following, scope, context.policy.cursor_key)
        mark = "" if scope.endswith("?") else "&"
        url = f"{context.base_url}/{scope}{mark}{CURSOR}={token}"
        links.append({"relation": "next", "url": url})
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id(), "type": "searchset"}
    if total is not None:
        bundle["total"] = total
    bundle["link"] = links
    shown = list(entries)
    told = list(issues)
    if told:
        shown.append(
            {
                "fullUrl": f"urn:uuid:{context.new_id()}",
                "resource": outcome(told),
                "search": {"mode": "outcome"},
            }
        )
    if shown:
        bundle["entry"] = shown
    return Result(200, serialise(bundle))
