"""The statements of a store transaction, the same text for both databases; a driver supplies how they are run."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from operator import itemgetter
from typing import Any, TypeVar

from fhir_server.search.entries import IndexEntries
from fhir_server.search.expression import Expression, Query, SortKey, Table
from fhir_server.store import search_sql, window_sql
from fhir_server.store.catalogue import SqlCatalogue
from fhir_server.store.contract import (
    HistoryHit,
    HistoryQuery,
    Hit,
    Match,
    Method,
    Recoded,
    StoredVersion,
    Transaction,
    VersionConflict,
)
from fhir_server.store.driver import Driver, Identity
from fhir_server.store.history_sql import history_condition
from fhir_server.store.index_rows import IndexRows
from fhir_server.store.links_sql import SqlLinks
from fhir_server.store.page_rows import owned_rows, page_rows, plain
from fhir_server.store.rows import METHODS, Row, type_numbers
from fhir_server.store.schema import INDEX_COLUMNS
from fhir_server.store.search_chains import (
    NOBODY,
    Guess,
    answer_of,
    guessed,
    is_chained,
    resolved,
)
from fhir_server.store.search_plan import Plan, plan
from fhir_server.store.sql_claims import SqlClaims, SqlReplies
from fhir_server.store.sql_parts import COLUMNS, LIVE, chunks, marks, stored
from fhir_server.store.window import Referrers, Window, owned_window

_CURRENT = (
    f"SELECT {COLUMNS} FROM resource r JOIN version v ON v.seq = r.seq"
    " WHERE r.type = ? AND r.logical_id = ?"
)
_VERSION = (
    f"SELECT {COLUMNS} FROM resource r JOIN version v ON v.key = r.key AND v.version_id = ?"
    " WHERE r.type = ? AND r.logical_id = ?"
)
_INSERT_VERSION = (
    "INSERT INTO version (seq, key, type, logical_id, version_id, last_updated, method, created, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_INSERT_RESOURCE = (
    "INSERT INTO resource (key, type, logical_id, version_id, last_updated, deleted, seq)"
    " VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (type, logical_id) DO NOTHING"
)
_UPDATE_RESOURCE = (
    "UPDATE resource SET version_id = ?, last_updated = ?, deleted = ?, seq = ?"
    " WHERE key = ? AND version_id = ?"
)
# The last column of a sorted page's row is the value that it is sorted by, the first the key.
_BY_VALUE = itemgetter(-1, 0)
T = TypeVar("T")
# Function -> number of a version -> what it made of its body; of so many versions, a nation's services.
Derived = dict[Callable[[bytes], Any], dict[int, Any]]
_KEPT = 65_536


class SqlTransaction(SqlLinks):
    """A Transaction over a driver. derived: what the store keeps of committed versions; None for one that writes."""

    def __init__(self, driver: Driver, derived: Derived | None = None) -> None:
        super().__init__(driver)
        self._derived = derived
        self._index = IndexRows(driver)

    @property
    def floor(self) -> int:
        """No version put here may be older."""
        return self._driver.floor

    @property
    def catalogue(self) -> SqlCatalogue:
        """The search parameters of the deployment's own."""
        return SqlCatalogue(self._driver)

    def alone(self) -> None:
        """The next question is the only one."""
        self._driver.alone = True

    def settled(self) -> int:
        """Histories are complete up to this moment."""
        return self._driver.settled()

    def settled_position(self) -> tuple[int, int]:
        """Histories are complete before this position."""
        return self._driver.settled_position()

    @property
    def claims(self) -> SqlClaims:
        """The claims on the seats of slots."""
        return SqlClaims(self._driver)

    @property
    def replies(self) -> SqlReplies:
        """Answers kept for requests that are sent again."""
        return SqlReplies(self._driver)

    def lock(self, identities: Sequence[Identity]) -> None:
        """Hold those identities until the end."""
        self._driver.lock(identities)

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """The newest version."""
        number = type_numbers()[resource_type]
        found = self._driver.fetch(_CURRENT, (number, logical_id))
        return stored(found[0]) if found else None

    def version(self, resource_type: str, logical_id: str, version_id: int) -> StoredVersion | None:
        """That version."""
        number = type_numbers()[resource_type]
        found = self._driver.fetch(_VERSION, (version_id, number, logical_id))
        return stored(found[0]) if found else None

    def history(self, query: HistoryQuery) -> list[HistoryHit]:
        """A page of versions, newest first."""
        condition, values = history_condition(query)
        if query.after is not None:
            condition += " AND (v.last_updated, v.seq) < (?, ?)"
            values += query.after
        text = (
            f"SELECT {COLUMNS}, v.seq FROM version v WHERE {condition}"
            " ORDER BY v.last_updated DESC, v.seq DESC LIMIT ?"
        )
        found = self._driver.fetch(text, (*values, query.limit))
        return [HistoryHit(stored(row), (row[4], row[8])) for row in found]

    def history_total(self, query: HistoryQuery) -> int:
        """How many versions."""
        condition, values = history_condition(query)
        found = self._driver.fetch(f"SELECT COUNT(*) FROM version v WHERE {condition}", values)
        return int(found[0][0])

    def search(self, query: Query) -> list[Hit]:
        """A page of matches."""
        found = self._found(query, search_sql.WHOLE)
        return [Hit(stored(row), (*row[8:], row[0])) for row in found]

    def page(
        self, query: Query, follow: frozenset[int] = NOBODY, *, last: bool = False
    ) -> list[Match]:
        """A page to be shown; when the chain of a search leads where it did last time, it is one question."""
        if not follow:
            return page_rows(self._found(query, search_sql.SHOWN))
        guess = None
        if query.after is None and self._derived is not None:
            guess = guessed(query.where, follow)
        found = None if guess is None else self._as_guessed(query, follow, guess, last=last)
        if found is not None:
            return found
        planned = self._plan(query.resource_types, query.where, query.sort, follow)
        owner = search_sql.owner_told(query, planned, follow)
        rows = self._planned(query, planned, search_sql.SHOWN, owner)
        return page_rows(rows) if owner is None else owned_rows(rows) or page_rows(plain(rows))

    def _as_guessed(
        self, query: Query, follow: frozenset[int], guess: Guess, *, last: bool
    ) -> list[Match] | None:
        """None when the chain leads elsewhere now, or more than the page has to be asked."""
        planned = plan(query.resource_types, guess.where, query.sort, self._driver.fetch)
        owner = search_sql.owner_told(query, planned, follow)
        if owner is None:
            return None
        self._driver.alone = last
        statement = search_sql.with_question(
            query.sort, query.limit, planned, owner, guess.question
        )
        rows = self._driver.fetch(statement.text, statement.values)
        # No row of a page lacks the value that it is sorted by.
        met = [row for row in rows if row[7] is None]
        page = [row for row in rows if row[7] is not None]
        found = owned_rows(page) if answer_of(met) == guess.answer else None
        if found is None:
            # What comes next has to be of one view.
            self._driver.alone = False
            return None
        found.sort(key=_BY_VALUE, reverse=query.sort[0].descending)
        self.met = {(row[1], row[2]): row for row in met}
        return found

    def derived(self, query: Query, make: Callable[[bytes], T]) -> list[T]:
        """The bodies of those only of which nothing is kept."""
        if self._derived is None:
            # A version that is not committed may leave its number to another.
            return [make(item.body) for item in self.page(query)]
        kept = self._derived.setdefault(make, {})
        self._driver.alone = False
        planned = self._plan(query.resource_types, query.where, query.sort)
        statement = search_sql.numbers(query, planned)
        seqs = [row[0] for row in self._driver.fetch(statement.text, statement.values)]
        try:
            return [kept[seq] for seq in seqs]
        except KeyError:
            # Another thread may be clearing it.
            found = {seq: item for seq in seqs if (item := kept.get(seq)) is not None}
        missing = [seq for seq in seqs if seq not in found]
        for part in chunks(missing):
            text = f"SELECT v.seq, v.body FROM version v WHERE v.seq IN ({marks(part)})"
            found.update((seq, make(bytes(body))) for seq, body in self._driver.fetch(text, part))
        if len(kept) + len(missing) > _KEPT:
            kept.clear()
        kept.update((seq, found[seq]) for seq in missing)
        return [found[seq] for seq in seqs]

    def _found(self, query: Query, columns: str) -> list[Row]:
        """The rows of a page, in the query's order."""
        planned = self._plan(query.resource_types, query.where, query.sort)
        return self._planned(query, planned, columns)

    def _planned(
        self, query: Query, planned: Plan, columns: str, owner: int | None = None
    ) -> list[Row]:
        fetch = self._driver.fetch
        statements = search_sql.statements(query, planned, columns, owner)
        if len(statements) > 1:
            self._driver.alone = False
        found: list[Row] = []
        for statement in statements:
            found += fetch(statement.text, (*statement.values[:-1], query.limit - len(found)))
            if len(found) >= query.limit:
                break
        if search_sql.unordered(query, planned):
            found.sort(key=_BY_VALUE, reverse=query.sort[0].descending)
            return found
        return found[::-1] if query.backward else found

    def count(self, resource_types: tuple[str, ...], where: Expression) -> int:
        """How many matches."""
        statement = search_sql.count(self._plan(resource_types, where, None))
        return int(self._driver.fetch(statement.text, statement.values)[0][0])

    def window(self, wanted: Window) -> tuple[list[Match], int]:
        """A page of what is in a window, and how many there are."""
        projection = window_sql.covering(wanted)
        if projection is None:
            page, total = self.page(wanted.query()), None
        else:
            page, total = window_sql.rows(wanted, projection, self._driver)
        if total is None:
            total = self.count((wanted.resource_type,), wanted.where())
        return page, total

    def owned_window(
        self, wanted: Window, by: Referrers, most: int
    ) -> tuple[list[Match], list[Match], int]:
        """In one question where a projection covers it."""
        found = window_sql.owned(wanted, by, most, self._driver)
        if found is None:
            self._driver.alone = False
            found = owned_window(wanted, by, most, self)
        return found

    def _plan(
        self,
        resource_types: tuple[str, ...],
        where: Expression,
        sort: tuple[SortKey, ...] | None,
        follow: frozenset[int] = NOBODY,
    ) -> Plan:
        fetch = self._driver.fetch
        if is_chained(where):
            # What they lead to is looked up first.
            self._driver.alone = False
            where, met = resolved(where, fetch, follow)
            # What is written in a view that writes would not be seen.
            if met and self._derived is not None:
                self.met = {(row[1], row[2]): row for row in met}
        return plan(resource_types, where, sort, fetch)

    def by_key(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """The current, not deleted versions with those keys."""
        found: dict[int, StoredVersion] = {}
        for part in chunks(keys):
            text = f"{LIVE} AND r.key IN ({marks(part)}) ORDER BY r.key"
            for row in self._driver.fetch(text, part):
                found[row[0]] = stored(row)
        return found

    def examples(self, table: Table, parameters: Sequence[int], limit: int) -> list[int]:
        """The keys of one resource for each different value."""
        value = ", ".join(item for item in INDEX_COLUMNS[table] if item != "key")
        text = (
            f"SELECT MIN(key) FROM {table} WHERE parameter IN ({marks(parameters)})"
            f" GROUP BY {value} LIMIT ?"
        )
        return [row[0] for row in self._driver.fetch(text, (*parameters, limit))]

    def index_difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """Compare with the rows of the index tables."""
        return self._index.difference(key, entries)

    def stray_rows(self) -> dict[Identity, int]:
        """Index rows without a current resource."""
        return self._index.strays()

    def reindex(self, key: int, entries: IndexEntries) -> bool:
        """Make the index rows of a resource those of the entries."""
        return self._index.rewrite(key, entries)

    def keys(self, resource_type: str | None, after: int, limit: int) -> list[int]:
        """Internal keys of current resources, ascending."""
        text, values = "SELECT key FROM resource WHERE deleted = 0 AND key > ?", [after]
        if resource_type is not None:
            text += " AND type = ?"
            values.append(type_numbers()[resource_type])
        return [
            row[0] for row in self._driver.fetch(f"{text} ORDER BY key LIMIT ?", (*values, limit))
        ]

    def secret(self, name: str) -> bytes | None:
        """The value of a setting."""
        found = self._driver.fetch("SELECT value FROM setting WHERE name = ?", (name,))
        return bytes(found[0][0]) if found else None

    mark = secret

    def renew_mark(self, name: str) -> None:
        """Another value of a setting; whoever else renews it waits until this transaction ends."""
        self._driver.change(
            "INSERT INTO setting (name, value) VALUES (?, ?)"
            " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
            (name, secrets.token_bytes(16)),
        )

    def keep_secret(self, name: str) -> bytes:
        """The value of a setting, which becomes random bytes when it is not there yet."""
        self._driver.change(
            "INSERT INTO setting (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING",
            (name, secrets.token_bytes(32)),
        )
        kept = self.secret(name)
        assert kept is not None
        return kept

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
        entries: IndexEntries | Recoded,
        previous_entries: IndexEntries | None = None,
    ) -> StoredVersion:
        """Append a version and make it current."""
        seq = self._driver.next_seq()
        number = type_numbers()[resource_type]
        deleted = int(method == "DELETE")
        if previous is None:
            # A resource's key is the number of its first version.
            key, version_id = seq, 1
            values = (key, number, logical_id, version_id, last_updated, deleted, seq)
            done = self._driver.change(_INSERT_RESOURCE, values)
        else:
            key, version_id = previous.key, previous.version_id + 1
            done = self._driver.change(
                _UPDATE_RESOURCE,
                (version_id, last_updated, deleted, seq, key, previous.version_id),
            )
        if done != 1:
            raise VersionConflict(f"{resource_type}/{logical_id}")
        self._driver.change(
            _INSERT_VERSION,
            (
                seq,
                key,
                number,
                logical_id,
                version_id,
                last_updated,
                METHODS.index(method),
                int(created),
                body,
            ),
        )
        if isinstance(entries, Recoded):
            self._index.recode(key, entries)
        else:
            self._index.write(key, previous, entries, previous_entries)
        return StoredVersion(
            key, resource_type, logical_id, version_id, last_updated, method, created, body
        )


def keep_secret(name: str, transaction: Transaction) -> bytes:
    """The work that makes a secret, unless another process was faster."""
    assert isinstance(transaction, SqlTransaction)
    return transaction.keep_secret(name)
