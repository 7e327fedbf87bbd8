"""$validate: what would be wrong with a resource, without storing it.

https://hl7.org/fhir/R4/resource-operation-validate.html
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.interactions import integrity
from fhir_server.interactions.call import Context, Operation
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.write import refuse_criteria, refuse_subset
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.standard import Output
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction
from fhir_server.validation.issues import is_shape

Json = dict[str, Any]
_MODES = ("create", "update", "delete")


def validate(call: Operation, inputs: Inputs, context: Context, transaction: Transaction) -> Output:
    """An OperationOutcome whether the resource is valid or not; FhirError 4xx only if that cannot be told."""
    resource, mode, profile = (
        next(iter(inputs[name]), None) for name in ("resource", "mode", "profile")
    )
    if mode is not None and mode not in _MODES:
        raise errors.invalid(f"mode is '{mode[:64]}'; use {', '.join(_MODES)}")
    stored = _stored(call, transaction)
    if mode == "delete":
        return _told(_against_deletion(stored, context, transaction))
    if resource is None:
        if stored is None:
            raise errors.required("Send the resource to validate", "Parameters.parameter")
        resource = parse_stored(stored.body)
    issues = context.profiles.explain(
        resource, transaction, resource_type=call.resource_type, profile=profile
    )
    if not any(is_shape(issue) for issue in issues):
        issues += _against_mode(call, resource, mode)
    return _told(issues)


def _stored(call: Operation, transaction: ReadTransaction) -> StoredVersion | None:
    """The instance that the operation was asked of; None at the type level."""
    if call.resource_type is None or call.logical_id is None:
        return None
    version = transaction.current(call.resource_type, call.logical_id)
    if version is None or version.deleted:
        raise errors.not_found(f"There is no {call.resource_type}/{call.logical_id}")
    return version


def _against_deletion(
    stored: StoredVersion | None, context: Context, transaction: ReadTransaction
) -> tuple[Issue, ...]:
    if stored is None:
        raise errors.required("mode delete is asked of an instance: [type]/[id]/$validate")
    if not context.policy.referential_integrity:
        return ()
    return _refused(
        lambda: integrity.check_referrers(stored.resource_type, stored.logical_id, transaction)
    )


def _against_mode(call: Operation, resource: Json, mode: str | None) -> tuple[Issue, ...]:
    """What the interaction would refuse besides what is not valid."""
    if mode is None:
        return ()
    found = _refused(lambda: refuse_criteria(resource))
    if mode == "update":
        found += _refused(lambda: refuse_subset(resource))
        if call.logical_id is not None and resource.get("id") != call.logical_id:
            told = f"An update needs the id '{call.logical_id}' in the resource"
            found += (Issue("error", "invalid", told, (f"{call.resource_type}.id",)),)
    return found


def _refused(check: Callable[[], None]) -> tuple[Issue, ...]:
    try:
        check()
    except FhirError as refusal:
        return refusal.issues
    return ()


def _told(issues: tuple[Issue, ...]) -> Output:
    if not issues:
        issues = (Issue("information", "informational", "The resource is valid"),)
    return Output(outcome(issues))
