"""Create, update and delete, with their conditional forms (https://hl7.org/fhir/R4/http.html#create)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fhir_server.interactions.call import (
    ConditionalDelete,
    ConditionalUpdate,
    Conditions,
    Context,
    Create,
    Delete,
    Result,
    Update,
)
from fhir_server.interactions.grammar import parse_if_none_exist, valid_id
from fhir_server.interactions.matching import matches, single, single_held
from fhir_server.interactions.preconditions import (
    check_if_match,
    check_if_none_match,
    version_mismatch,
)
from fhir_server.interactions.rights import check_reach
from fhir_server.interactions.rules import lock
from fhir_server.interactions.write import Write, existing, remove, store, written
from fhir_server.spec import errors
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]


def create(call: Create, context: Context, transaction: Transaction) -> Result:
    """201 with a new id; with If-None-Exist 200 and the existing resource when one matches, 412 when several do."""
    if call.if_none_exist is not None:
        transaction.lock([(call.resource_type, "")])
        criteria = parse_if_none_exist(call.resource_type, call.if_none_exist)
        found = single(call.resource_type, criteria, context, transaction)
        if found is not None:
            return existing(found)
    write = Write("POST", call.resource_type, call.logical_id or context.new_id(), None)
    if call.logical_id is None:
        transaction.unused([(write.resource_type, write.logical_id)])
    return written(store(write, call.resource, context, transaction))


def update(call: Update, context: Context, transaction: Transaction) -> Result:
    """200 with the next version, or 201 when the id is new (where the deployment allows) or was deleted."""
    found = call.resource.get("id")
    if found != call.logical_id:
        told = f"'{found}'" if found is not None else "missing"
        raise errors.invalid(
            f"The id in the body is {told}; it must be '{call.logical_id}' as in the URL",
            f"{call.resource_type}.id",
        )
    _lock(call, call.resource, context, transaction)
    check_reach(call.resource_type, call.logical_id, context, transaction, restores=True)
    previous = transaction.current(call.resource_type, call.logical_id)
    check_if_match(call.conditions, previous, context)
    check_if_none_match(call.conditions, previous)
    if previous is None and not context.policy.update_create:
        raise errors.method_not_allowed(
            f"There is no {call.resource_type}/{call.logical_id}, and this server chooses ids; POST it",
            "GET, HEAD",
        )
    write = Write("PUT", call.resource_type, call.logical_id, previous)
    return written(store(write, call.resource, context, transaction))


def conditional_update(
    call: ConditionalUpdate, context: Context, transaction: Transaction
) -> Result:
    """Update what the criteria match; create when nothing does; 412 when several do (http.html#cond-update)."""
    transaction.lock([(call.resource_type, "")])
    found = single_held(call.resource_type, call.criteria, context, transaction)
    target = conditional_target(call, found, transaction)
    if isinstance(target, Create):
        return create(target, context, transaction)
    return update(target, context, transaction)


def conditional_target(
    call: ConditionalUpdate, found: StoredVersion | None, transaction: ReadTransaction
) -> Create | Update:
    """What a conditional update comes to when its criteria match that resource, or none.

    Raises FhirError 400 when the id sent is another one, 409 when it belongs to a resource that does not match,
    412 when If-Match was sent and nothing matches.
    """
    sent = call.resource.get("id")
    if found is not None:
        if sent not in (None, found.logical_id):
            raise errors.invalid(
                f"The criteria match {call.resource_type}/{found.logical_id}, but the body's id is '{sent}'",
                f"{call.resource_type}.id",
            )
        identified = call.resource | {"id": found.logical_id}
        return Update(call.resource_type, found.logical_id, identified, call.conditions)
    if call.conditions.if_match is not None:
        raise version_mismatch("If-Match was sent, but nothing matches the criteria")
    if sent is None:
        return Create(call.resource_type, call.resource, logical_id=call.new_id)
    if not (isinstance(sent, str) and valid_id(sent)):
        raise errors.invalid("The id in the body is not a logical id", f"{call.resource_type}.id")
    taken = transaction.current(call.resource_type, sent)
    if taken is not None and not taken.deleted:
        raise errors.conflict(
            f"Nothing matches the criteria, but {call.resource_type}/{sent} exists; leave the id out",
            f"{call.resource_type}.id",
        )
    # Should another create it in between, this must not overwrite it.
    return Update(call.resource_type, sent, call.resource, Conditions(if_none_match="*"))


def delete(call: Delete, context: Context, transaction: Transaction) -> Result:
    """204 whether it was there or not (http.html#delete)."""
    _lock(call, None, context, transaction)
    check_reach(call.resource_type, call.logical_id, context, transaction)
    previous = transaction.current(call.resource_type, call.logical_id)
    check_if_match(call.conditions, previous, context)
    if previous is None or previous.deleted:
        return Result(204)
    return _deleted(previous, context, transaction)


def conditional_delete(
    call: ConditionalDelete, context: Context, transaction: Transaction
) -> Result:
    """Delete what the criteria match, all of it or (policy single) 412 when it is more than one.

    If-Match holds for a single match; it is 412 when there is none, or more than one.
    """
    transaction.lock([(call.resource_type, "")])
    found = to_delete(call, context, transaction)
    wanted = {(item.resource_type, item.logical_id) for item in found}
    lock(wanted, dict.fromkeys(wanted), context, transaction)
    return delete_all(found, context, transaction)


def to_delete(
    call: ConditionalDelete, context: Context, transaction: ReadTransaction
) -> list[StoredVersion]:
    """What a conditional delete selects; FhirError 400, 412 or 403 when it may not delete that."""
    policy = context.policy
    if policy.conditional_delete == "not-supported":
        raise errors.not_supported(
            f"Conditional delete is not offered; search, then DELETE {call.resource_type}/[id]"
        )
    limit = policy.maximum_count + 1
    found = matches(call.resource_type, call.criteria, context, transaction, limit)
    if policy.conditional_delete == "single" and len(found) > 1:
        raise errors.precondition_failed(
            f"The criteria match more than one {call.resource_type}; this server deletes one at a time",
            "multiple-matches",
        )
    if len(found) > policy.maximum_count:
        raise errors.too_costly(
            f"The criteria match more than {policy.maximum_count} resources; narrow them"
        )
    if len(found) == 1 or call.conditions.if_match is not None:
        check_if_match(call.conditions, found[0] if len(found) == 1 else None, context)
    return found


def delete_all(
    found: Sequence[StoredVersion], context: Context, transaction: Transaction
) -> Result:
    """204; about the one resource when it is one."""
    result = Result(204)
    for item in found:
        result = _deleted(item, context, transaction)
    return result if len(found) == 1 else Result(204)


def _lock(
    call: Update | Delete, after: Json | None, context: Context, transaction: Transaction
) -> None:
    """Lock the resource; where the client insists, what the rules would change with it is locked first."""
    identity = (call.resource_type, call.logical_id)
    lock({identity}, {identity: after} if context.lenient else {}, context, transaction)


def _deleted(previous: StoredVersion, context: Context, transaction: Transaction) -> Result:
    write = Write("DELETE", previous.resource_type, previous.logical_id, previous)
    version = remove(write, context, transaction)
    return Result(204, None, version.version_id, version.last_updated)
