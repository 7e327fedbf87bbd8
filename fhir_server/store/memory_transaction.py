"""A transaction of the in-memory reference: dictionaries, searched by the in-memory predicate.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeVar

from fhir_server.search.entries import IndexEntries, UniqueEntry
from fhir_server.search.expression import Expression, Query, Table
from fhir_server.search.matcher import Candidate, in_order, matches, position, precedes
from fhir_server.spec import errors
from fhir_server.store.contract import (
    Found,
    HistoryHit,
    HistoryQuery,
    Hit,
    Later,
    Link,
    Match,
    Method,
    Recoded,
    Reference,
    StoredVersion,
    VersionConflict,
)
from fhir_server.store.memory_catalogue import MemoryCatalogue
from fhir_server.store.memory_claims import MemoryClaims, MemoryReplies
from fhir_server.store.memory_history import shown
from fhir_server.store.memory_links import links_from, links_to, referred, referrers
from fhir_server.store.window import Referrers, Window, owned_window

if TYPE_CHECKING:
    from fhir_server.store.memory import MemoryStore

T = TypeVar("T")
Identity = tuple[str, str]


class MemoryTransaction:
    """A Transaction on a MemoryStore; also the World of its searches."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self._undo: list[tuple[StoredVersion, IndexEntries | None]] = []
        self.claims = MemoryClaims(store.ledger)
        self.replies = MemoryReplies(store.ledger)

    @property
    def floor(self) -> int:
        """Transactions follow one another: none puts a version older than what is there."""
        return self.settled()

    @property
    def catalogue(self) -> MemoryCatalogue:
        """The search parameters of the deployment's own."""
        return MemoryCatalogue(self.store)

    def alone(self) -> None:
        """Every view is a snapshot."""

    def settled(self) -> int:
        """The moment of the newest version."""
        return max((item.last_updated for item in self.store.versions[-1:]), default=0)

    def settled_position(self) -> tuple[int, int]:
        """After the newest version."""
        return self.settled(), len(self.store.versions)

    def mark(self, name: str) -> bytes | None:
        """What was left last."""
        return self.store.marks.get(name)

    def renew_mark(self, name: str) -> None:
        """That stays when the transaction is undone: a mark too new is looked behind in vain, once."""
        self.store.marks[name] = secrets.token_bytes(16)

    def unused(self, identities: Iterable[Identity]) -> None:
        """Looking costs nothing here."""

    def lock(self, identities: Sequence[Identity]) -> None:
        """One writer at a time anyway."""

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """The newest version."""
        found = self.store.by_identity.get((resource_type, logical_id))
        return found[-1] if found else None

    def version(self, resource_type: str, logical_id: str, version_id: int) -> StoredVersion | None:
        """That version."""
        found = self.store.by_identity.get((resource_type, logical_id), [])
        return found[version_id - 1] if 1 <= version_id <= len(found) else None

    def history(self, query: HistoryQuery) -> list[HistoryHit]:
        """A page of versions, newest first."""
        listed = sorted(shown(self.store, query), key=lambda hit: hit.position, reverse=True)
        if query.after is not None:
            listed = [hit for hit in listed if hit.position < query.after]
        return listed[: query.limit]

    def history_total(self, query: HistoryQuery) -> int:
        """How many versions."""
        return len(shown(self.store, query))

    def search(self, query: Query) -> list[Hit]:
        """A page of matches."""
        found = [
            (position(candidate, query.sort), candidate)
            for candidate in self._matching(query.resource_types, query.where)
        ]
        if query.after is not None:
            after = query.after
            found = [
                item
                for item in found
                if (
                    precedes(item[0], after, query.sort)
                    if query.backward
                    else precedes(after, item[0], query.sort)
                )
            ]
        place_of = in_order(query.sort)
        found.sort(key=lambda item: place_of(item[0]))
        page = found[-query.limit :] if query.backward else found[: query.limit]
        return [Hit(self._version(candidate), place) for place, candidate in page]

    def page(
        self,
        query: Query,
        follow: frozenset[int] = frozenset(),  # noqa: ARG002 - nothing is found on the way
        *,
        last: bool = False,  # noqa: ARG002 - the lock is the snapshot
    ) -> list[Match]:
        """A page to be shown."""
        found = self.search(query)
        return [Match(v.key, v.resource_type, v.logical_id, v.body, place) for v, place in found]

    def derived(self, query: Query, make: Callable[[bytes], T]) -> list[T]:
        """Made each time."""
        return [make(item.body) for item in self.page(query)]

    def count(self, resource_types: tuple[str, ...], where: Expression) -> int:
        """How many matches."""
        return sum(1 for _ in self._matching(resource_types, where))

    def window(self, wanted: Window) -> tuple[list[Match], int]:
        """A page of the search that it is, and how many match."""
        return self.page(wanted.query()), self.count((wanted.resource_type,), wanted.where())

    def owned_window(
        self, wanted: Window, by: Referrers, most: int
    ) -> tuple[list[Match], list[Match], int]:
        """One after the other."""
        return owned_window(wanted, by, most, self)

    def _matching(self, resource_types: tuple[str, ...], where: Expression) -> Iterator[Candidate]:
        for resource_type in dict.fromkeys(resource_types):
            for candidate in self.candidates(resource_type):
                if matches(where, candidate, self):
                    yield candidate

    def _version(self, candidate: Candidate) -> StoredVersion:
        return self.store.by_identity[candidate.resource_type, candidate.logical_id][-1]

    def candidates(self, resource_type: str) -> Iterable[Candidate]:
        """The current resources of a type."""
        for identity in self.store.by_identity:
            if identity[0] == resource_type:
                found = self.candidate(*identity)
                if found is not None:
                    yield found

    def candidate(self, resource_type: str, logical_id: str) -> Candidate | None:
        """One current resource."""
        version = self.current(resource_type, logical_id)
        if version is None or version.deleted:
            return None
        entries = self.store.indexed[version.key]
        return Candidate(version.key, resource_type, logical_id, version.last_updated, entries)

    def links_from(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Link]:
        """The references that those resources make."""
        return links_from(keys, parameters, self.store.indexed)

    def references(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Reference]:
        """What they refer to."""
        return list({Reference(*link[1:]): None for link in self.links_from(keys, parameters)})

    def referred(
        self,
        resources: Sequence[Found],
        parameters: Sequence[int],
        types: Sequence[str] = (),
    ) -> dict[Reference, Found | None]:
        """What they refer to, and what is there."""
        return referred([item.key for item in resources], parameters, types, self)

    def links_to(
        self, targets: Sequence[Identity], parameters: Sequence[int], limit: int
    ) -> list[Link]:
        """References to those resources."""
        return links_to(targets, parameters, self.store.indexed)[:limit]

    def referrers(self, by: Referrers, limit: int) -> list[Match]:
        """Who refers to those, or to what does."""
        return referrers(by, limit, self)

    def many(self, identities: Sequence[Identity]) -> dict[Identity, StoredVersion]:
        """The current, not deleted versions of those."""
        found = {identity: self.current(*identity) for identity in identities}
        return {
            identity: version
            for identity, version in found.items()
            if version is not None and not version.deleted
        }

    def by_key(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """The current, not deleted versions with those keys."""
        found = {
            key: self.store.by_identity[self.store.keyed[key]][-1]
            for key in keys
            if key in self.store.keyed
        }
        return {key: version for key, version in found.items() if not version.deleted}

    def examples(self, table: Table, parameters: Sequence[int], limit: int) -> list[int]:
        """The keys of one resource for each different value."""
        del table  # a parameter's entries are all of one kind
        wanted = set(parameters)
        found: dict[object, int] = {}
        for key in sorted(self.store.indexed):
            for entry in self.store.indexed[key]:
                if entry.parameter in wanted:
                    found.setdefault(entry._replace(parameter=0), key)
        return list(found.values())[:limit]

    def index_difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """Compare with what is indexed."""
        indexed = self.store.indexed.get(key, frozenset())
        return len(entries - indexed), len(indexed - entries)

    def stray_rows(self) -> dict[Identity, int]:
        """What is indexed of deleted resources."""
        store = self.store
        return {
            identity: len(store.indexed[key])
            for key, identity in store.keyed.items()
            if store.by_identity[identity][-1].deleted and store.indexed[key]
        }

    def reindex(self, key: int, entries: IndexEntries) -> bool:
        """Make the entries of a resource these."""
        self._claim(key, entries)
        changed = self.store.indexed[key] != entries
        self.store.indexed[key] = entries
        return changed

    def put(
        self,
        *,
        resource_type: str,
        logical_id: str,
        previous: StoredVersion | None,
        last_updated: int,
        method: Method,
        created: bool,
        body: bytes,
        entries: IndexEntries | Recoded | Later,
        previous_entries: IndexEntries | None = None,
    ) -> StoredVersion:
        """Append a version."""
        del previous_entries  # the whole set is replaced
        store = self.store
        if self.current(resource_type, logical_id) != previous:
            raise VersionConflict(f"{resource_type}/{logical_id}")
        key = previous.key if previous else len(store.keyed) + 1
        if isinstance(entries, Recoded):
            entries = entries.of(store.indexed[key])
        elif isinstance(entries, Later):
            entries = entries.all()
        self._claim(key, entries)
        version = StoredVersion(
            key,
            resource_type,
            logical_id,
            previous.version_id + 1 if previous else 1,
            last_updated,
            method,
            created,
            body,
        )
        self._undo.append((version, store.indexed.get(key)))
        store.versions.append(version)
        store.by_identity.setdefault((resource_type, logical_id), []).append(version)
        store.keyed[key] = (resource_type, logical_id)
        store.indexed[key] = entries
        return version

    def _claim(self, key: int, entries: IndexEntries) -> None:
        claimed = {entry for entry in entries if isinstance(entry, UniqueEntry)}
        if claimed and any(
            claimed & indexed for other, indexed in self.store.indexed.items() if other != key
        ):
            raise errors.duplicate(
                "Another resource has one of the identifiers, and its system is declared to be unique",
                "identifier",
            )

    def undo(self) -> None:
        """Take back everything that was put."""
        self.claims.undo()
        self.replies.undo()
        for version, entries in reversed(self._undo):
            identity = (version.resource_type, version.logical_id)
            self.store.versions.pop()
            self.store.by_identity[identity].pop()
            if not self.store.by_identity[identity]:
                del self.store.by_identity[identity], self.store.keyed[version.key]
            del self.store.indexed[version.key]
            if entries is not None:
                self.store.indexed[version.key] = entries
        self._undo.clear()
