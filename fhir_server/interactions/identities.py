"""Which resource each entry of a transaction changes: each may be changed once.

https://hl7.org/fhir/R4/http.html#trules
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from fhir_server.interactions import call as calls
from fhir_server.interactions.bundle import Entry, Identity, placed
from fhir_server.interactions.call import Call, Context, Parameters, Result
from fhir_server.interactions.change import conditional_target, to_delete
from fhir_server.interactions.grammar import parse_if_none_exist
from fhir_server.interactions.matching import matches, several, single
from fhir_server.interactions.operation import changed_by
from fhir_server.interactions.patch import patch_target
from fhir_server.interactions.write import existing
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import ReadTransaction, StoredVersion


def identified(entry: Entry, context: Context) -> Entry:
    """The entry with the identity that it changes, or, where only criteria tell, a new one that stands for it.

    Raises FhirError 400 for a Bundle inside the Bundle, 404 or 405 for an operation that is not offered.
    """
    match entry.call:
        case calls.Create() as call:
            new_id = context.new_id()
            made = call._replace(logical_id=new_id)
            return entry.changed(made, (call.resource_type, new_id))
        case calls.ConditionalUpdate() as call:
            sent = call.resource.get("id")
            new_id = sent if isinstance(sent, str) else context.new_id()
            return entry.changed(call._replace(new_id=new_id), (call.resource_type, new_id))
        case calls.ConditionalPatch(resource_type):
            return entry.changed(entry.call, (resource_type, context.new_id()))
        case calls.Update() | calls.Patch() | calls.Delete() as call:
            return entry.changed(call, (call.resource_type, call.logical_id))
        case calls.Operation() as call:
            return entry.changed(call, changed_by(call, context))
        case calls.Batch() | calls.Transaction():
            raise errors.not_supported("A Bundle cannot be run inside a Bundle")
    return entry


def refuse_duplicates(parsed: Iterable[Entry]) -> None:
    """FhirError 400 when two entries change one identity, or select what they change by the same criteria."""
    seen: dict[object, Entry] = {}
    for entry in parsed:
        keys: list[object] = [entry.identity]
        match entry.call:
            case calls.ConditionalUpdate() | calls.ConditionalPatch() | calls.ConditionalDelete():
                keys.append((entry.call.resource_type, tuple(sorted(entry.call.criteria))))
            case calls.Create(resource_type, _, str(criteria)):
                keys.append(
                    (resource_type, tuple(sorted(parse_if_none_exist(resource_type, criteria))))
                )
        for key in keys:
            if key is not None and key in seen:
                raise _twice(entry, f"Bundle.entry[{seen[key].number}]")
            seen[key] = entry


def _twice(entry: Entry, other: str) -> FhirError:
    return errors.invalid(
        f"This entry changes the same resource as {other}; a transaction may change a resource once",
        entry.place,
    )


@dataclass(slots=True)
class Settled:
    """The entries of a transaction once the database has told what their criteria select.

    writing: those that create, update, patch or operate, none conditional any more; results: of those that find
    their resource there already; deleting: entry number -> what it deletes; moved: the identity that stood for an
    entry -> the one that it turned out to have; alone: criteria that must select nothing but what the entry creates.
    """

    writing: list[Entry] = field(default_factory=list)
    results: dict[int, Result] = field(default_factory=dict)
    deleting: dict[int, list[StoredVersion]] = field(default_factory=dict)
    moved: dict[Identity, Identity] = field(default_factory=dict)
    alone: list[tuple[Entry, Parameters]] = field(default_factory=list)
    selected: list[StoredVersion] = field(default_factory=list)

    def changed(self) -> set[Identity]:
        """Every identity that will be written or deleted."""
        found = {entry.identity for entry in self.writing if entry.identity is not None}
        for versions in self.deleting.values():
            found.update((item.resource_type, item.logical_id) for item in versions)
        return found

    def stale(self, transaction: ReadTransaction) -> bool:
        """Whether what criteria selected has changed since."""
        if not self.selected:
            return False
        now = transaction.many([(item.resource_type, item.logical_id) for item in self.selected])
        return any(now.get((item.resource_type, item.logical_id)) != item for item in self.selected)

    def refuse_doubles(self, context: Context, transaction: ReadTransaction) -> None:
        """Once all is written: FhirError 412 when a create by criteria has made one of several that match."""
        for entry, criteria in self.alone:
            assert entry.identity is not None
            resource_type, logical_id = entry.identity
            found = matches(resource_type, criteria, context, transaction)
            if any(item.logical_id != logical_id for item in found):
                raise placed(several(resource_type, criteria), entry.number)


def settle(entries: Iterable[Entry], context: Context, transaction: ReadTransaction) -> Settled:
    """Ask the database what the criteria select.

    A conditional create sees the deletions done already; an update or patch of what is deleted is a contradiction.
    Raises FhirError with the entry's place: 412 when criteria select several, 400 when two entries turn out to
    change one resource.
    """
    settled = Settled()
    gone: dict[Identity, Entry] = {}
    for entry in entries:
        try:
            for version in _deletions(entry, context, transaction, settled):
                identity = (version.resource_type, version.logical_id)
                if identity in gone:
                    raise _twice(entry, gone[identity].place)
                gone[identity] = entry
        except FhirError as refusal:
            raise _at(refusal, entry) from None
    changed = dict(gone)
    for entry in entries:
        try:
            _settle(entry, gone, context, transaction, settled)
        except FhirError as refusal:
            raise _at(refusal, entry) from None
    for entry in settled.writing:
        if entry.identity in changed:
            raise _twice(entry, changed[entry.identity].place)
        if entry.identity is not None:
            changed[entry.identity] = entry
    return settled


def _at(refusal: FhirError, entry: Entry) -> FhirError:
    told = any(entry.place in issue.expression for issue in refusal.issues)
    return refusal if told else placed(refusal, entry.number)


def _deletions(
    entry: Entry, context: Context, transaction: ReadTransaction, settled: Settled
) -> list[StoredVersion]:
    match entry.call:
        case calls.Delete(resource_type, logical_id):
            found = transaction.current(resource_type, logical_id)
            return [found] if found is not None and not found.deleted else []
        case calls.ConditionalDelete():
            selected = to_delete(entry.call, context, transaction)
            settled.deleting[entry.number] = selected
            settled.selected += selected
            return selected
    return []


def _settle(
    entry: Entry,
    gone: dict[Identity, Entry],
    context: Context,
    transaction: ReadTransaction,
    settled: Settled,
) -> None:
    call: Call | None = None
    match entry.call:
        case calls.Create(resource_type, _, str(text)):
            criteria = parse_if_none_exist(resource_type, text)
            found = _remaining(resource_type, criteria, gone, context, transaction)
            if found is not None:
                settled.results[entry.number] = existing(found)
                _move(entry, found.logical_id, settled)
                return
            call = entry.call._replace(if_none_exist=None)
            settled.alone.append((entry, criteria))
        case calls.ConditionalUpdate():
            found = single(entry.call.resource_type, entry.call.criteria, context, transaction)
            call = conditional_target(entry.call, found, transaction)
            if found is None:
                settled.alone.append((entry, entry.call.criteria))
            else:
                settled.selected.append(found)
                _move(entry, found.logical_id, settled)
        case calls.ConditionalPatch():
            found = single(entry.call.resource_type, entry.call.criteria, context, transaction)
            target = patch_target(entry.call, found)
            if found is not None:
                settled.selected.append(found)
            _move(entry, target.logical_id, settled)
            call = target
        case calls.Create() | calls.Update() | calls.Patch():
            call = entry.call
        case calls.Operation() if entry.identity is not None:
            call = entry.call
    if call is not None:
        identity = entry.identity and settled.moved.get(entry.identity, entry.identity)
        settled.writing.append(entry.changed(call, identity))


def _move(entry: Entry, logical_id: str, settled: Settled) -> None:
    assert entry.identity is not None
    actual = (entry.identity[0], logical_id)
    if actual != entry.identity:
        settled.moved[entry.identity] = actual


def _remaining(
    resource_type: str,
    criteria: Parameters,
    gone: dict[Identity, Entry],
    context: Context,
    transaction: ReadTransaction,
) -> StoredVersion | None:
    """The one match that is not deleted by this transaction."""
    limit = 2 + sum(1 for name, _ in gone if name == resource_type)
    found = [
        item
        for item in matches(resource_type, criteria, context, transaction, limit)
        if (item.resource_type, item.logical_id) not in gone
    ]
    if len(found) > 1:
        raise several(resource_type, criteria)
    return found[0] if found else None
