"""A transaction as its caller sees it: what the caller may not see is not there, whatever is asked and however.

Rules ask what is behind it: they have to know of everything. https://hl7.org/fhir/R4/security.html#accesscontrol
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target
from fhir_server.interactions.sight import Sight, access, sight
from fhir_server.search import expression as x
from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Expression, Query, Table
from fhir_server.search.parameters import parameter
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.claims import Claims, Replies
from fhir_server.store.contract import (
    Found,
    HistoryHit,
    HistoryQuery,
    Hit,
    Link,
    Match,
    ReadTransaction,
    Reference,
    StoredVersion,
    Transaction,
)
from fhir_server.store.defined import CatalogueTransaction
from fhir_server.store.window import Referrers, Window, owned_window

T = TypeVar("T", bound=ReadTransaction)
Made = TypeVar("Made")
Identity = tuple[str, str]
_CHUNK = 500
# So many versions are looked at for one page of a history of which the caller sees little.
_MOST_LOOKED_AT = 20_000


class Seen:
    """A Transaction (or, of a read, a ReadTransaction) narrowed to what a caller sees; whole: all of it."""

    def __init__(self, whole: Transaction, seeing: Sight, context: Context) -> None:
        self.whole = whole
        self.sight = seeing
        self.context = context

    def visible(self, resource_type: str, ids: Collection[str]) -> set[str]:
        """Those of the ids whose current resource is seen."""
        return self.holding(self.sight.view(resource_type), resource_type, ids)

    def holding(
        self, where: Expression | None, resource_type: str, ids: Collection[str]
    ) -> set[str]:
        """Those of the ids for whose current resource the expression holds; None holds of all."""
        if where is None or not ids:
            return set(ids)
        narrowed = x.And((x.IdIn(tuple(ids)), where))
        hits = self.whole.page(Query((resource_type,), narrowed, limit=len(ids)))
        return {hit.logical_id for hit in hits}

    def _is_open(self, version: StoredVersion) -> bool:
        """Whether what is not listed may be read by who knows its id: unless only what is hidden names it.

        FhirError 403 when its securityContext is hidden (https://hl7.org/fhir/R4/binary.html#security-context).
        """
        context = parse_stored(version.body).get("securityContext", {}).get("reference", "")
        target = local_target(context, self.context)
        if target is not None and self.current(*target) is None:
            raise errors.forbidden("This is as closed as what its securityContext refers to")
        source, _, code = access()["unlisted"][version.resource_type].partition(":")
        naming = parameter(source, code)
        assert naming is not None
        name = f"{version.resource_type}/{version.logical_id}"
        urls = (name, *(f"{base}/{name}" for base in self.context.policy.base_urls))
        where = x.UriMatch((naming.number,), "exact", urls)
        return not self.whole.count((source,), where) or bool(self.count((source,), where))

    def _covers(self, resource_type: str) -> bool:
        return self.sight.view(resource_type) is not None

    def _kept(self, versions: Iterable[Match | StoredVersion]) -> set[Identity]:
        """The identities of those that are seen."""
        ids: dict[str, set[str]] = {}
        for item in versions:
            ids.setdefault(item.resource_type, set()).add(item.logical_id)
        return {(name, item) for name, listed in ids.items() for item in self.visible(name, listed)}

    @property
    def catalogue(self) -> CatalogueTransaction:
        """The parameters are everybody's."""
        return self.whole.catalogue

    @property
    def claims(self) -> Claims:
        """Seats are told of by rules only."""
        return self.whole.claims

    @property
    def replies(self) -> Replies:
        """Each client has its own."""
        return self.whole.replies

    @property
    def floor(self) -> int:
        """See Transaction."""
        return self.whole.floor

    def alone(self) -> None:
        """What is asked is asked of more than one statement here."""

    def mark(self, name: str) -> bytes | None:
        """See ReadTransaction."""
        return self.whole.mark(name)

    def settled(self) -> int:
        """See ReadTransaction."""
        return self.whole.settled()

    def settled_position(self) -> tuple[int, int]:
        """See ReadTransaction."""
        return self.whole.settled_position()

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """The newest version; None when it is hidden, and of a type that may be hidden when it was deleted."""
        version = self.whole.current(resource_type, logical_id)
        if version is None or not self._covers(resource_type):
            return version
        if version.deleted:
            return None
        if resource_type in access()["unlisted"]:
            return version if self._is_open(version) else None
        return version if self.visible(resource_type, [logical_id]) else None

    def version(self, resource_type: str, logical_id: str, version_id: int) -> StoredVersion | None:
        """That version, when the current one is seen."""
        if self._covers(resource_type) and self.current(resource_type, logical_id) is None:
            return None
        return self.whole.version(resource_type, logical_id, version_id)

    def history(self, query: HistoryQuery) -> list[HistoryHit]:
        """A page of versions of what is seen now; FhirError 403 when too many others lie between them."""
        if query.resource_type is not None and not self._covers(query.resource_type):
            return self.whole.history(query)
        if query.resource_type is not None and query.logical_id is not None:
            seen = self.current(query.resource_type, query.logical_id)
            return [] if seen is None else self.whole.history(query)
        found: list[HistoryHit] = []
        looked_at = 0
        asked = replace(query, limit=max(query.limit, _CHUNK))
        while True:
            hits = self.whole.history(asked)
            kept = self._kept(hit.version for hit in hits)
            found += [
                hit for hit in hits if (hit.version.resource_type, hit.version.logical_id) in kept
            ]
            looked_at += len(hits)
            if len(found) >= query.limit or len(hits) < asked.limit:
                return found[: query.limit]
            if looked_at >= _MOST_LOOKED_AT:
                raise errors.too_costly(
                    "There is too much in this history that is not for this caller; narrow it by _since"
                )
            asked = replace(asked, after=hits[-1].position)

    def history_total(self, query: HistoryQuery) -> int | None:
        """How many versions; None where others would have to be counted, too."""
        name, logical_id = query.resource_type, query.logical_id
        if name is None or (logical_id is None and self._covers(name)):
            return None
        return self.whole.history_total(query)

    def search(self, query: Query) -> list[Hit]:
        """A page of the matches that are seen."""
        return self.whole.search(self._narrowed(query))

    def page(
        self,
        query: Query,
        follow: frozenset[int] = frozenset(),
        *,
        last: bool = False,  # noqa: ARG002 - who may see what is asked after it
    ) -> list[Match]:
        """The same page, to be shown."""
        return self.whole.page(self._narrowed(query), follow)

    def derived(self, query: Query, make: Callable[[bytes], Made]) -> list[Made]:
        """Of the matches that are seen."""
        return self.whole.derived(self._narrowed(query), make)

    def _narrowed(self, query: Query) -> Query:
        return replace(query, where=self.sight.narrowed(query.resource_types, query.where))

    def count(self, resource_types: tuple[str, ...], where: Expression) -> int:
        """How many matches are seen."""
        return self.whole.count(resource_types, self.sight.narrowed(resource_types, where))

    def window(self, wanted: Window) -> tuple[list[Match], int]:
        """A page of what is seen in a window, and how many there are."""
        if not self._covers(wanted.resource_type):
            return self.whole.window(wanted)
        return self.page(wanted.query()), self.count((wanted.resource_type,), wanted.where())

    def owned_window(
        self, wanted: Window, by: Referrers, most: int
    ) -> tuple[list[Match], list[Match], int]:
        """In two steps, each of what is seen."""
        return owned_window(wanted, by, most, self)

    def links_from(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Link]:
        """The keys are of what is seen."""
        return self.whole.links_from(keys, parameters)

    def references(self, keys: Sequence[int], parameters: Sequence[int]) -> list[Reference]:
        """The keys are of what is seen."""
        return self.whole.references(keys, parameters)

    def referred(
        self,
        resources: Sequence[Found],
        parameters: Sequence[int],
        types: Sequence[str] = (),
    ) -> dict[Reference, Found | None]:
        """None for what is hidden, as for what is not there."""
        found = self.whole.referred(resources, parameters, types)
        seen = self._kept(version for version in found.values() if version is not None)
        return {
            item: version if (item.target_type, item.target_id) in seen else None
            for item, version in found.items()
        }

    def links_to(
        self, targets: Sequence[Identity], parameters: Sequence[int], limit: int
    ) -> list[Link]:
        """The links of what is seen; FhirError 403 when there may be more than were looked at."""
        found = self.whole.links_to(targets, parameters, limit)
        seen = self.by_key([link.source_key for link in found])
        kept = [link for link in found if link.source_key in seen]
        if len(found) == limit and len(kept) < limit:
            raise errors.too_costly("Too much refers to this; ask for less at a time")
        return kept

    def referrers(self, by: Referrers, limit: int) -> list[Match]:
        """Those that are seen; FhirError 403 when there may be more than were looked at."""
        found = self.whole.referrers(by, limit)
        seen = self._kept(found)
        kept = [item for item in found if (item.resource_type, item.logical_id) in seen]
        if len(found) == limit and len(kept) < limit:
            raise errors.too_costly("Too much refers to this; ask for less at a time")
        return kept

    def many(self, identities: Sequence[Identity]) -> dict[Identity, StoredVersion]:
        """Those that are seen."""
        found = self.whole.many(identities)
        seen = self._kept(found.values())
        return {identity: version for identity, version in found.items() if identity in seen}

    def by_key(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """Those that are seen."""
        found = self.whole.by_key(keys)
        seen = self._kept(found.values())
        return {
            key: version
            for key, version in found.items()
            if (version.resource_type, version.logical_id) in seen
        }

    def examples(self, table: Table, parameters: Sequence[int], limit: int) -> list[int]:
        """A value that only the example of a hidden resource has is lost with it."""
        return list(self.by_key(self.whole.examples(table, parameters, limit)))

    def index_difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """See ReadTransaction."""
        return self.whole.index_difference(key, entries)

    def stray_rows(self) -> dict[Identity, int]:
        """See ReadTransaction."""
        return self.whole.stray_rows()

    def renew_mark(self, name: str) -> None:
        """See Transaction."""
        self.whole.renew_mark(name)

    def unused(self, identities: Iterable[Identity]) -> None:
        """See Transaction."""
        self.whole.unused(identities)

    def lock(self, identities: Sequence[Identity]) -> None:
        """See Transaction."""
        self.whole.lock(identities)

    def reindex(self, key: int, entries: IndexEntries) -> bool:
        """See Transaction."""
        return self.whole.reindex(key, entries)

    def put(self, **version: Any) -> StoredVersion:
        """See Transaction."""
        return self.whole.put(**version)


def seen(transaction: ReadTransaction, context: Context) -> ReadTransaction:
    """The transaction as the caller of that context sees it; itself when the caller sees everything."""
    if context.caller is None or isinstance(transaction, Seen):
        return transaction
    seeing = sight(context, transaction)
    return (
        transaction if seeing is None else Seen(cast("Transaction", transaction), seeing, context)
    )


def seen_writable(transaction: Transaction, context: Context) -> Transaction:
    """The same for a transaction that can change."""
    return cast("Transaction", seen(transaction, context))


def whole(transaction: T) -> T:
    """All of a transaction, for who has to know of everything."""
    return cast("T", transaction.whole) if isinstance(transaction, Seen) else transaction
