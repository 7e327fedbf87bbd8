"""The path grammar of the RESTful API: a request becomes a Call, for HTTP and for Bundle entries alike.

https://hl7.org/fhir/R4/http.html#3.1.0.1.2
"""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import unquote, unquote_to_bytes

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Call, Parameters, PatchDocument, Request
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.json_format import parse

LOGICAL_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_RESULT_ONLY = frozenset({"_format", "_pretty"})
_MAXIMUM_PARAMETERS = 1000


def parse_query(text: str) -> Parameters:
    """Name and value pairs of a query string or form, percent-decoded as UTF-8.

    Raises FhirError 400 for bytes that are not UTF-8, NUL, or more than 1,000 parameters.
    """
    if text.count("&") >= _MAXIMUM_PARAMETERS:
        raise errors.too_costly(f"The query has more than {_MAXIMUM_PARAMETERS:,} parameters")
    pairs = [part.partition("=") for part in text.split("&") if part]
    if "%" not in text and "+" not in text and "\x00" not in text:
        return tuple([(name, value) for name, _, value in pairs])
    try:
        decoded = tuple([(_decoded(name), _decoded(value)) for name, _, value in pairs])
    except UnicodeDecodeError:
        raise errors.invalid("The query is not percent-encoded UTF-8") from None
    for name, value in decoded:
        if "\x00" in name or "\x00" in value:
            raise errors.invalid(f"The parameter '{name[:64]!a}' holds NUL; take it out")
    return decoded


def _decoded(text: str) -> str:
    spaced = text.replace("+", " ")
    return unquote_to_bytes(spaced).decode() if "%" in spaced else spaced


def parse_url(url: str) -> tuple[str, Parameters]:
    """The path and the parameters of a url below the base."""
    path, _, query = url.partition("?")
    return path, parse_query(query) if query else ()


def parse_if_none_exist(resource_type: str, text: str) -> Parameters:
    """The criteria of a conditional create: a query, which may stand behind "?" or "Patient?" of its type."""
    for prefix in (f"{resource_type}?", "?"):
        if text.startswith(prefix):
            return parse_query(text.removeprefix(prefix))
    return parse_query(text)


def valid_id(logical_id: str) -> bool:
    """Whether it is a logical id: the id datatype, but neither "." nor "..", which are paths."""
    return LOGICAL_ID.fullmatch(logical_id) is not None and logical_id not in (".", "..")


def _segments(path: str) -> list[str]:
    parts = path.removesuffix("/").split("/") if path else []
    if "%" in path:
        try:
            parts = [unquote(part, errors="strict") for part in parts]
        except UnicodeDecodeError:
            raise errors.not_found("The path is not percent-encoded UTF-8") from None
    return [] if parts == [""] else parts


def parse_call(request: Request) -> Call:
    """The interaction that a request asks for.

    Raises FhirError 404 for an unknown path or type, 405 with Allow for a known path with another method, 400 when
    the body that the interaction needs is missing or of another type, or a Provenance has nothing to be about.
    """
    call = _call(request)
    return call if request.provenance is None else _attributed(call, request.provenance)


def _attributed(call: Call, provenance: calls.Json) -> Call:
    match call:
        case calls.Create() | calls.Update() | calls.ConditionalUpdate():
            pass
        case calls.Patch() | calls.ConditionalPatch():
            pass
        case _:
            raise errors.not_supported(
                "X-Provenance goes with the create, update or patch of one resource;"
                " here, send the Provenance as a resource of its own"
            )
    return calls.Attributed(call, provenance)


def _call(request: Request) -> Call:
    parts = _segments(request.path)
    head = parts[0] if parts else ""
    if not parts or head in ("metadata", "_history", "_search") or head.startswith("$"):
        return _system(request, parts)
    if not is_resource_type(head):
        raise errors.not_found(f"R4 has no resource type '{head[:64]}' (names are case sensitive)")
    match parts[1:]:
        case []:
            return _type(request, head)
        case ["_search"]:
            _allow(request, "POST")
            return calls.Search(head, request.query)
        case ["_history"]:
            _allow(request, "GET, HEAD")
            return calls.History(head, None, request.query)
        case [operation] if operation.startswith("$"):
            return _operation(request, operation, head, None)
        case [logical_id]:
            return _instance(request, head, logical_id)
        case [logical_id, *rest]:
            return _below_instance(request, head, logical_id, rest)
    raise _unknown_path(request)


def check_address(request: Request) -> None:
    """FhirError 404 or 405 when the path or the method is wrong, whatever the body is."""
    try:
        parse_call(request)
    except errors.FhirError as refusal:
        if refusal.status in (404, 405):
            raise


def _unknown_path(request: Request) -> errors.FhirError:
    return errors.not_found(f"There is nothing at '{request.path[:200]}' below the base")


def _allow(request: Request, methods: str) -> None:
    if request.method not in methods.split(", "):
        raise errors.method_not_allowed(
            f"{request.method} is not offered here; use {methods.replace(', ', ' or ')}", methods
        )


def _system(request: Request, parts: list[str]) -> Call:
    match parts:
        case []:
            _allow(request, "GET, HEAD, POST")
            return (
                _bundle(request) if request.method == "POST" else calls.Search(None, request.query)
            )
        case ["metadata"]:
            _allow(request, "GET, HEAD")
            return calls.Capabilities(request.query, request.conditions)
        case ["_history"]:
            _allow(request, "GET, HEAD")
            return calls.History(None, None, request.query)
        case ["_search"]:
            _allow(request, "POST")
            return calls.Search(None, request.query)
        case [operation] if operation.startswith("$"):
            return _operation(request, operation, None, None)
    raise _unknown_path(request)


def _bundle(request: Request) -> Call:
    body = request.body
    if not isinstance(body, dict) or body.get("resourceType") != "Bundle":
        raise errors.malformed("Send a Bundle of type batch or transaction to the base", "Bundle")
    match body.get("type"):
        case "batch":
            return calls.Batch(body)
        case "transaction":
            return calls.Transaction(body)
        case other:
            raise errors.not_supported(
                f"Bundle.type is {other!r}; the base takes batch and transaction", "Bundle.type"
            )


def _type(request: Request, resource_type: str) -> Call:
    _allow(request, "GET, HEAD, POST, PUT, PATCH, DELETE")
    criteria = request.query and tuple(
        item for item in request.query if item[0] not in _RESULT_ONLY
    )
    if request.method in ("PUT", "PATCH", "DELETE") and not criteria:
        raise errors.required(
            f"{request.method} without an id needs search criteria: {resource_type}?identifier=..."
        )
    match request.method:
        case "POST":
            exists = request.conditions.if_none_exist
            return calls.Create(resource_type, _resource(request, resource_type), exists)
        case "PUT":
            resource = _resource(request, resource_type)
            return calls.ConditionalUpdate(resource_type, criteria, resource, request.conditions)
        case "PATCH":
            return calls.ConditionalPatch(
                resource_type, criteria, _document(request, resource_type), request.conditions
            )
        case "DELETE":
            return calls.ConditionalDelete(resource_type, criteria, request.conditions)
    return calls.Search(resource_type, request.query)


def _instance(request: Request, resource_type: str, logical_id: str) -> Call:
    _allow(request, "GET, HEAD, PUT, PATCH, DELETE")
    if not valid_id(logical_id):
        if request.method == "PUT":
            raise errors.invalid(
                "The id in the URL must be 1 to 64 of the characters A-Z a-z 0-9 - .",
                f"{resource_type}.id",
            )
        raise errors.not_found(f"No {resource_type} can have that id: it breaks the rules of ids")
    match request.method:
        case "PUT":
            resource = _resource(request, resource_type)
            return calls.Update(resource_type, logical_id, resource, request.conditions)
        case "PATCH":
            document = _document(request, resource_type)
            return calls.Patch(resource_type, logical_id, document, request.conditions)
        case "DELETE":
            return calls.Delete(resource_type, logical_id, request.conditions)
    return calls.Read(resource_type, logical_id, request.conditions, request.query)


def _below_instance(request: Request, resource_type: str, logical_id: str, rest: list[str]) -> Call:
    if not valid_id(logical_id):
        raise errors.not_found(f"No {resource_type} can have that id: it breaks the rules of ids")
    match rest:
        case ["_history"]:
            _allow(request, "GET, HEAD")
            return calls.History(resource_type, logical_id, request.query)
        case ["_history", version_id]:
            _allow(request, "GET, HEAD")
            return calls.VersionRead(
                resource_type, logical_id, version_id, request.conditions, request.query
            )
        case [operation] if operation.startswith("$"):
            return _operation(request, operation, resource_type, logical_id)
        case [member] if member == "*" or is_resource_type(member):
            _allow(request, "GET, HEAD")
            focus = (resource_type, logical_id)
            return calls.Search(None if member == "*" else member, request.query, focus)
    raise _unknown_path(request)


def _operation(
    request: Request, code: str, resource_type: str | None, logical_id: str | None
) -> calls.Operation:
    _allow(request, "GET, HEAD, POST")
    body = request.body
    if isinstance(body, PatchDocument):
        raise errors.malformed("An operation takes a Parameters resource, not a patch")
    return calls.Operation(
        code.removeprefix("$"), request.method, resource_type, logical_id, request.query, body
    )


def _resource(request: Request, resource_type: str) -> calls.Json:
    body = request.body
    if body is None:
        raise errors.malformed(f"The body is empty; send a {resource_type}")
    if not isinstance(body, dict):
        raise errors.malformed(f"The body is not a resource; send a {resource_type} as an object")
    found = body.get("resourceType")
    if found != resource_type:
        named = f"'{found}'" if isinstance(found, str) else "missing"
        raise errors.malformed(
            f"resourceType is {named}, but the URL says {resource_type}; send one as the other",
            f"{resource_type}",
        )
    return body


def _document(request: Request, resource_type: str) -> PatchDocument:
    if resource_type == "Binary":
        raise errors.method_not_allowed(
            "A Binary cannot be patched; update it", "GET, HEAD, PUT, DELETE"
        )
    body = request.body
    if isinstance(body, PatchDocument):
        return body
    if isinstance(body, dict) and body.get("resourceType") == "Parameters":
        return PatchDocument("fhirpath-patch", body)
    if isinstance(body, dict) and body.get("resourceType") == "Binary":
        return _patch_in_binary(body)
    raise errors.malformed(
        "The body of a PATCH is a JSON Patch, an XML Patch or a Parameters resource"
    )


def _patch_in_binary(binary: calls.Json) -> PatchDocument:
    """A Bundle entry carries a JSON Patch or XML Patch as a Binary (https://hl7.org/fhir/R4/http.html#patch)."""
    try:
        content = base64.b64decode(binary.get("data", ""), validate=True)
    except (binascii.Error, TypeError, ValueError):
        raise errors.malformed("Binary.data is not base64", "Binary.data") from None
    match binary.get("contentType"):
        case "application/json-patch+json":
            return PatchDocument("json-patch", parse(content))
        case "application/xml-patch+xml":
            return PatchDocument("xml-patch", content)
    raise errors.malformed(
        "Binary.contentType must be application/json-patch+json or application/xml-patch+xml",
        "Binary.contentType",
    )
