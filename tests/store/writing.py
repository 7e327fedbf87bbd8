"""Putting versions into a store without the rest of the server."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from sqlalchemy.engine import make_url

from fhir_server.search.entries import IndexEntries, IndexEntry
from fhir_server.store.contract import Later, Method, Store, StoredVersion, Transaction

SECOND = 1_000_000
NOON = 1_700_000_000 * SECOND


def plain(url: str) -> str:
    """The URL as psycopg takes it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def put(
    transaction: Transaction,
    identity: str,
    entries: Iterable[IndexEntry] = (),
    *,
    method: Method = "PUT",
    at: int | None = None,
    body: bytes | None = None,
    previous: StoredVersion | str | None = "current",
    above_floor: bool = True,
    previous_entries: Iterable[IndexEntry] | None = None,
    later: bool = False,
) -> StoredVersion:
    """The next version of Type/id; its body is its version id unless given, its time not below the store's floor.

    later: the entries of a new one are found when they are needed, and its id is said to be unused.
    """
    resource_type, _, logical_id = identity.partition("/")
    if isinstance(previous, str):
        previous = transaction.current(resource_type, logical_id)
    moment = NOON if at is None else at
    if above_floor:
        moment = max(moment, transaction.floor)
    number = previous.version_id + 1 if previous else 1
    found: IndexEntries | Later
    if later and previous is None:
        transaction.unused([(resource_type, logical_id)])
        found = Later(partial(frozenset, entries), frozenset())
    else:
        found = frozenset(entries)
    return transaction.put(
        resource_type=resource_type,
        logical_id=logical_id,
        previous=previous,
        last_updated=moment,
        method=method,
        created=previous is None or previous.deleted,
        body=b"" if method == "DELETE" else body or b"%d" % number,
        entries=found,
        previous_entries=None if previous_entries is None else frozenset(previous_entries),
    )


def write(
    store: Store, identity: str, entries: Iterable[IndexEntry] = (), **options: Any
) -> StoredVersion:
    """The next version of Type/id in a transaction of its own."""
    return store.write(lambda transaction: put(transaction, identity, entries, **options))


def current(store: Store, identity: str) -> StoredVersion | None:
    """The newest version of Type/id."""
    resource_type, _, logical_id = identity.partition("/")
    with store.read() as view:
        return view.current(resource_type, logical_id)
