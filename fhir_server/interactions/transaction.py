"""A transaction: all entries or none, in the order of the rules (https://hl7.org/fhir/R4/http.html#trules).

Everything that needs no database happens before the store's transaction: new ids are chosen, references between
entries are rewritten, resources are validated. Inside it: deletes, then conditional identities, then references by
criteria, then creates, updates and patches, then reads.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, get_args

from fhir_server.interactions import call as calls
from fhir_server.interactions import integrity
from fhir_server.interactions.bundle import (
    Entry,
    entries,
    parse_entry,
    placed,
    response_bundle,
    response_entry,
)
from fhir_server.interactions.call import Call, Context, Parameters, Result
from fhir_server.interactions.change import conditional_delete, create, delete, update
from fhir_server.interactions.grammar import parse_query
from fhir_server.interactions.matching import criteria_of, matches
from fhir_server.interactions.patch import conditional_patch, patch
from fhir_server.interactions.references import Resolve, rewrite
from fhir_server.interactions.rules import Pending, lock
from fhir_server.interactions.write import check, index, refuse_subset
from fhir_server.search.matcher import Candidate
from fhir_server.search.matcher import matches as holds
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import ReadTransaction
from fhir_server.store.contract import Transaction as StoreTransaction

Json = dict[str, Any]
Identity = tuple[str, str]

_RESTFUL = re.compile(r"(https?://.*)/([A-Za-z]+)/([A-Za-z0-9\-.]{1,64})")
_RELATIVE = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}(/_history/[A-Za-z0-9\-.]{1,64})?")
_BY_CRITERIA = re.compile(r"([A-Z][A-Za-z]+)\?(.+)")
_Writing = calls.Create | calls.Update | calls.ConditionalUpdate


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
    sources = entries(bundle, context)
    parsed = [
        _identified(parse_entry(item, number, context), context)
        for number, item in enumerate(sources)
    ]
    _refuse_duplicates(parsed)
    targets = _targets(parsed)
    by_criteria: set[int] = set()
    versioned: set[int] = set()
    rewritten = [_rewritten(entry, targets, by_criteria, versioned) for entry in parsed]
    for entry in rewritten:
        if isinstance(entry.call, _Writing):
            try:
                check(entry.call.resource, entry.call.resource_type)
                if not isinstance(entry.call, calls.Create):
                    refuse_subset(entry.call.resource)
            except FhirError as refusal:
                raise placed(refusal, entry.number) from None
    return Plan(tuple(rewritten), frozenset(by_criteria), frozenset(versioned))


def _identified(entry: Entry, context: Context) -> Entry:
    """The entry with the id that a create will have, so that others can refer to it."""
    match entry.call:
        case calls.Create() as call:
            return replace(entry, call=replace(call, logical_id=context.new_id()))
        case calls.ConditionalUpdate() as call:
            sent = call.resource.get("id")
            new_id = sent if isinstance(sent, str) else context.new_id()
            return replace(entry, call=replace(call, new_id=new_id))
        case calls.Batch() | calls.Transaction():
            raise errors.not_supported("A Bundle cannot be run inside a Bundle", entry.place)
    return entry


def _identity(call: Call) -> Identity | None:
    """The (type, id) that a call will change, as far as it is known."""
    match call:
        case calls.Create(resource_type, _, _, str(logical_id)):
            return resource_type, logical_id
        case calls.ConditionalUpdate(resource_type, _, _, _, str(logical_id)):
            return resource_type, logical_id
        case calls.Update() | calls.Patch() | calls.Delete():
            return call.resource_type, call.logical_id
    return None


def _refuse_duplicates(parsed: list[Entry]) -> None:
    seen: dict[object, Entry] = {}
    for entry in parsed:
        keys: list[object] = [_identity(entry.call)]
        match entry.call:
            case calls.ConditionalUpdate() | calls.ConditionalPatch() | calls.ConditionalDelete():
                keys.append((entry.call.resource_type, tuple(sorted(entry.call.criteria))))
            case calls.Create(resource_type, _, str(criteria)):
                keys.append((resource_type, tuple(sorted(parse_query(criteria)))))
        for key in keys:
            if key is None:
                continue
            if key in seen:
                raise errors.invalid(
                    f"This entry changes the same resource as Bundle.entry[{seen[key].number}];"
                    " a transaction may change a resource once",
                    entry.place,
                )
            seen[key] = entry


def _targets(parsed: list[Entry]) -> dict[str, Identity]:
    """fullUrl -> the identity that the entry will have."""
    found: dict[str, Identity] = {}
    for entry in parsed:
        identity = _identity(entry.call)
        if entry.full_url is not None and identity is not None and isinstance(entry.call, _Writing):
            found[entry.full_url] = identity
    return found


def _rewritten(
    entry: Entry, targets: dict[str, Identity], by_criteria: set[int], versioned: set[int]
) -> Entry:
    if not isinstance(entry.call, _Writing):
        return entry
    restful = _RESTFUL.fullmatch(entry.full_url or "")
    base = restful[1] if restful else None

    def resolve(text: str, place: str) -> str | None:
        stem, fragment, anchor = text.partition("#")
        if not stem:
            return None
        absolute = f"{base}/{stem}" if base and _RELATIVE.fullmatch(stem) else stem
        unversioned, _, version = absolute.partition("/_history/")
        target = targets.get(unversioned)
        if target is None:
            if place.endswith(".reference"):
                if stem.startswith(("urn:uuid:", "urn:oid:")):
                    raise errors.invalid(
                        f"No entry has the fullUrl '{stem[:100]}' that this refers to", place
                    )
                if "?" in stem:
                    by_criteria.add(entry.number)
            return None
        if version:
            versioned.add(entry.number)
        # The version of what this transaction writes is known only once it is written: see _versioned.
        suffix = "/_history/" + _PENDING if version else ""
        return f"{target[0]}/{target[1]}{suffix}{fragment}{anchor}"

    try:
        resource = rewrite(entry.call.resource, resolve)
    except FhirError as refusal:
        raise placed(refusal, entry.number) from None
    if resource is entry.call.resource:
        return entry
    return replace(entry, call=replace(entry.call, resource=resource))


_PENDING = "of-this-transaction"


def run(
    prepared: Plan,
    context: Context,
    transaction: StoreTransaction,
    *,
    perform: Any,
    with_body: bool,
) -> Result:
    """Do everything in the order of the rules; perform is the router for the reads at the end.

    Raises FhirError naming the failing entry; the store's transaction then undoes all of it.
    """
    _lock(prepared, context, transaction)
    later = replace(
        context,
        policy=replace(context.policy, referential_integrity=False),
        pending=_pending(prepared.entries, context),
    )
    last = context.rules.write_order
    results: dict[int, Result] = {}
    changed: set[Identity] = set()
    put_off: list[Entry] = []
    for entry in prepared.entries:
        if isinstance(entry.call, calls.Delete) and entry.call.resource_type in last:
            changed.add((entry.call.resource_type, entry.call.logical_id))
            put_off.append(entry)
        elif isinstance(entry.call, (calls.Delete, calls.ConditionalDelete)):
            results[entry.number] = _at(
                entry, lambda call: _delete(call, later, transaction, changed)
            )
    writing = _resolve_identities(prepared.entries, later, transaction)
    _refuse_overlap(writing, changed)
    if prepared.by_criteria:
        writing = _resolve_criteria(writing, prepared.by_criteria, later, transaction)
    if prepared.versioned:
        writing = _resolve_versions(writing, prepared.versioned, transaction)
    later = replace(later, pending=_pending([*prepared.entries, *writing], context))
    context.rules.begin(later.pending, later, transaction)
    for entry in _ordered([*put_off, *writing], last):
        results[entry.number] = _at(entry, lambda call: _write(call, later, transaction))
    if context.policy.referential_integrity:
        _check_integrity(prepared, writing, context, transaction)
    for entry in prepared.entries:
        if entry.number not in results:
            results[entry.number] = _at(entry, lambda call: perform(call, context, transaction))
    shown = [
        response_entry(
            results[entry.number],
            context,
            with_body=with_body
            or not isinstance(entry.call, _Writing | calls.Patch | calls.ConditionalPatch),
        )
        for entry in prepared.entries
    ]
    return response_bundle("transaction-response", shown, context)


def _at(entry: Entry, work: Any) -> Result:
    try:
        result: Result = work(entry.call)
    except FhirError as refusal:
        raise placed(refusal, entry.number) from None
    return result


def _ordered(listed: list[Entry], last: tuple[str, ...]) -> list[Entry]:
    """Creates before updates and patches; types that the rules put last come after all that bears on them."""

    def rank(entry: Entry) -> tuple[int, int]:
        assert isinstance(entry.call, get_args(calls.WriteCall))
        resource_type = entry.call.resource_type
        kind = {calls.Delete: 0, calls.Create: 1}.get(type(entry.call), 2)
        return last.index(resource_type) + 1 if resource_type in last else 0, kind

    return sorted(listed, key=rank)


def _pending(listed: Iterable[Entry], context: Context) -> Pending:
    """What will be written of the types that have rules; a resource that is not known yet is None."""
    found: dict[Identity, Json | None] = {}
    for entry in listed:
        identity = _identity(entry.call)
        if identity is not None and identity[0] in context.rules.resource_types:
            found[identity] = entry.call.resource if isinstance(entry.call, _Writing) else None
    return found


def _lock(prepared: Plan, context: Context, transaction: StoreTransaction) -> None:
    wanted: set[Identity] = set()
    for entry in prepared.entries:
        match entry.call:
            case calls.Create(resource_type, _, str()) | calls.ConditionalUpdate(resource_type):
                wanted.add((resource_type, ""))
            case calls.ConditionalPatch(resource_type) | calls.ConditionalDelete(resource_type):
                wanted.add((resource_type, ""))
            case calls.Update() | calls.Patch() | calls.Delete():
                wanted.add((entry.call.resource_type, entry.call.logical_id))
    lock(wanted, _pending(prepared.entries, context), context, transaction)


def _delete(
    call: Call, context: Context, transaction: StoreTransaction, changed: set[Identity]
) -> Result:
    if isinstance(call, calls.Delete):
        changed.add((call.resource_type, call.logical_id))
        return delete(call, context, transaction)
    assert isinstance(call, calls.ConditionalDelete)
    limit = context.policy.maximum_count + 1
    for version in matches(call.resource_type, call.criteria, context, transaction, limit):
        changed.add((version.resource_type, version.logical_id))
    return conditional_delete(call, context, transaction)


def _write(call: Call, context: Context, transaction: StoreTransaction) -> Result:
    match call:
        case calls.Delete():
            return delete(call, context, transaction)
        case calls.Create():
            return create(call, context, transaction)
        case calls.Update():
            return update(call, context, transaction)
        case calls.Patch():
            return patch(call, context, transaction)
        case calls.ConditionalPatch():
            return conditional_patch(call, context, transaction)
    raise AssertionError(call)


def _resolve_identities(
    parsed: tuple[Entry, ...], context: Context, transaction: StoreTransaction
) -> list[Entry]:
    """The writing entries with conditional ones made plain; references follow to what exists already."""
    moved: dict[str, str] = {}
    found: list[Entry] = []
    for entry in parsed:
        try:
            call = _plain(entry.call, moved, context, transaction)
        except FhirError as refusal:
            raise placed(refusal, entry.number) from None
        if call is not None:
            found.append(replace(entry, call=call))
    return [_moved(entry, moved) for entry in found] if moved else found


def _plain(
    call: Call, moved: dict[str, str], context: Context, transaction: StoreTransaction
) -> Call | None:
    match call:
        case calls.Create(resource_type, _, str(criteria), str(new_id)):
            existing = _single(resource_type, parse_query(criteria), context, transaction)
            if existing is not None:
                moved[f"{resource_type}/{new_id}"] = f"{resource_type}/{existing}"
            return call
        case calls.ConditionalUpdate():
            existing = _single(call.resource_type, call.criteria, context, transaction)
            if existing is not None and call.resource.get("id", existing) != existing:
                raise errors.invalid(
                    f"The criteria match {call.resource_type}/{existing}, but the resource has another id",
                    f"{call.resource_type}.id",
                )
            if existing is None and call.resource.get("id") is None:
                return calls.Create(call.resource_type, call.resource, None, call.new_id)
            logical_id = existing or str(call.new_id)
            if existing is not None and call.new_id != existing:
                moved[f"{call.resource_type}/{call.new_id}"] = f"{call.resource_type}/{existing}"
            identified = call.resource | {"id": logical_id}
            return calls.Update(call.resource_type, logical_id, identified, call.conditions)
        case calls.Create() | calls.Update() | calls.Patch() | calls.ConditionalPatch():
            return call
    return None


def _single(
    resource_type: str, criteria: Parameters, context: Context, transaction: ReadTransaction
) -> str | None:
    found = matches(resource_type, criteria, context, transaction)
    if len(found) > 1:
        raise errors.precondition_failed(
            f"The criteria match more than one {resource_type}; make them select one",
            "multiple-matches",
        )
    return found[0].logical_id if found else None


def _moved(entry: Entry, moved: dict[str, str]) -> Entry:
    def resolve(text: str, place: str) -> str | None:  # noqa: ARG001 - the place is for refusals
        stem, slash, rest = text.partition("/_history/")
        target = moved.get(stem)
        return None if target is None else target + slash + rest

    return _with_references(entry, resolve) if isinstance(entry.call, _Writing) else entry


def _refuse_overlap(writing: list[Entry], changed: set[Identity]) -> None:
    """A resource that criteria led to may not be changed by another entry too."""
    for entry in writing:
        identity = _identity(entry.call)
        if identity is None:
            continue
        if identity in changed:
            raise errors.invalid(
                f"Another entry changes {identity[0]}/{identity[1]} too; a transaction may change it once",
                entry.place,
            )
        changed.add(identity)


def _resolve_criteria(
    writing: list[Entry],
    concerned: frozenset[int],
    context: Context,
    transaction: StoreTransaction,
) -> list[Entry]:
    """References such as Patient?identifier=... become ids; what this transaction writes counts as written."""
    pending = _Pending(writing, context)

    def resolve(text: str, place: str) -> str | None:
        match = _BY_CRITERIA.fullmatch(text) if place.endswith(".reference") else None
        if match is None or not is_resource_type(match[1]):
            return None
        return pending.one(match[1], parse_query(match[2]), place, transaction)

    return [
        _with_references(entry, resolve) if entry.number in concerned else entry
        for entry in writing
    ]


def _with_references(entry: Entry, resolve: Resolve) -> Entry:
    assert isinstance(entry.call, _Writing)
    try:
        resource = rewrite(entry.call.resource, resolve)
    except FhirError as refusal:
        raise placed(refusal, entry.number) from None
    return replace(entry, call=replace(entry.call, resource=resource))


class _Pending:
    """The resources that a transaction is about to write, searchable as if they were stored."""

    def __init__(self, writing: list[Entry], context: Context) -> None:
        self.context = context
        self.writing = writing
        self.listed: dict[Identity, Candidate] | None = None

    def one(
        self, resource_type: str, criteria: Parameters, place: str, transaction: ReadTransaction
    ) -> str:
        where = criteria_of(resource_type, criteria, self.context)
        found = {
            version.logical_id
            for version in matches(resource_type, criteria, self.context, transaction)
            if (version.resource_type, version.logical_id) not in self.all()
        }
        for candidate in self.candidates(resource_type):
            if holds(where, candidate, self):
                found.add(candidate.logical_id)
        if len(found) != 1:
            told = "no" if not found else "more than one"
            raise errors.FhirError(
                412,
                (
                    errors.Issue(
                        "error",
                        "not-found" if not found else "multiple-matches",
                        f"The reference by criteria matches {told} {resource_type}; it must match one",
                        (place,),
                    ),
                ),
            )
        return f"{resource_type}/{found.pop()}"

    def all(self) -> dict[Identity, Candidate]:
        if self.listed is None:
            self.listed = {}
            for entry in self.writing:
                identity = _identity(entry.call)
                if identity is not None and isinstance(entry.call, _Writing):
                    found = index(entry.call.resource | {"id": identity[1]}, self.context)
                    self.listed[identity] = Candidate(
                        entry.number, *identity, self.context.now(), found
                    )
        return self.listed

    def candidates(self, resource_type: str) -> list[Candidate]:
        return [item for item in self.all().values() if item.resource_type == resource_type]

    def candidate(self, resource_type: str, logical_id: str) -> Candidate | None:
        return self.all().get((resource_type, logical_id))


def _resolve_versions(
    writing: list[Entry], concerned: frozenset[int], transaction: ReadTransaction
) -> list[Entry]:
    """A versioned reference to an entry names the version that this transaction makes of it."""

    def resolve(text: str, place: str) -> str | None:  # noqa: ARG001 - the place is for refusals
        stem, _, version = text.partition("/_history/")
        if version.partition("#")[0] != _PENDING:
            return None
        resource_type, _, logical_id = stem.partition("/")
        current = transaction.current(resource_type, logical_id)
        return f"{stem}/_history/{current.version_id + 1 if current else 1}"

    return [
        _with_references(entry, resolve) if entry.number in concerned else entry
        for entry in writing
    ]


def _check_integrity(
    prepared: Plan, writing: list[Entry], context: Context, transaction: StoreTransaction
) -> None:
    for entry in prepared.entries:
        identity = _identity(entry.call)
        if isinstance(entry.call, calls.Delete) and identity is not None:
            integrity.check_referrers(*identity, transaction)
    for entry in writing:
        identity = _identity(entry.call)
        if identity is not None and isinstance(entry.call, _Writing):
            try:
                resource = entry.call.resource | {"id": identity[1]}
                integrity.check_references(resource, transaction, context)
            except FhirError as refusal:
                raise placed(refusal, entry.number) from None
