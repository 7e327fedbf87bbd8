"""What batch and transaction share: entries become requests, results become response entries.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import orjson

from fhir_server.interactions.call import Call, Conditions, Context, Request, Result
from fhir_server.interactions.grammar import parse_call, parse_url
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.preconditions import write_etag
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a request Bundle: its place, what it calls itself, and what it asks for."""

    number: int
    full_url: str | None
    call: Call

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.number}]"


def entries(bundle: Json, context: Context) -> list[Json]:
    """The entries of a request Bundle.

    Raises FhirError 400 when the Bundle itself cannot be a request: total, search or response present (bdl-1 to
    bdl-4), one fullUrl twice (bdl-7), a versioned fullUrl (bdl-8); 413 when it has too many entries.
    """
    found = bundle.get("entry", [])
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise errors.malformed("Bundle.entry must be a list of objects", "Bundle.entry")
    if len(found) > context.policy.maximum_entries:
        raise errors.too_large(
            f"The Bundle has {len(found)} entries; at most {context.policy.maximum_entries} are done at once"
        )
    if "total" in bundle:
        raise errors.invalid("A request Bundle has no total; take it out (bdl-1)", "Bundle.total")
    seen: set[str] = set()
    for number, entry in enumerate(found):
        _check_entry(entry, f"Bundle.entry[{number}]", seen)
    return found


def _check_entry(entry: Json, place: str, seen: set[str]) -> None:
    for name, rule in (("search", "bdl-2"), ("response", "bdl-4")):
        if name in entry:
            raise errors.invalid(
                f"An entry of a request Bundle has no {name}; take it out ({rule})",
                f"{place}.{name}",
            )
    full_url = entry.get("fullUrl")
    if full_url is None:
        return
    where = f"{place}.fullUrl"
    if not isinstance(full_url, str):
        raise errors.malformed("fullUrl must be a string", where)
    if "/_history/" in full_url:
        raise errors.invalid(
            "fullUrl must not name a version; take /_history/... out (bdl-8)", where
        )
    if full_url in seen:
        raise errors.invalid("Two entries have this fullUrl; give each its own (bdl-7)", where)
    seen.add(full_url)


def parse_entry(entry: Json, number: int, context: Context) -> Entry:
    """The entry as a Call, by the same grammar as a request over HTTP; FhirError names the entry's part."""
    place = f"Bundle.entry[{number}]"
    request = entry.get("request")
    if not isinstance(request, dict):
        raise errors.required(
            "Every entry needs a request with method and url (bdl-3)", f"{place}.request"
        )
    method, url = request.get("method"), request.get("url")
    if method not in _METHODS:
        raise errors.invalid(
            f"request.method must be one of {', '.join(_METHODS)}", f"{place}.request.method"
        )
    if not isinstance(url, str) or not url:
        raise errors.required(
            "request.url is missing; write it relative to the base", f"{place}.request.url"
        )
    path, query = parse_url(_relative(url, place, context))
    resource = entry.get("resource")
    if resource is not None and not isinstance(resource, dict):
        raise errors.malformed("resource must be an object", f"{place}.resource")
    if resource is None and method in ("POST", "PUT", "PATCH"):
        raise errors.required(f"A {method} entry needs a resource", f"{place}.resource")
    conditions = Conditions(
        *(
            _text(request, name, place)
            for name in ("ifMatch", "ifNoneMatch", "ifModifiedSince", "ifNoneExist")
        )
    )
    if path.endswith("_search") and method == "POST":
        raise errors.not_supported("Search by GET inside a Bundle", f"{place}.request")
    try:
        call = parse_call(Request(method, path, query, conditions, resource))
    except FhirError as refusal:
        raise placed(refusal, number) from None
    full_url = entry.get("fullUrl")
    _check_full_url(full_url, resource, f"{place}.fullUrl")
    return Entry(number, full_url, call)


def _relative(url: str, place: str, context: Context) -> str:
    for base in context.policy.base_urls:
        if url.startswith(base + "/"):
            return url[len(base) + 1 :]
    if "://" in url.partition("?")[0] or url.startswith("//"):
        raise errors.invalid(
            "request.url names another server; write it relative to the base",
            f"{place}.request.url",
        )
    return url.removeprefix("/")


def _text(request: Json, name: str, place: str) -> str | None:
    value = request.get(name)
    if value is None or isinstance(value, str):
        return value
    raise errors.malformed(f"request.{name} must be a string", f"{place}.request.{name}")


def _check_full_url(full_url: str | None, resource: Json | None, where: str) -> None:
    """A RESTful fullUrl ends with the resource's id (https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl)."""
    if full_url is None or resource is None or not full_url.startswith(("http://", "https://")):
        return
    found = resource.get("id")
    if found is not None and not full_url.endswith(f"/{found}"):
        raise errors.invalid(f"fullUrl must end with the resource's id, '{found}'", where)


def placed(refusal: FhirError, number: int) -> FhirError:
    """The refusal with its issues placed in that entry, at its resource where they name an element of it."""
    place = f"Bundle.entry[{number}]"
    issues = tuple(
        issue if any(item.startswith("Bundle.entry[") for item in issue.expression)
        else issue.under(f"{place}.resource" if issue.expression else place)
        for issue in refusal.issues
    )  # fmt: skip
    return FhirError(refusal.status, issues, refusal.headers)


def response_entry(entry_result: Result, context: Context, *, with_body: bool) -> Json:
    """The entry of the response Bundle for one result."""
    shown: Json = {}
    if entry_result.body is not None and with_body:
        shown["resource"] = orjson.Fragment(entry_result.body)
        if entry_result.location is not None:
            shown = {
                "fullUrl": f"{context.base_url}/{entry_result.location.partition('/_history/')[0]}"
            } | shown
    response: Json = {"status": status_line(entry_result.status)}
    if entry_result.location is not None:
        response["location"] = f"{context.base_url}/{entry_result.location}"
    if entry_result.version_id is not None:
        response["etag"] = write_etag(entry_result.version_id)
    if entry_result.last_updated is not None:
        response["lastModified"] = write_instant(entry_result.last_updated)
    if entry_result.issues:
        response["outcome"] = outcome(entry_result.issues)
    shown["response"] = response
    return shown


def refusal_entry(refusal: FhirError) -> Json:
    """The entry of a batch response for a request that was refused."""
    return {"response": {"status": status_line(refusal.status), "outcome": outcome(refusal.issues)}}


def status_line(status: int) -> str:
    """ "201 Created"."""
    return f"{status} {HTTPStatus(status).phrase}"


def response_bundle(kind: str, shown: list[Json], context: Context) -> Result:
    """200 with a Bundle of type batch-response or transaction-response."""
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id(), "type": kind}
    bundle["link"] = [{"relation": "self", "url": context.base_url}]
    if shown:
        bundle["entry"] = shown
    return Result(200, serialise(bundle))
