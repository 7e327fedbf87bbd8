"""History of an instance, a type and the system (https://hl7.org/fhir/R4/http.html#history)."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import orjson

from fhir_server.interactions.call import Context, History, Parameters, Result
from fhir_server.interactions.paging import (
    CURSOR,
    read_cursor,
    take_cursor,
    write_cursor,
    write_query,
)
from fhir_server.interactions.preconditions import write_etag
from fhir_server.spec import errors
from fhir_server.spec.dates import interval
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import HistoryQuery, ReadTransaction, StoredVersion

Json = dict[str, Any]
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_STATUS = {True: "201 Created", False: "200 OK"}


def history(call: History, context: Context, transaction: ReadTransaction) -> Result:
    """200 with a Bundle of type history, newest first; FhirError 404 for an id never used."""
    parameters, cursor = take_cursor(call.parameters)
    path = "/".join(part for part in (call.resource_type, call.logical_id, "_history") if part)
    applied = tuple(item for item in parameters if item[1])
    scope = f"{path}?{write_query(applied)}"
    after = read_cursor(cursor, scope, context.policy.cursor_key) if cursor else None
    query = _settled(_query(call, parameters, context), after, transaction)
    if call.logical_id is not None and call.resource_type is not None:
        known = transaction.current(call.resource_type, call.logical_id)
        if known is None:
            raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
    total = transaction.history_total(query)
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id()}
    if query.until:
        # Nothing older than this will be added any more: who follows the changes asks _since this moment next.
        bundle["meta"] = {"lastUpdated": write_instant(query.until)}
    bundle |= {"type": "history"} if total is None else {"type": "history", "total": total}
    links = [{"relation": "self", "url": f"{context.base_url}/{scope}".rstrip("?")}]
    bundle["link"] = links
    if _wants_count_only(parameters):
        if total is None:
            raise errors.not_supported("This history is not counted; read it page by page")
        return Result(200, serialise(bundle))
    hits = transaction.history(_page(query, after))
    page = hits[: query.limit]
    if len(hits) > query.limit:
        place = (*page[-1].position, query.until)
        token = write_cursor(place, scope, context.policy.cursor_key)
        following = write_query((*applied, (CURSOR, token)))
        links.append({"relation": "next", "url": f"{context.base_url}/{path}?{following}"})
    if page:
        bundle["entry"] = [_entry(hit.version, context) for hit in page]
    return Result(200, serialise(bundle))


def _settled(
    query: HistoryQuery, after: tuple[Any, ...] | None, transaction: ReadTransaction
) -> HistoryQuery:
    """The query up to the moment until which the history is complete: of the first page, for all pages."""
    if query.logical_id is not None:
        return query
    if after is None:
        return replace(query, until=transaction.settled())
    return replace(query, until=after[2])


def _page(query: HistoryQuery, after: tuple[Any, ...] | None) -> HistoryQuery:
    place = None if after is None else (int(after[0]), int(after[1]))
    return replace(query, limit=query.limit + 1, after=place)


def _wants_count_only(parameters: Parameters) -> bool:
    values = dict(parameters)
    return values.get("_count") == "0" or values.get("_summary") == "count"


def _query(call: History, parameters: Parameters, context: Context) -> HistoryQuery:
    seen: dict[str, str] = {}
    for name, value in parameters:
        if name in seen:
            raise errors.invalid(
                f"The parameter {name[:64]} is there twice; a history takes it once"
            )
        seen[name] = value
    since = at_low = at_high = None
    limit = context.policy.default_count
    for name, value in seen.items():
        match name:
            case "_since" if value:
                if not _INSTANT.fullmatch(value):
                    raise errors.invalid(
                        f"_since is '{value[:64]}'; write an instant with its zone, as 2026-03-01T00:00:00Z"
                        " (a + in the URL is written %2B)"
                    )
                since = _interval(value, name, context)[0]
            case "_at" if value:
                at_low, at_high = _interval(value, name, context)
            case "_count" if value:
                limit = _count(value, context)
            case "_format" | "_pretty":
                pass
            case "_summary" if value in ("count", "false"):
                pass
            case _ if value:
                raise errors.not_supported(
                    f"A history takes _since, _at, _count, _format and _pretty, not '{name[:64]}'"
                )
    return HistoryQuery(
        call.resource_type,
        call.logical_id,
        since=since,
        at_low=at_low,
        at_high=at_high,
        limit=limit,
    )


def _interval(value: str, name: str, context: Context) -> tuple[int, int]:
    try:
        return interval(value, context.policy.zone)
    except ValueError:
        raise errors.invalid(f"{name} is '{value[:64]}', which is not a date or instant") from None


def _count(value: str, context: Context) -> int:
    if not (value.isascii() and value.isdigit()):
        raise errors.invalid(f"_count is '{value[:64]}'; write a whole number that is not negative")
    return min(int(value[:9]), context.policy.maximum_count)


def _entry(version: StoredVersion, context: Context) -> Json:
    path = f"{version.resource_type}/{version.logical_id}"
    entry: Json = {"fullUrl": f"{context.base_url}/{path}"}
    if version.deleted:
        status = "204 No Content"
    else:
        entry["resource"] = orjson.Fragment(version.body)
        status = _STATUS[version.created]
    url = version.resource_type if version.method == "POST" else path
    entry["request"] = {"method": version.method, "url": url}
    entry["response"] = {
        "status": status,
        "etag": write_etag(version.version_id),
        "lastModified": write_instant(version.last_updated),
    }
    return entry
