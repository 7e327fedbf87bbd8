"""The rights of a caller who is known, at each write: before it, and once it is done (https://hl7.org/fhir/R4/http.html#rejecting-updates)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_server.interactions.integrity import local_target, references
from fhir_server.interactions.seen import Seen
from fhir_server.interactions.sight import access
from fhir_server.store.contract import Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context
    from fhir_server.interactions.write import Write

Json = dict[str, Any]


def check_reach(
    resource_type: str,
    logical_id: str,
    context: Context,
    transaction: Transaction,
    *,
    restores: bool = False,
) -> None:
    """Refuse (403) to change what is there but not for this caller, before anything else is told about it.

    restores: what was deleted would be there again; to that nobody is known to have a relationship any more.
    """
    if not isinstance(transaction, Seen):
        return
    found = transaction.whole.current(resource_type, logical_id)
    if found is None or (found.deleted and not restores):
        return
    if (
        resource_type in access()["unlisted"]
        and transaction.current(resource_type, logical_id) is None
    ):
        assert context.permissions is not None
        raise context.permissions.no_relationship(resource_type)
    _check(resource_type, logical_id, context, transaction)


def check_before(
    write: Write, after: Json | None, context: Context, transaction: Transaction
) -> None:
    """Refuse (403) a write that the caller may not make; after None: a deletion.

    Who makes a resource refer to a referral has to see that one already: the reference must not be what shows it.
    """
    if context.permissions is None:
        return
    if isinstance(transaction, Seen) and after is not None:
        root = access()["root"]
        named = _named(after, context) - _named(write.before, context)
        there = {item for _, item in transaction.whole.many([(root, item) for item in named])}
        if there - transaction.visible(root, there):
            raise context.permissions.no_relationship(write.resource_type)
    context.permissions.check_write(write, after, context, transaction)


def _named(resource: Json | None, context: Context) -> set[str]:
    """The ids of the referrals that a resource refers to."""
    found = (local_target(text, context) for _, text in references(resource, ""))
    return {item[1] for item in found if item is not None and item[0] == access()["root"]}


def check_after(write: Write, after: Json, context: Context, transaction: Transaction) -> None:
    """Refuse (403) what the caller has written, when it is not for the caller: then nothing of it remains.

    What refers to something that the same Bundle writes later is looked at when all is written (check_written).
    """
    if isinstance(transaction, Seen):
        waiting = {
            (access()["root"], item) for item in _named(after, context)
        } & context.pending.keys()
        if waiting <= transaction.whole.many(list(waiting)).keys():
            _check(write.resource_type, write.logical_id, context, transaction)


def check_written(
    resource_type: str, logical_id: str, context: Context, transaction: Transaction
) -> None:
    """Refuse (403) what a Bundle has written, when it is not for the caller; what it deleted is nobody's."""
    if isinstance(transaction, Seen):
        found = transaction.whole.current(resource_type, logical_id)
        if found is not None and not found.deleted:
            _check(resource_type, logical_id, context, transaction)


def _check(resource_type: str, logical_id: str, context: Context, transaction: Seen) -> None:
    where = transaction.sight.writable(resource_type)
    if where is not None and not transaction.holding(where, resource_type, [logical_id]):
        assert context.permissions is not None
        raise context.permissions.no_relationship(resource_type)
