"""Patch in its three languages, by id or by criteria (https://hl7.org/fhir/R4/http.html#patch)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath.patch import apply_fhirpath_patch
from fhir_server.interactions.call import (
    ConditionalPatch,
    Context,
    Patch,
    PatchDocument,
    Result,
)
from fhir_server.interactions.matching import single
from fhir_server.interactions.preconditions import check_if_match
from fhir_server.interactions.write import Write, check, store, written
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse
from fhir_server.spec.json_patch import apply_json_patch
from fhir_server.spec.xml_patch import apply_xml_patch
from fhir_server.store.contract import Transaction

Json = dict[str, Any]


def patch(call: Patch, context: Context, transaction: Transaction) -> Result:
    """200 with the next version; the result is validated like an update."""
    transaction.lock([(call.resource_type, call.logical_id)])
    previous = transaction.current(call.resource_type, call.logical_id)
    if previous is None:
        raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
    if previous.deleted:
        raise errors.gone(f"{call.resource_type}/{call.logical_id} was deleted")
    check_if_match(call.conditions, previous, context)
    before = parse(previous.body)
    after = apply(call.document, before)
    for name in ("resourceType", "id"):
        if after.get(name) != before[name]:
            raise errors.unprocessable(
                errors.Issue(
                    "error",
                    "business-rule",
                    f"A patch may not change {name}",
                    (f"{call.resource_type}.{name}",),
                )
            )
    if after.get("text") == before.get("text") and _generated(before) and _changed(before, after):
        # The narrative was made from data that is no longer so: unsafe to keep, optional to have.
        after = {name: value for name, value in after.items() if name != "text"}
    check(after, call.resource_type, context)
    write = Write("PATCH", call.resource_type, call.logical_id, previous)
    return written(store(write, after, context, transaction))


def apply(document: PatchDocument, resource: Json) -> Json:
    """A new resource: the old one with the patch applied."""
    match document.language:
        case "json-patch":
            return apply_json_patch(resource, document.content)
        case "xml-patch":
            return apply_xml_patch(resource, document.content)
        case "fhirpath-patch":
            return apply_fhirpath_patch(resource, document.content)


def _generated(resource: Json) -> bool:
    text = resource.get("text")
    return isinstance(text, dict) and text.get("status") in ("generated", "extensions")


def _changed(before: Json, after: Json) -> bool:
    names = (before.keys() | after.keys()) - {"text", "meta", "id"}
    return any(before.get(name) != after.get(name) for name in names)


def conditional_patch(call: ConditionalPatch, context: Context, transaction: Transaction) -> Result:
    """Patch the one resource that the criteria match; 404 when none does, 412 when several do."""
    transaction.lock([(call.resource_type, "")])
    found = single(call.resource_type, call.criteria, context, transaction)
    if found is None:
        raise errors.not_found(f"No {call.resource_type} matches the criteria")
    target = Patch(call.resource_type, found.logical_id, call.document, call.conditions)
    return patch(target, context, transaction)
