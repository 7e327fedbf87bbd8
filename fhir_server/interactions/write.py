"""One version more of a resource: what create, update, patch and delete have in common.

https://hl7.org/fhir/R4/resource.html#Meta
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, NamedTuple

from fhir_server import validation
from fhir_server.interactions import integrity, profiles
from fhir_server.interactions.call import Context, Result
from fhir_server.interactions.defining import DEFINING, define, withdraw
from fhir_server.interactions.own_definitions import guard
from fhir_server.interactions.rights import check_after, check_before
from fhir_server.interactions.seen import whole
from fhir_server.interactions.subscription import SUBSCRIPTION, decided
from fhir_server.search import extraction
from fhir_server.search.entries import IndexEntries, TokenEntry, UniqueEntry
from fhir_server.search.parameters import parameter
from fhir_server.spec import errors
from fhir_server.spec.errors import Duplicate, FhirError, Issue
from fhir_server.spec.instants import MILLISECOND, write_instant
from fhir_server.spec.json_format import parse_stored, serialise
from fhir_server.store.contract import Later, Method, Recoded, StoredVersion, Transaction

Json = dict[str, Any]


class Write(NamedTuple):
    """A change of one resource, decided; previous is the newest version, which may be a deletion."""

    method: Method
    resource_type: str
    logical_id: str
    previous: StoredVersion | None

    @property
    def before(self) -> Json | None:
        """The resource as it is stored, read anew at each call; None when there is none, or it was deleted."""
        found = self.previous
        return None if found is None or found.deleted else parse_stored(found.body)


def check(resource: Json, resource_type: str, context: Context) -> None:
    """Refuse a resource that is not valid: FhirError 400 (not FHIR) or 422 (against a rule), with every issue.

    Profiles that are stored here are asked inside the transaction, by store().
    """
    issues = context.profiles.validator.validate(resource, resource_type=resource_type)
    if issues:
        raise FhirError(validation.status(issues), issues)


class Stored(NamedTuple):
    """A version that was stored, and hints about it for the caller."""

    version: StoredVersion
    issues: tuple[Issue, ...]


def version_of(stored: StoredVersion | Stored) -> StoredVersion:
    """The version without the hints."""
    return stored.version if isinstance(stored, Stored) else stored


def store(
    write: Write, resource: Json, context: Context, transaction: Transaction
) -> StoredVersion | Stored:
    """Append a version that holds the resource, if the rules about its type allow it; raises FhirError."""
    if context.caller is None:
        return _ruled(write, resource, context, transaction)
    check_before(write, resource, context, transaction)
    found = _ruled(write, resource, context, transaction)
    check_after(write, resource, context, transaction)
    return found


def _ruled(
    write: Write, resource: Json, context: Context, transaction: Transaction
) -> StoredVersion | Stored:
    if write.resource_type not in context.rules.resource_types:
        return append(write, resource, context, transaction)
    ruled = context.rules.apply(write, resource, context, transaction)
    assert ruled.resource is not None
    try:
        version = append(write, ruled.resource, context, transaction)
    except Duplicate as refusal:
        raise context.rules.duplicated(ruled.resource, refusal, transaction) from None
    return Stored(version, ruled.issues) if ruled.issues else version


def append(
    write: Write,
    resource: Json,
    context: Context,
    transaction: Transaction,
    *,
    recoded: Recoded | None = None,
) -> StoredVersion:
    """Append a version without asking the rules: id, versionId and lastUpdated are set by the server.

    recoded: what little changes of what is indexed, from a caller that knows it.
    """
    previous = write.previous
    guard(write.resource_type, write.logical_id, resource)
    if write.resource_type == SUBSCRIPTION:
        resource = decided(resource, previous, context, transaction)
    last_updated = moment(previous, context, transaction)
    version_id = previous.version_id + 1 if previous else 1
    stamped = stamp(resource, write.logical_id, version_id, last_updated)
    body = serialise(stamped)
    context.profiles.check_stored(stamped, body, transaction)
    if context.policy.referential_integrity:
        integrity.check_references(stamped, whole(transaction), context)
    if write.resource_type == DEFINING:
        define(stamped, context, transaction)
    profiles.changed(write.resource_type, transaction)
    return transaction.put(
        resource_type=write.resource_type,
        logical_id=write.logical_id,
        previous=previous,
        last_updated=last_updated,
        method=write.method,
        created=previous is None or previous.deleted,
        body=body,
        entries=recoded or _entries(stamped, previous, context),
        previous_entries=None if recoded else _previous_entries(previous, context),
    )


def remove(write: Write, context: Context, transaction: Transaction) -> StoredVersion:
    """Append the version that says the resource is deleted, if the rules about its type allow it."""
    guard(write.resource_type, write.logical_id, None)
    if context.caller is not None:
        check_before(write, None, context, transaction)
    if write.resource_type in context.rules.resource_types:
        context.rules.apply(write, None, context, transaction)
    if context.policy.referential_integrity:
        integrity.check_referrers(write.resource_type, write.logical_id, whole(transaction))
    if write.resource_type == DEFINING:
        withdraw(write.previous, transaction)
    profiles.changed(write.resource_type, transaction)
    return transaction.put(
        resource_type=write.resource_type,
        logical_id=write.logical_id,
        previous=write.previous,
        last_updated=moment(write.previous, context, transaction),
        method="DELETE",
        created=False,
        body=b"",
        entries=frozenset(),
        previous_entries=_previous_entries(write.previous, context),
    )


def index(resource: Json, context: Context) -> IndexEntries:
    """The index entries of a resource under the deployment's zone and base."""
    found = _extraction(resource, context)()
    unique = frozenset(_unique(resource, found, context))
    return found | unique if unique else found


def _entries(
    resource: Json, previous: StoredVersion | None, context: Context
) -> IndexEntries | Later:
    """Those of a new resource may be found later, unless they tell what has to be unique."""
    if previous is not None or context.policy.unique_identifiers:
        return index(resource, context)
    unique = frozenset(_unique(resource, frozenset(), context))
    return Later(_extraction(resource, context), unique)


def _extraction(resource: Json, context: Context) -> Callable[[], IndexEntries]:
    """What finds the entries, as things are now."""
    return partial(
        extraction.entries,
        resource,
        base_urls=context.policy.base_urls,
        zone=context.policy.zone,
        custom=context.catalogue().of(resource["resourceType"]),
        content=context.policy.content_search,
    )


def _unique(resource: Json, found: IndexEntries, context: Context) -> Iterator[UniqueEntry]:
    """An entry that no two resources have, for what the rules say and for each system that is declared to be unique."""
    declared = context.policy.unique_identifiers
    resource_type = resource["resourceType"]
    pairs = context.rules.unique(resource) if resource_type in context.rules.resource_types else ()
    if not declared and not pairs:
        return
    identifier = parameter(resource_type, "identifier")
    if identifier is None:
        return
    for system, value in pairs:
        yield UniqueEntry(system, value, identifier.number)
    for entry in found if declared else ():
        if (
            isinstance(entry, TokenEntry)
            and entry.parameter == identifier.number
            and (resource_type, entry.system) in declared
        ):
            yield UniqueEntry(entry.system, entry.code, entry.parameter)


def _previous_entries(previous: StoredVersion | None, context: Context) -> IndexEntries | None:
    if previous is None or previous.deleted:
        return frozenset()
    return index(parse_stored(previous.body), context)


def moment(previous: StoredVersion | None, context: Context, transaction: Transaction) -> int:
    """Now to the millisecond; after the version before and not before what was read, whatever the clock does."""
    now = max(context.now() // MILLISECOND * MILLISECOND, transaction.floor)
    return now if previous is None else max(now, previous.last_updated + MILLISECOND)


def stamp(resource: Json, logical_id: str, version_id: int, last_updated: int) -> Json:
    """The resource with its identity: resourceType, id and meta first, everything else as it was sent."""
    meta = {"versionId": str(version_id), "lastUpdated": write_instant(last_updated)}
    if sent := resource.get("meta"):
        meta.update((name, value) for name, value in sent.items() if name not in _SERVER_META)
    head = {"resourceType": resource["resourceType"], "id": logical_id, "meta": meta}
    return {**head, **resource, **head}


_SERVER_META = frozenset({"versionId", "lastUpdated", "_versionId", "_lastUpdated"})


def refuse_subset(resource: Json) -> None:
    """A SUBSETTED resource is a part of one: storing it would lose the rest (422)."""
    tags = resource.get("meta", {}).get("tag", ())
    if any(tag.get("code") == "SUBSETTED" for tag in tags):
        raise errors.unprocessable(
            Issue(
                "error",
                "business-rule",
                "The resource is tagged SUBSETTED: it is incomplete. Read the whole one and change that",
                (f"{resource['resourceType']}.meta.tag",),
            )
        )


def written(stored: StoredVersion | Stored) -> Result:
    """201 or 200 with the version as it was stored."""
    version, issues = stored if isinstance(stored, Stored) else (stored, ())
    return Result(
        status=201 if version.created else 200,
        body=version.body,
        version_id=version.version_id,
        last_updated=version.last_updated,
        location=f"{version.resource_type}/{version.logical_id}/_history/{version.version_id}",
        issues=issues,
    )


def existing(version: StoredVersion) -> Result:
    """200 with the version that a conditional create finds there already."""
    return written(version)._replace(status=200)


def refuse_criteria(resource: Json) -> None:
    """A reference by criteria (Patient?identifier=...) has a meaning inside a transaction only (400)."""
    # Few resources have the character in them, and that is seen without a look at every element.
    place = _criteria(resource) if b"?" in serialise(resource) else None
    if place is not None:
        raise errors.invalid(
            "A reference by criteria is resolved inside a transaction only; refer to an id",
            f"{resource['resourceType']}{place}",
        )


def _criteria(value: Json) -> str | None:
    """Where below an object a reference by criteria is, if anywhere."""
    target = value.get("reference")
    if target.__class__ is str and "?" in target and "://" not in target.partition("?")[0]:
        return ".reference"
    for name, child in value.items():
        if child.__class__ is dict:
            if (found := _criteria(child)) is not None:
                return f".{name}{found}"
        elif child.__class__ is list:
            for number, item in enumerate(child):
                if item.__class__ is dict and (found := _criteria(item)) is not None:
                    return f".{name}[{number}]{found}"
    return None
