"""What every store does; the same contract tests run on SQLite, PostgreSQL and the in-memory reference.

https://hl7.org/fhir/R4/http.html#versioning
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol, TypeVar

from fhir_server.search.entries import IndexEntries, TokenEntry
from fhir_server.search.expression import Expression, Position, Query, Table
from fhir_server.store.claims import Claims, ReadClaims, Replies
from fhir_server.store.defined import CatalogueTransaction, Defined
from fhir_server.store.promise import Promise
from fhir_server.store.window import Referrers, Window

T = TypeVar("T")
# How often a work that lost a race is run again before its caller is told to (503).
AGAIN = 3
Soon = Callable[[Callable[[], None]], object]
Method = Literal["POST", "PUT", "PATCH", "DELETE"]


class StoredVersion(NamedTuple):
    """One version of a resource as stored.

    key: internal number of the resource (the same for all its versions), ascending by creation.
    last_updated: microseconds since 1970-01-01T00:00Z, millisecond precision. body: the JSON bytes that are served,
    meta inside; empty for a deletion. created: this version came into being by a create (201), not an update.
    """

    key: int
    resource_type: str
    logical_id: str
    version_id: int
    last_updated: int
    method: Method
    created: bool
    body: bytes

    @property
    def deleted(self) -> bool:
        return self.method == "DELETE"


class Recoded(NamedTuple):
    """What is indexed of a version whose one code of a token parameter is another one: all else stays."""

    parameter: int
    before: str
    after: str

    def of(self, entries: IndexEntries) -> IndexEntries:
        """The entries of that version, when those are the ones before it."""
        return frozenset(
            entry._replace(code=self.after)
            if isinstance(entry, TokenEntry)
            and (entry.parameter, entry.code) == (self.parameter, self.before)
            else entry
            for entry in entries
        )


class Later(NamedTuple):
    """The entries of a new resource, to be found when something may ask for them.

    find: gives them; unique: those that have to be claimed at once.
    """

    find: Callable[[], IndexEntries]
    unique: IndexEntries

    def all(self) -> IndexEntries:
        """Found now."""
        return self.find() | self.unique


class Hit(NamedTuple):
    """A match of a search and its position in the order, which the next page starts after."""

    version: StoredVersion
    position: Position


class Match(NamedTuple):
    """A match as a page shows it, which is cheaper than a whole version; body: the bytes that are served."""

    key: int
    resource_type: str
    logical_id: str
    body: bytes
    position: Position


Found = Match | StoredVersion


class Reference(NamedTuple):
    """What a parameter of some resources refers to; version is "" unless the reference names one."""

    parameter: int
    target_type: str
    target_id: str
    version: str


class Link(NamedTuple):
    """One reference from a resource to another of this server; version is "" unless the reference names one."""

    source_key: int
    parameter: int
    target_type: str
    target_id: str
    version: str


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Versions newest first: of one resource (both set), of a type (resource_type set) or of the system (neither).

    since: at or after, microseconds. until: at or before; see ReadTransaction.settled.
    at: only versions that were current at some moment in [at_low, at_high).
    after: only versions before that position: of the last version of the page before, as HistoryHit gave it.
    begin: only versions at that position or later; see ReadTransaction.settled_position.
    """

    resource_type: str | None = None
    logical_id: str | None = None
    since: int | None = None
    until: int | None = None
    at_low: int | None = None
    at_high: int | None = None
    limit: int = 50
    after: tuple[int, int] | None = None
    begin: tuple[int, int] | None = None


class HistoryHit(NamedTuple):
    """A version of a history and its position in the order."""

    version: StoredVersion
    position: tuple[int, int]


class ReadTransaction(Protocol):
    """A consistent view of the store."""

    @property
    def catalogue(self) -> CatalogueTransaction:
        """The search parameters of the deployment's own; only a Transaction can change them."""

    @property
    def claims(self) -> ReadClaims:
        """The claims on the seats of slots."""

    def alone(self) -> None:
        """Tell that the next question is the only one that is asked of this view: so it needs no snapshot."""

    def mark(self, name: str) -> bytes | None:
        """What renew_mark(name) has left last; None when nothing ever has."""

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """The newest version, which may be a deletion; None when the id was never used."""

    def version(self, resource_type: str, logical_id: str, version_id: int) -> StoredVersion | None:
        """That version, or None."""

    def history(self, query: HistoryQuery) -> list[HistoryHit]:
        """A page of versions, newest first (last_updated, then insertion, both descending)."""

    def history_total(self, query: HistoryQuery) -> int | None:
        """How many versions the history has in all, limit and after left out; None: that is not told."""

    def settled(self) -> int:
        """The moment (microseconds) up to which histories are complete; to be called first in a view.

        No version older than it will be added any more, whichever process writes it. So who reads versions until it,
        and next time those since it (or since the newest seen), misses none. What was acknowledged before the call
        is not younger, unless another write has been going on for longer than the store is willing to wait.
        """

    def settled_position(self) -> tuple[int, int]:
        """The position before which histories are complete; to be called first in a view.

        No version will be added before it any more. So who reads the versions before it, and next time those from it
        on, reads each once and misses none, however many have one moment. What was acknowledged before the call is
        before it, with the same exception as for settled.
        """

    def search(self, query: Query) -> list[Hit]:
        """A page of matches in the query's order."""

    def page(
        self, query: Query, follow: frozenset[int] = frozenset(), *, last: bool = False
    ) -> list[Match]:
        """The same page, to be shown; follow: the parameters that referred is asked for next, of its matches.

        last: nothing but that will be asked of this view.
        """

    def derived(self, query: Query, make: Callable[[bytes], T]) -> list[T]:
        """What make (a function of a module) makes of the body of each match, in the order of an unsorted first page.

        It is kept for each version that is committed, so bodies are read and made something of once only.
        """

    def count(self, resource_types: tuple[str, ...], where: Expression) -> int:
        """How many matches there are."""

    def window(self, wanted: Window) -> tuple[list[Match], int]:
        """A page of what is in a window, soonest first, and how many there are in all."""

    def owned_window(
        self, wanted: Window, by: Referrers, most: int
    ) -> tuple[list[Match], list[Match], int]:
        """At most so many current resources that refer as told, and the window of which they are the owners.

        wanted.owners tells their type, which is the same for all; its ids are not looked at. As referrers and then
        window, but both can be one question.
        """

    def links_from(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Link]:
        """The references that those resources make by those parameters."""

    def references(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Reference]:
        """What those resources refer to by those parameters, each once, in no order."""

    def referred(
        self,
        resources: Sequence[Found],
        parameters: Sequence[int],
        types: Sequence[str] = (),
    ) -> dict[Reference, Found | None]:
        """The same, each with the current version of what it refers to (_include); of those types, if any are named.

        None where that is deleted or was never there, and for a reference that names a version.
        """

    def links_to(
        self, targets: Sequence[tuple[str, str]], parameters: Sequence[int], limit: int
    ) -> list[Link]:
        """At most limit references of current resources to those (type, id) by those parameters (_revinclude)."""

    def referrers(self, by: Referrers, limit: int) -> list[Match]:
        """At most limit current resources, by key, that refer as told."""

    def many(self, identities: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredVersion]:
        """The current, not deleted versions of those (type, id)."""

    def by_key(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """The current, not deleted versions of the resources with those keys."""

    def examples(self, table: Table, parameters: Sequence[int], limit: int) -> list[int]:
        """At most limit keys: of one current resource for each different value of those parameters in the table.

        A token differs from another by system and code, a uri by value and version.
        """

    def index_difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """How many index rows of a resource are missing, and how many are too many, if these are its entries."""

    def stray_rows(self) -> dict[tuple[str, str], int]:
        """How many index rows there are of what is no current resource, by (type, id); ("", key) for what never was."""


class Transaction(ReadTransaction, Protocol):
    """A consistent view that can change; everything in it is stored, or nothing."""

    @property
    def floor(self) -> int:
        """No version put here may be older than this moment (microseconds): histories that were read stay complete."""

    @property
    def claims(self) -> Claims:
        """The claims on the seats of slots."""

    @property
    def replies(self) -> Replies:
        """Answers kept for requests that are sent again."""

    def renew_mark(self, name: str) -> None:
        """Leave other bytes than ever before, so that everybody sees that what is marked has changed."""

    def lock(self, identities: Sequence[tuple[str, str]]) -> None:
        """Until the end, no other transaction locks the same (type, id); existing or not. One fixed order inside.

        An id of "" locks the creation by criteria (conditional interactions) of that type.
        """

    def unused(self, identities: Iterable[tuple[str, str]]) -> None:
        """Ids that were just chosen at random: the store need not lock them, nor look for one before it is put."""

    def reindex(self, key: int, entries: IndexEntries) -> bool:
        """Make the index rows of a current resource those of the entries; whether they were others.

        FhirError 409 when another resource has a UniqueEntry of them.
        """

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
        """Append the version after previous (version 1 when None, as with Later) and make it current.

        previous_entries are those of previous, when the caller knows them: only the difference is written; otherwise
        the store reads them. A deletion has no body and no entries. Raises VersionConflict when previous is not
        the current version any more (or the id exists already): the caller's view was stale; FhirError 409 when
        another resource has a UniqueEntry of the entries.
        """


class OverBudget(Exception):
    """A read took longer than the time it was given; it has changed nothing and can be done again without haste."""


class VersionConflict(Exception):
    """Another transaction was faster; the work can be tried again from the start."""


class Store(Protocol):
    """A place where resources are kept."""

    def read(self, budget: float | None = None) -> AbstractContextManager[ReadTransaction]:
        """A consistent view, to be used by the calling thread only, and briefly.

        budget: seconds of work after which a store may raise OverBudget, for callers that must not wait. Without one a
        search that takes longer than the deployment allows raises FhirError too_costly.
        """

    def submit(self, work: Callable[[Transaction], T], soon: Soon | None = None) -> Promise[T]:
        """Run work in one transaction, on a thread of the store's.

        soon is given for a work that takes a few milliseconds at most: it has the store's function called on a thread
        that may run such works too, without waiting for it; what is durable is still told by the promise.
        The promise holds its result once everything is durable, or what it raised once nothing of it remains. Work
        may be run again from the start after a VersionConflict, a deadlock or a lost group (at most AGAIN times, then
        FhirError 503), so it must not have effects of its own.
        """

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""

    def keys(
        self, resource_type: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[int]:
        """Internal keys of current, not deleted resources, ascending (for check-store and reindexing)."""

    def defined(self) -> list[Defined]:
        """The search parameters of the deployment's own."""

    def secret(self, name: str) -> bytes:
        """32 random bytes that belong to the database: made once, the same for every process."""

    def gather_statistics(self) -> None:
        """Let the database look at what is stored before it plans: after much was written, sooner than it would."""

    def unsound(self) -> list[str]:
        """What is wrong with the indexes that are not rows of a resource, in sentences for check-store."""

    def mend(self) -> None:
        """Make those anew that are wrong."""

    def ready(self) -> bool:
        """Whether the database answers."""

    def close(self) -> None:
        """Finish what was submitted, then release everything."""
