"""The rows of the index tables: those of a resource are written as the difference to those that were there.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.search.entries import IndexEntries
from fhir_server.spec import errors
from fhir_server.store.contract import Later, Recoded, StoredVersion
from fhir_server.store.driver import Driver
from fhir_server.store.projections import places
from fhir_server.store.rows import Row, rows, type_names
from fhir_server.store.schema import INDEX_COLUMNS, INSERT_ROW, fit

Identity = tuple[str, str]

_INSERT_UNIQUE = f"{INSERT_ROW['unique_identifier']} ON CONFLICT DO NOTHING"
_RECODE = "UPDATE token SET code = ? WHERE parameter = ? AND code = ? AND key = ?"


class IndexRows:
    """The index tables over a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def add(self, key: int, later: Later, version: Row) -> None:
        """Write a first version, and its index rows when they are needed."""
        if later.unique:
            self._claim(rows(later.unique, key)["unique_identifier"])
        self._driver.add_rows({"version": (version,)})
        self._driver.add_later(lambda: rows(later.find(), key))

    def write(
        self,
        key: int,
        previous: StoredVersion | None,
        entries: IndexEntries,
        previous_entries: IndexEntries | None,
        version: Row,
    ) -> None:
        """Write a new version and what it changes; without previous_entries the rows that are there are read."""
        if previous is None:
            before: dict[str, set[Row]] = {}
        elif previous_entries is None:
            before = self.of(key)
        else:
            # Entries that differ may still be equal as rows (shortened values), so rows are what is compared.
            before = rows(previous_entries, key)
        self._change(before, rows(entries, key), version)

    def recode(self, key: int, recoded: Recoded, version: Row) -> None:
        """Write a new version and what another code changes."""
        self._driver.add_rows({"version": [version]})
        number, before, after = recoded.parameter, fit(recoded.before), fit(recoded.after)
        self._driver.change(_RECODE, (after, number, before, key))
        for column, projections in places(number):
            self._driver.change(
                f"UPDATE projection SET {column} = ? WHERE key = ? AND {column} = ?"
                f" AND parameter IN ({projections})",
                (after, key, before),
            )

    def rewrite(self, key: int, entries: IndexEntries) -> bool:
        """Make the index rows of a resource those of the entries."""
        before, after = self.of(key), rows(entries, key)
        self._change(before, after)
        return before != after

    def difference(self, key: int, entries: IndexEntries) -> tuple[int, int]:
        """Compare with the rows of the index tables."""
        wanted, stored = rows(entries, key), self.of(key)
        none: set[Row] = set()
        missing = sum(len(listed - stored.get(table, none)) for table, listed in wanted.items())
        surplus = sum(len(listed - wanted.get(table, none)) for table, listed in stored.items())
        return missing, surplus

    def strays(self) -> dict[Identity, int]:
        """Index rows without a current resource."""
        found: dict[Identity, int] = {}
        for table in INDEX_COLUMNS:
            text = (
                f"SELECT t.key, r.type, r.logical_id, COUNT(*) FROM {table} t LEFT JOIN resource r ON r.key = t.key"
                " WHERE r.key IS NULL OR r.deleted = 1 GROUP BY t.key, r.type, r.logical_id"
            )
            for key, number, logical_id, count in self._driver.fetch(text, ()):
                known = number is not None
                identity = (type_names()[number], logical_id) if known else ("", str(key))
                found[identity] = found.get(identity, 0) + count
        return found

    def of(self, key: int) -> dict[str, set[Row]]:
        """Those of a resource, by table."""
        found: dict[str, set[Row]] = {}
        for table, columns in INDEX_COLUMNS.items():
            text = f"SELECT parameter, {', '.join(columns)} FROM {table} WHERE key = ?"
            listed = self._driver.fetch(text, (key,))
            if listed:
                found[table] = set(listed)
        return found

    def _change(
        self, before: dict[str, set[Row]], after: dict[str, set[Row]], version: Row | None = None
    ) -> None:
        none: set[Row] = set()
        for table, listed in before.items():
            gone = listed - after.get(table, none)
            if gone:
                self._driver.remove_rows(table, list(gone))
        new = {table: list(listed - before.get(table, none)) for table, listed in after.items()}
        self._claim(new.pop("unique_identifier", ()))
        added: dict[str, list[Row]] = {} if version is None else {"version": [version]}
        added.update((table, listed) for table, listed in new.items() if listed)
        self._driver.add_rows(added)

    def _claim(self, new: Iterable[Row]) -> None:
        """One by one and in one order, as each waits for another transaction that has claimed the same."""
        for row in sorted(new):
            if self._driver.change(_INSERT_UNIQUE, row) != 1:
                raise errors.duplicate(
                    "Another resource has one of the identifiers, and its system is declared to be unique",
                    "identifier",
                )
