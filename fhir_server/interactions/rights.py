"""The rights of a caller who is known, at each write: before it, and once it is done (https://hl7.org/fhir/R4/http.html#rejecting-updates)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fhir_server.interactions.seen import Seen
from fhir_server.store.contract import StoredVersion, Transaction

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
    if isinstance(transaction, Seen):
        found = transaction.whole.current(resource_type, logical_id)
        if found is None or (found.deleted and not restores):
            return
        if not _writable(found, transaction):
            assert context.permissions is not None
            raise context.permissions.no_relationship(resource_type)


def check_before(
    write: Write, after: Json | None, context: Context, transaction: Transaction
) -> None:
    """Refuse (403) a write that the caller may not make; after None: a deletion."""
    if context.permissions is None:
        return
    if write.previous is not None:
        check_reach(write.resource_type, write.logical_id, context, transaction)
    context.permissions.check_write(write, after, context, transaction)


def check_after(stored: StoredVersion, context: Context, transaction: Transaction) -> None:
    """Refuse (403) what the caller has written, when it is not for the caller: then nothing of it remains."""
    if isinstance(transaction, Seen) and not _writable(stored, transaction):
        assert context.permissions is not None
        raise context.permissions.no_relationship(stored.resource_type)


def _writable(version: StoredVersion, transaction: Seen) -> bool:
    name, logical_id = version.resource_type, version.logical_id
    where = transaction.sight.writable(name)
    if where is None:
        return True
    return not version.deleted and bool(transaction.holding(where, name, [logical_id]))
