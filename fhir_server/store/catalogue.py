"""The search parameters that a deployment defines for itself, and their index rows.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from fhir_server.search.custom import State
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import CANONICAL, CUSTOM, IDENTIFIER, OF_TYPE, TEXT
from fhir_server.store.defined import PURGED, Defined
from fhir_server.store.driver import Driver
from fhir_server.store.rows import Row, rows, type_names, type_numbers
from fhir_server.store.schema import INDEX_COLUMNS
from fhir_server.store.sql_parts import chunks, marks

_OFFSETS = (0, IDENTIFIER, OF_TYPE, TEXT, CANONICAL)
# Words are of R4's own parameters only.
_TABLES = tuple(table for table in INDEX_COLUMNS if table != "words")
_COLUMNS = "number, url, type, code, definition, state, defined_at, last_key"


class SqlCatalogue:
    """A CatalogueTransaction over a driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver

    def listed(self) -> list[Defined]:
        """All of them, by number."""
        found = self._driver.fetch(f"SELECT {_COLUMNS} FROM search_parameter ORDER BY number", ())
        return [
            Defined(row[0], row[1], type_names()[row[2]], row[3], bytes(row[4]), row[5], row[6], row[7])
            for row in found
        ]  # fmt: skip

    def add(
        self, url: str, resource_type: str, code: str, definition: bytes, defined_at: int
    ) -> None:
        """A new one; numbers are given in turn, retired ones included, so that none comes back."""
        highest = self._driver.fetch("SELECT MAX(number) FROM search_parameter", ())[0][0]
        number = (highest or CUSTOM) + 1
        self._driver.change(
            f"INSERT INTO search_parameter ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (number, url, type_numbers()[resource_type], code, definition, "requested", defined_at, 0),
        )  # fmt: skip

    def change(self, number: int, state: State, last_key: int = 0) -> None:
        """Its state and progress."""
        self._driver.change(
            "UPDATE search_parameter SET state = ?, last_key = ? WHERE number = ?",
            (state, last_key, number),
        )

    def progress(self, item: Defined) -> tuple[int, int]:
        """How many are done, and how many there are."""
        found = self._driver.fetch(
            "SELECT COUNT(CASE WHEN key <= ? THEN 1 END), COUNT(*) FROM resource WHERE type = ? AND deleted = 0",
            (item.last_key, type_numbers()[item.resource_type]),
        )
        return int(found[0][0]), int(found[0][1])

    def keys(self, resource_type: str | None, after: int, limit: int) -> list[int]:
        """Keys of current resources, ascending."""
        text, values = "SELECT key FROM resource WHERE deleted = 0 AND key > ?", [after]
        if resource_type is not None:
            text += " AND type = ?"
            values.append(type_numbers()[resource_type])
        return [
            row[0] for row in self._driver.fetch(f"{text} ORDER BY key LIMIT ?", (*values, limit))
        ]

    def replace(self, number: int, entries: Mapping[int, IndexEntries]) -> None:
        """The rows of one parameter of resources become those of the entries."""
        numbers = [number + offset for offset in _OFFSETS]
        for part in chunks(list(entries)):
            for table in _TABLES:
                self._driver.change(
                    f"DELETE FROM {table} WHERE key IN ({marks(part)}) AND parameter IN ({marks(numbers)})",
                    (*part, *numbers),
                )
        added: defaultdict[str, list[Row]] = defaultdict(list)
        for key, found in entries.items():
            for table, made in rows(found, key).items():
                added[table] += made
        self._driver.add_rows(added)

    def purge(self, number: int, limit: int) -> bool:
        """Delete rows of a retired parameter, at most limit of a table at once."""
        for offset in _OFFSETS:
            for table in _TABLES:
                keys = self._driver.fetch(
                    f"SELECT DISTINCT key FROM (SELECT key FROM {table} WHERE parameter = ? LIMIT ?) AS found",
                    (number + offset, limit),
                )
                if keys:
                    self._driver.change_many(
                        f"DELETE FROM {table} WHERE key = ? AND parameter = ?",
                        [(row[0], number + offset) for row in keys],
                    )
                    return True
        self.change(number, "retired", PURGED)
        return False
