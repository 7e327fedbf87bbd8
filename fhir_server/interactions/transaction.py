"""A transaction: all entries or none, in the order of the rules (https://hl7.org/fhir/R4/http.html#trules).

Everything that needs no database happens before the store's transaction: new ids are chosen, references between
entries are rewritten, resources are validated. Inside it: criteria are settled and everything is locked, then come
deletes, creates, updates and patches, and at last reads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from fhir_server.interactions import call as calls
from fhir_server.interactions import integrity
from fhir_server.interactions.bundle import (
    Entry,
    Identity,
    entries,
    parse_entry,
    placed,
    response_bundle,
    response_entry,
)
from fhir_server.interactions.call import Call, Context, Result
from fhir_server.interactions.change import delete_all
from fhir_server.interactions.conditional_references import Selection
from fhir_server.interactions.entry_references import Links, Moves, Versions, targets, with_links
from fhir_server.interactions.identities import Settled, identified, refuse_duplicates, settle
from fhir_server.interactions.references import Resolve
from fhir_server.interactions.rights import check_written
from fhir_server.interactions.rules import Pending, lock
from fhir_server.interactions.seen import whole
from fhir_server.interactions.write import check, refuse_subset
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, VersionConflict
from fhir_server.store.contract import Transaction as StoreTransaction

Json = dict[str, Any]

T = TypeVar("T")

_WRITING = (calls.Create, calls.Update, calls.ConditionalUpdate)
_CONDITIONAL = (calls.ConditionalUpdate, calls.ConditionalPatch, calls.ConditionalDelete)


class Perform(Protocol):
    """The router of calls, for those that have no part in the order of the writes."""

    def __call__(self, call: Call, context: Context, transaction: StoreTransaction) -> Result:
        """The result of one call."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A transaction as far as it can be worked out without the database.

    by_criteria and versioned: the numbers of the entries with references that only the database can resolve.
    """

    entries: tuple[Entry, ...]
    by_criteria: frozenset[int]
    versioned: frozenset[int]


def plan(bundle: Json, context: Context) -> Plan:
    """Parse every entry, choose ids, rewrite references between entries, validate.

    Raises FhirError with the failing entry's index in every expression.
    """
    parsed = []
    for number, source in enumerate(entries(bundle, context)):
        entry = parse_entry(source, number, context)
        parsed.append(_at(entry, lambda entry: identified(entry, context)))
    refuse_duplicates(parsed)
    links = Links(targets(parsed), context)
    rewritten = tuple(_at(entry, links.rewritten) for entry in parsed)
    for entry in rewritten:
        _at(entry, lambda entry: _check(entry, context))
    return Plan(rewritten, frozenset(links.by_criteria), frozenset(links.versioned))


def _at(entry: Entry, work: Callable[[Entry], T]) -> T:
    """Do it; a refusal tells the entry's place."""
    try:
        return work(entry)
    except FhirError as refusal:
        raise placed(refusal, entry.number) from None


def _check(entry: Entry, context: Context) -> None:
    if isinstance(entry.call, _WRITING):
        check(entry.call.resource, entry.call.resource_type, context)
        if not isinstance(entry.call, calls.Create):
            refuse_subset(entry.call.resource)


def run(
    prepared: Plan,
    context: Context,
    transaction: StoreTransaction,
    *,
    perform: Perform,
    with_body: bool,
) -> Result:
    """Do everything in the order of the rules; perform is the router for the single calls.

    Raises FhirError naming the failing entry; the store's transaction then undoes all of it.
    """
    transaction.unused(
        entry.identity
        for entry in prepared.entries
        if entry.identity is not None and isinstance(entry.call, calls.Create)
    )
    settled = _settled_and_locked(prepared, context, transaction)
    results = settled.results
    _resolve(prepared, settled, context, transaction)
    pending = _pending(prepared, settled, context)
    # What is referred to may be written later: references are checked once all is there.
    policy = context.policy
    if policy.referential_integrity:
        policy = replace(policy, referential_integrity=False)
    later = replace(context, policy=policy, pending=pending)
    context.rules.begin(pending, later, transaction)

    def do(entry: Entry) -> Result:
        if entry.number in settled.deleting:
            return delete_all(settled.deleting[entry.number], later, transaction)
        return perform(entry.call, later, transaction)

    for entry in _in_order(prepared, settled, context.rules.write_order):
        results[entry.number] = _at(entry, do)
    if context.caller is not None:
        for entry in settled.writing:
            _at(entry, lambda entry: _check_written(entry, context, transaction))
    settled.refuse_doubles(context, transaction)
    if context.policy.referential_integrity:
        _check_integrity(prepared, settled, context, transaction)
    for entry in prepared.entries:
        if entry.number not in results:
            results[entry.number] = _at(
                entry, lambda entry: perform(entry.call, context, transaction)
            )
    shown = [
        response_entry(entry, results[entry.number], context, with_body=with_body)
        for entry in prepared.entries
    ]
    return response_bundle("transaction-response", shown, context)


def _check_written(entry: Entry, context: Context, transaction: StoreTransaction) -> None:
    if entry.identity is not None:
        check_written(*entry.identity, context, transaction)


def _settled_and_locked(prepared: Plan, context: Context, transaction: StoreTransaction) -> Settled:
    """What the criteria select, locked with everything else that will change.

    Locks of types come before those of identities here as everywhere, and each kind at once and in order: so no two
    transactions wait for each other in a circle. Raises VersionConflict when all has to be tried again.
    """
    transaction.lock(_types(prepared))
    settled = settle(prepared.entries, context, transaction)
    locked = _identities(prepared, settled)
    lock(locked, _pending(prepared, settled, context), context, transaction)
    if settled.stale(transaction):
        # Others changed it while this one waited. Now that it is locked the criteria can be asked for good.
        settled = settle(prepared.entries, context, transaction)
        if not _identities(prepared, settled) <= locked:
            raise VersionConflict("the criteria select others now")
    return settled


def _types(prepared: Plan) -> list[Identity]:
    """The locks of the types that criteria are asked of."""
    found = {
        entry.call.resource_type
        for entry in prepared.entries
        if isinstance(entry.call, _CONDITIONAL)
        or (isinstance(entry.call, calls.Create) and entry.call.if_none_exist is not None)
    }
    return [(name, "") for name in sorted(found)]


def _identities(prepared: Plan, settled: Settled) -> set[Identity]:
    """The identities to lock: those that exist or that others could choose; new ids are nobody else's."""
    new = {entry.identity for entry in settled.writing if isinstance(entry.call, calls.Create)}
    deleted = {entry.identity for entry in prepared.entries if isinstance(entry.call, calls.Delete)}
    return {item for item in settled.changed() | deleted - {None} if item not in new and item}


def _pending(prepared: Plan, settled: Settled, context: Context) -> Pending:
    """What will be written of the types that have rules; None for what is not known yet, and for what goes."""
    found: dict[Identity, Json | None] = dict.fromkeys(_deleted(prepared, settled))
    for entry in settled.writing:
        if entry.identity is not None:
            call = entry.call
            found[entry.identity] = (
                call.resource if isinstance(call, calls.Create | calls.Update) else None
            )
    ruled = context.rules.resource_types
    return {identity: resource for identity, resource in found.items() if identity[0] in ruled}


def _in_order(prepared: Plan, settled: Settled, last: tuple[str, ...]) -> list[Entry]:
    """What changes something: DELETE, then POST, then PUT and PATCH; types in last after all others."""
    deletes = [
        entry
        for entry in prepared.entries
        if isinstance(entry.call, calls.Delete | calls.ConditionalDelete)
    ]

    def rank(entry: Entry) -> tuple[int, int]:
        resource_type = getattr(entry.call, "resource_type", None)
        turn = last.index(resource_type) + 1 if resource_type in last else 0
        match entry.call:
            case calls.Delete() | calls.ConditionalDelete():
                return turn, 0
            case calls.Create() | calls.Operation():
                return turn, 1
        return turn, 2

    return sorted([*deletes, *settled.writing], key=rank)


def _resolve(
    prepared: Plan, settled: Settled, context: Context, transaction: ReadTransaction
) -> None:
    """Resolve in the writing entries the links that needed the database."""
    if settled.moved:
        moves = Moves(settled.moved)
        settled.writing = [with_links(entry, moves.resolve) for entry in settled.writing]
    if prepared.by_criteria:
        deleted = _deleted(prepared, settled)
        selection = Selection(settled.writing, deleted, context, transaction)
        _resolve_in(prepared.by_criteria, selection.resolve, settled)
    if prepared.versioned:
        versions = Versions(settled.changed(), transaction)
        _resolve_in(prepared.versioned, versions.resolve, settled)


def _resolve_in(numbers: frozenset[int], resolve: Resolve, settled: Settled) -> None:
    def resolved(entry: Entry) -> Entry:
        return with_links(entry, resolve) if entry.number in numbers else entry

    settled.writing = [_at(entry, resolved) for entry in settled.writing]


def _deleted(prepared: Plan, settled: Settled) -> set[Identity]:
    found = {
        (entry.call.resource_type, entry.call.logical_id)
        for entry in prepared.entries
        if isinstance(entry.call, calls.Delete)
    }
    for versions in settled.deleting.values():
        found.update((item.resource_type, item.logical_id) for item in versions)
    return found


def _check_integrity(
    prepared: Plan, settled: Settled, context: Context, transaction: StoreTransaction
) -> None:
    """Nothing may refer to what was deleted, and what was written only to what is there."""
    for identity in _deleted(prepared, settled):
        integrity.check_referrers(*identity, whole(transaction))

    def check_references(entry: Entry) -> None:
        version = transaction.current(*entry.identity) if entry.identity else None
        if version is not None and not version.deleted:
            integrity.check_references(parse_stored(version.body), whole(transaction), context)

    for entry in settled.writing:
        _at(entry, check_references)
