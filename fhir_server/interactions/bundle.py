"""What batch and transaction share: entries become requests, results become response entries.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import re
from functools import lru_cache
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

from fhir_server import validation
from fhir_server.interactions.call import (
    Call,
    Conditions,
    Context,
    Operation,
    Request,
    Result,
)
from fhir_server.interactions.grammar import parse_call, parse_url
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.preconditions import write_etag
from fhir_server.spec import errors
from fhir_server.spec.dates import interval
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import FhirError
from fhir_server.spec.instants import write_http_date, write_instant
from fhir_server.spec.json_format import serialise
from fhir_server.validation.issues import is_shape
from fhir_server.validation.primitives import is_uri

Json = dict[str, Any]
Identity = tuple[str, str]

RESTFUL = re.compile(r"(https?://.*)/([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
# In the place of an entry that is only a resource: that its request is missing is told with the entry.
_UNTOLD = {"request": {"method": "GET", "url": "/"}}
# What most request Bundles have: their shape is known without the validator.
_PLAIN = frozenset({"resourceType", "type", "entry"})
_TYPES = ("batch", "transaction")
_PLAIN_ENTRY = frozenset({"fullUrl", "resource", "request"})
_PLAIN_REQUEST = frozenset({"method", "url"})
_UNCONDITIONAL = Conditions()
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


class Entry(NamedTuple):
    """One entry of a request Bundle: its place, what it calls itself, and what it asks for.

    identity: in a transaction the (type, id) that the entry changes; until criteria are resolved, what stands for it.
    """

    number: int
    full_url: str | None
    method: str
    call: Call
    identity: Identity | None = None

    @property
    def place(self) -> str:
        return f"Bundle.entry[{self.number}]"

    def changed(self, call: Call, identity: Identity | None) -> Entry:
        """The same entry with another call or identity."""
        if call is self.call and identity == self.identity:
            return self
        return Entry(self.number, self.full_url, self.method, call, identity)


def entries(bundle: Json, context: Context) -> list[Json]:
    """The entries of a request Bundle.

    Raises FhirError 400 when the Bundle itself cannot be a request: no FHIR around the resources, total, search or
    response present (bdl-1 to bdl-4), one fullUrl twice (bdl-7), a versioned fullUrl (bdl-8); 413 when it has too
    many entries.
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
    _check_shape(bundle, found)
    seen: set[tuple[str, Any]] = set()
    for number, entry in enumerate(found):
        _check_entry(entry, f"Bundle.entry[{number}]", seen)
    return found


def _check_shape(bundle: Json, found: list[Json]) -> None:
    """Refuse what is no FHIR around the resources, which are each checked with their own entry."""
    if found and bundle.keys() == _PLAIN and bundle["type"] in _TYPES and all(map(_plain, found)):
        return
    bare = [
        {name: value for name, value in entry.items() if name != "resource"} or _UNTOLD
        for entry in found
    ]
    issues = validation.validate(
        bundle | {"entry": bare} if bare else bundle, resource_type="Bundle"
    )
    wrong = tuple(issue for issue in issues if is_shape(issue))
    if wrong:
        raise FhirError(400, wrong)


def _plain(entry: Json) -> bool:
    """Whether it has nothing around its resource but what most have, and in the right shape."""
    request = entry.get("request")
    return (
        request.__class__ is dict
        and request.keys() == _PLAIN_REQUEST
        and request["method"] in _METHODS
        and is_uri(request["url"])
        and ("fullUrl" not in entry or is_uri(entry["fullUrl"]))
        and entry.keys() <= _PLAIN_ENTRY
    )


def _check_entry(entry: Json, place: str, seen: set[tuple[str, Any]]) -> None:
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
    if "/_history/" in full_url:
        raise errors.invalid(
            "fullUrl must not name a version; take /_history/... out (bdl-8)", where
        )
    named = (full_url, _version_sent(entry))
    if named in seen:
        raise errors.invalid("Two entries have this fullUrl; give each its own (bdl-7)", where)
    seen.add(named)


def _version_sent(entry: Json) -> str | None:
    match entry.get("resource"):
        case {"meta": {"versionId": str(version_id)}}:
            return version_id
    return None


def parse_entry(entry: Json, number: int, context: Context) -> Entry:
    """The entry as a Call, by the same grammar as a request over HTTP; FhirError names the entry's part."""
    place = f"Bundle.entry[{number}]"
    request = entry.get("request")
    if request is None:
        raise errors.required(
            "Every entry needs a request with method and url (bdl-3)", f"{place}.request"
        )
    method, url = request.get("method"), request.get("url")
    if method not in _METHODS:
        raise errors.invalid(
            f"request.method must be one of {', '.join(_METHODS)}", f"{place}.request.method"
        )
    if not url:
        raise errors.required(
            "request.url is missing; write it relative to the base", f"{place}.request.url"
        )
    try:
        path, query = parse_url(_relative(url, context))
    except FhirError as refusal:
        raise refusal.under(f"{place}.request.url") from None
    resource = entry.get("resource")
    if resource is not None and not isinstance(resource, dict):
        raise errors.malformed("resource must be an object", f"{place}.resource")
    if resource is None and method in ("POST", "PUT", "PATCH") and "$" not in path:
        raise errors.required(f"A {method} entry needs a resource", f"{place}.resource")
    if path.endswith("_search") and method == "POST":
        raise errors.not_supported("Search by GET inside a Bundle", f"{place}.request")
    conditions = _conditions(request, place)
    try:
        call = parse_call(Request(method, path, query, conditions, resource))
    except FhirError as refusal:
        raise placed(refusal, number) from None
    full_url = entry.get("fullUrl")
    _check_full_url(full_url, resource, place)
    return Entry(number, full_url, method, call)


def _relative(url: str, context: Context) -> str:
    for base in context.policy.base_urls if "://" in url else ():
        if url.startswith(base + "/"):
            return url[len(base) + 1 :]
    if "://" in url.partition("?")[0] or url.startswith("//"):
        raise errors.invalid("request.url names another server; write it relative to the base")
    return url.removeprefix("/")


def _conditions(request: Json, place: str) -> Conditions:
    if request.keys() == _PLAIN_REQUEST:
        return _UNCONDITIONAL
    since = request.get("ifModifiedSince")
    if since is not None:
        try:
            # An instant here, a date of HTTP in the header: the rules are written for the header.
            since = write_http_date(interval(since)[0])
        except ValueError:
            raise errors.invalid(
                "Write an instant, as 2026-03-01T10:00:00Z", f"{place}.request.ifModifiedSince"
            ) from None
    return Conditions(
        request.get("ifMatch"), request.get("ifNoneMatch"), since, request.get("ifNoneExist")
    )


def _check_full_url(full_url: str | None, resource: Json | None, place: str) -> None:
    """A RESTful fullUrl ends with the resource's id (https://hl7.org/fhir/R4/bundle-definitions.html#Bundle.entry.fullUrl)."""
    restful = RESTFUL.fullmatch(full_url or "")
    if restful is None or resource is None or not is_resource_type(restful[2]):
        return
    found = resource.get("id")
    if found is not None and restful[3] != found:
        raise errors.invalid(
            f"fullUrl must end with the resource's id, '{found}'", f"{place}.fullUrl"
        )


def placed(refusal: FhirError, number: int) -> FhirError:
    """The refusal with its issues placed in that entry, at its resource where they name an element of it."""
    place = f"Bundle.entry[{number}]"
    issues = tuple(
        issue.under(f"{place}.resource" if issue.expression else place) for issue in refusal.issues
    )
    return FhirError(refusal.status, issues, refusal.headers)


def response_entry(entry: Entry, result: Result, context: Context, *, with_body: bool) -> Json:
    """The entry of the response Bundle for one result; with_body: whether to show what a change has stored."""
    shown: Json = {}
    wanted = entry.method == "GET" or (
        entry.method != "HEAD" and (with_body or not _changes(entry))
    )
    location = result.location
    if result.body is not None and wanted:
        if location is not None:
            shown["fullUrl"] = f"{context.base_url}/{location.partition('/_history/')[0]}"
        shown["resource"] = orjson.Fragment(result.body)
    response: Json = {"status": _status_line(result.status)}
    if location is not None:
        response["location"] = f"{context.base_url}/{location}"
    if result.version_id is not None:
        response["etag"] = write_etag(result.version_id)
    elif result.etag is not None:
        response["etag"] = result.etag
    if result.last_updated is not None:
        response["lastModified"] = write_instant(result.last_updated)
    if result.issues:
        response["outcome"] = outcome(result.issues)
    shown["response"] = response
    return shown


def _changes(entry: Entry) -> bool:
    return not isinstance(entry.call, Operation)


def refusal_entry(refusal: FhirError) -> Json:
    """The entry of a batch response for a request that was refused."""
    return {
        "response": {"status": _status_line(refusal.status), "outcome": outcome(refusal.issues)}
    }


@lru_cache(maxsize=64)
def _status_line(status: int) -> str:
    """ "201 Created"."""
    return f"{status} {HTTPStatus(status).phrase}"


def response_bundle(kind: str, shown: list[Json], context: Context) -> Result:
    """200 with a Bundle of type batch-response or transaction-response."""
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id(), "type": kind}
    bundle["link"] = [{"relation": "self", "url": context.base_url}]
    if shown:
        bundle["entry"] = shown
    return Result(200, serialise(bundle))
