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
from fhir_server.interactions.matching import single_held
from fhir_server.interactions.preconditions import check_if_match
from fhir_server.interactions.rights import check_reach
from fhir_server.interactions.write import Write, check, refuse_criteria, store, written
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.spec.json_patch import apply_json_patch
from fhir_server.spec.xml_patch import apply_xml_patch
from fhir_server.store.contract import StoredVersion, Transaction

Json = dict[str, Any]


def patch(call: Patch, context: Context, transaction: Transaction) -> Result:
    """200 with the next version; the result is validated like an update."""
    transaction.lock([(call.resource_type, call.logical_id)])
    check_reach(call.resource_type, call.logical_id, context, transaction)
    previous = transaction.current(call.resource_type, call.logical_id)
    if previous is None:
        raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
    if previous.deleted:
        raise errors.gone(f"{call.resource_type}/{call.logical_id} was deleted")
    check_if_match(call.conditions, previous, context)
    before = parse_stored(previous.body)
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
    after = _with_safe_narrative(before, after)
    check(after, call.resource_type, context)
    refuse_criteria(after)
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


def _with_safe_narrative(before: Json, after: Json) -> Json:
    """The patched resource without a narrative that tells what is no longer so.

    A narrative that says no more than the data (generated, extensions) is removed when only the data changed: it can
    be made again. One that says more (additional) is neither dropped nor left stale: FhirError 422 unless the patch
    changes it, too. https://hl7.org/fhir/R4/http.html#patch
    """
    text = before.get("text")
    if not isinstance(text, dict) or after.get("text") != text or not _changed(before, after):
        return after
    match text.get("status"):
        case "generated" | "extensions":
            return {name: value for name, value in after.items() if name != "text"}
        case "additional":
            raise errors.unprocessable(
                errors.Issue(
                    "error",
                    "business-rule",
                    "The narrative says more than the data (its status is additional), so that it may not be left as it"
                    " is when they change; patch text as well",
                    (f"{before['resourceType']}.text",),
                )
            )
    return after


def _changed(before: Json, after: Json) -> bool:
    names = (before.keys() | after.keys()) - {"text", "meta", "id"}
    return any(before.get(name) != after.get(name) for name in names)


def conditional_patch(call: ConditionalPatch, context: Context, transaction: Transaction) -> Result:
    """Patch the one resource that the criteria match; 404 when none does, 412 when several do."""
    transaction.lock([(call.resource_type, "")])
    found = single_held(call.resource_type, call.criteria, context, transaction)
    return patch(patch_target(call, found), context, transaction)


def patch_target(call: ConditionalPatch, found: StoredVersion | None) -> Patch:
    """What a conditional patch comes to when its criteria match that resource; FhirError 404 for none."""
    if found is None:
        raise errors.not_found(f"No {call.resource_type} matches the criteria")
    return Patch(call.resource_type, found.logical_id, call.document, call.conditions)
