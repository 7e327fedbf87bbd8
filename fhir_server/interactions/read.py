"""Read and version read (https://hl7.org/fhir/R4/http.html#read, https://hl7.org/fhir/R4/http.html#vread)."""

from __future__ import annotations

from fhir_server.interactions.call import Parameters, Read, Result, VersionRead
from fhir_server.interactions.preconditions import not_modified
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.subset import select_elements, summarise
from fhir_server.store.contract import ReadTransaction, StoredVersion

SHAPES = ("_summary", "_elements")


def read(call: Read, transaction: ReadTransaction) -> Result:
    """The current version: 200, or 304 for a conditional read; FhirError 404 or 410."""
    transaction.alone()
    version = transaction.current(call.resource_type, call.logical_id)
    if version is None:
        raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
    if version.deleted:
        raise errors.gone(f"{call.resource_type}/{call.logical_id} was deleted")
    return _answer(version, call)


def read_version(call: VersionRead, transaction: ReadTransaction) -> Result:
    """One version: 200, or 304; FhirError 404, or 410 when that version is the deletion."""
    name = f"{call.resource_type}/{call.logical_id}/_history/{call.version_id[:64]}"
    number = int(call.version_id) if _is_number(call.version_id) else 0
    transaction.alone()
    version = transaction.version(call.resource_type, call.logical_id, number) if number else None
    if version is None:
        raise errors.not_found(f"There is no {name}")
    if version.deleted:
        raise errors.gone(f"{name} is the deletion of the resource")
    return _answer(version, call)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 10 and not text.startswith("0")


def _answer(version: StoredVersion, call: Read | VersionRead) -> Result:
    if not_modified(call.conditions, version):
        return Result(304, None, version.version_id, version.last_updated)
    body = shape(version.body, call.parameters) if call.parameters else version.body
    return Result(200, body, version.version_id, version.last_updated)


def shape(body: bytes, parameters: Parameters) -> bytes:
    """The resource as _summary or _elements ask for it (https://hl7.org/fhir/R4/search.html#summary).

    Raises FhirError 400 for another parameter or value.
    """
    for name, value in parameters:
        if name in ("_format", "_pretty") or not value:
            continue
        if name == "_elements":
            body = serialise(select_elements(parse(body), value.split(",")))
        elif name == "_summary":
            body = summary(body, value)
        else:
            raise errors.not_supported(f"A read takes no parameter '{name[:64]}'")
    return body


def summary(body: bytes, mode: str) -> bytes:
    """The resource in a _summary mode; "false" is the whole, "count" makes no sense for one resource."""
    match mode:
        case "false":
            return body
        case "true" | "text" | "data":
            return serialise(summarise(parse(body), mode))
    raise errors.invalid(f"_summary is '{mode[:64]}'; use true, text, data or false")
