"""The statements of a store transaction, the same text for both databases; a driver supplies how they are run."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence

from fhir_server.search.entries import IndexEntries
from fhir_server.store import window_sql
from fhir_server.store.catalogue import SqlCatalogue
from fhir_server.store.contract import (
    HistoryHit,
    HistoryQuery,
    Later,
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
from fhir_server.store.pages_sql import Derived, SqlPages
from fhir_server.store.rows import METHODS, type_numbers
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
_UPDATE_RESOURCE = (
    "UPDATE resource SET version_id = ?, last_updated = ?, deleted = ?, seq = ?"
    " WHERE key = ? AND version_id = ?"
)


class SqlTransaction(SqlPages):
    """A Transaction over a driver. derived: what the store keeps of committed versions; None for one that writes."""

    def __init__(self, driver: Driver, derived: Derived | None = None) -> None:
        super().__init__(driver, derived)
        self._index = IndexRows(driver)
        self._unused: set[Identity] = set()

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
        """Hold those identities until the end; for one that was just chosen nobody else can ask."""
        self._driver.lock([item for item in identities if item not in self._unused])

    def unused(self, identities: Iterable[Identity]) -> None:
        """They are nowhere before they are put here."""
        found = dict.fromkeys(identities)
        self._unused.update(found)
        self.own.update(found)

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """The newest version."""
        if (resource_type, logical_id) in self.own:
            return self.own[resource_type, logical_id]
        number = type_numbers()[resource_type]
        found = self._driver.look(_CURRENT, (number, logical_id))
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

    def by_key(self, keys: Sequence[int]) -> dict[int, StoredVersion]:
        """The current, not deleted versions with those keys."""
        found: dict[int, StoredVersion] = {}
        for part in chunks(keys):
            text = f"{LIVE} AND r.key IN ({marks(part)}) ORDER BY r.key"
            for row in self._driver.fetch(text, part):
                found[row[0]] = stored(row)
        return found

    def index_difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """Compare with the rows of the index tables."""
        return self._index.difference(key, entries)

    def stray_rows(self) -> dict[Identity, int]:
        """Index rows without a current resource."""
        return self._index.strays()

    def reindex(self, key: int, entries: IndexEntries) -> bool:
        """Make the index rows of a resource those of the entries."""
        return self._index.rewrite(key, entries)

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
        entries: IndexEntries | Recoded | Later,
        previous_entries: IndexEntries | None = None,
    ) -> StoredVersion:
        """Append a version and make it current."""
        seq = self._driver.next_seq()
        number = type_numbers()[resource_type]
        deleted = int(method == "DELETE")
        if previous is None:
            # A resource's key is the number of its first version.
            key, version_id = seq, 1
            first = (key, number, logical_id, version_id, last_updated, deleted, seq)
            self._driver.add_rows({"resource": (first,)})
        else:
            key, version_id = previous.key, previous.version_id + 1
            values = (version_id, last_updated, deleted, seq, key, previous.version_id)
            if self._driver.change(_UPDATE_RESOURCE, values) != 1:
                raise VersionConflict(f"{resource_type}/{logical_id}")
        row = (
            seq, key, number, logical_id, version_id, last_updated, METHODS.index(method), int(created), body,
        )  # fmt: skip
        if isinstance(entries, Later):
            self._index.add(key, entries, row)
        elif isinstance(entries, Recoded):
            self._index.recode(key, entries, row)
        else:
            self._index.write(key, previous, entries, previous_entries, row)
        version = StoredVersion(
            key, resource_type, logical_id, version_id, last_updated, method, created, body
        )
        self.own[resource_type, logical_id] = version
        return version


def keep_secret(name: str, transaction: Transaction) -> bytes:
    """The work that makes a secret, unless another process was faster."""
    assert isinstance(transaction, SqlTransaction)
    return transaction.keep_secret(name)
