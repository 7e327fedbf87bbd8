"""What every store does; the same contract tests run on SQLite, PostgreSQL and the in-memory reference.

https://hl7.org/fhir/R4/http.html#versioning
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Expression, Position, Query
from fhir_server.store.claims import Claims, ReadClaims, Replies

T = TypeVar("T")
Method = Literal["POST", "PUT", "PATCH", "DELETE"]


@dataclass(frozen=True, slots=True)
class StoredVersion:
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


@dataclass(frozen=True, slots=True)
class Hit:
    """A match of a search and its position in the order, which the next page starts after."""

    version: StoredVersion
    position: Position


@dataclass(frozen=True, slots=True)
class Link:
    """One reference from a resource to another of this server; version is "" unless the reference names one."""

    source_key: int
    parameter: int
    target_type: str
    target_id: str
    version: str


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """Versions newest first: of one resource (both set), of a type (resource_type set) or of the system (neither).

    since: at or after, microseconds. at: only versions that were current at some moment in [at_low, at_high).
    after: the position of the last version of the page before, as HistoryHit gave it.
    """

    resource_type: str | None = None
    logical_id: str | None = None
    since: int | None = None
    at_low: int | None = None
    at_high: int | None = None
    limit: int = 50
    after: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class HistoryHit:
    """A version of a history and its position in the order."""

    version: StoredVersion
    position: tuple[int, int]


class ReadTransaction(Protocol):
    """A consistent view of the store."""

    @property
    def claims(self) -> ReadClaims:
        """The claims on the seats of slots."""

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """The newest version, which may be a deletion; None when the id was never used."""

    def version(self, resource_type: str, logical_id: str, version_id: int) -> StoredVersion | None:
        """That version, or None."""

    def history(self, query: HistoryQuery) -> list[HistoryHit]:
        """A page of versions, newest first (last_updated, then insertion, both descending)."""

    def history_total(self, query: HistoryQuery) -> int:
        """How many versions the history has in all, limit and after left out."""

    def search(self, query: Query) -> list[Hit]:
        """A page of matches in the query's order."""

    def count(self, resource_types: tuple[str, ...], where: Expression) -> int:
        """How many matches there are."""

    def links_from(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Link]:
        """The references that those resources make by those parameters (_include)."""

    def links_to(
        self, targets: Sequence[tuple[str, str]], parameters: Sequence[int], limit: int
    ) -> list[Link]:
        """At most limit references of current resources to those (type, id) by those parameters (_revinclude)."""

    def many(self, identities: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredVersion]:
        """The current, not deleted versions of those (type, id)."""

    def by_key(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """The current, not deleted versions of the resources with those keys."""

    def index_difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """How many index rows of a resource are missing, and how many are too many, if these are its entries."""


class Transaction(ReadTransaction, Protocol):
    """A consistent view that can change; everything in it is stored, or nothing."""

    @property
    def claims(self) -> Claims:
        """The claims on the seats of slots."""

    @property
    def replies(self) -> Replies:
        """Answers kept for requests that are sent again."""

    def lock(self, identities: Sequence[tuple[str, str]]) -> None:
        """Until the end, no other transaction locks the same (type, id); existing or not. One fixed order inside.

        An id of "" locks the creation by criteria (conditional interactions) of that type.
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
        entries: IndexEntries,
        previous_entries: IndexEntries | None = None,
    ) -> StoredVersion:
        """Append the version after previous (version 1 when None) and make it current.

        previous_entries are those of previous, when the caller knows them: only the difference is written; otherwise
        the store reads them. A deletion has no body and no entries. Raises VersionConflict when previous is not
        the current version any more (or the id exists already): the caller's view was stale.
        """


class OverBudget(Exception):
    """A read took longer than the time it was given; it has changed nothing and can be done again without haste."""


class VersionConflict(Exception):
    """Another transaction was faster; the work can be tried again from the start."""


class Store(Protocol):
    """A place where resources are kept."""

    def read(self, budget: float | None = None) -> AbstractContextManager[ReadTransaction]:
        """A consistent view, to be used by the calling thread only, and briefly.

        budget: seconds after which a store may raise OverBudget, for callers that must not wait. Without one a
        search that takes longer than the deployment allows raises FhirError too_costly.
        """

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run work in one transaction, on a thread of the store's.

        The future holds its result once everything is durable, or what it raised once nothing of it remains. Work
        may be run again from the start after a VersionConflict, a deadlock or a busy database (at most 3 times, then
        FhirError 503), so it must not have effects of its own.
        """

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""

    def keys(
        self, resource_type: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[int]:
        """Internal keys of current, not deleted resources, ascending (for check-store and reindexing)."""

    def secret(self, name: str) -> bytes:
        """32 random bytes that belong to the database: made once, the same for every process."""

    def ready(self) -> bool:
        """Whether the database answers."""

    def close(self) -> None:
        """Finish what was submitted, then release everything."""
