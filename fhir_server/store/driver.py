"""How statements are run on a database; their text is the same for all."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Protocol

from fhir_server.store.rows import Row

Identity = tuple[str, str]


class Driver(Protocol):
    """Runs statements with ? marks on one connection inside one transaction."""

    @property
    def clock(self) -> str:
        """SQL for the database's clock: microseconds since 1970."""

    def fetch(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows of a query."""

    def look(self, text: str, values: Sequence[Any]) -> list[Row]:
        """The same for a query about resources that this transaction has not added: no added row need be there."""

    def change(self, text: str, values: Sequence[Any]) -> int:
        """How many rows a change touched."""

    def change_many(self, text: str, rows: Sequence[Row]) -> None:
        """The same change for many rows."""

    def add_rows(self, tables: Mapping[str, Collection[Row]]) -> None:
        """New rows of the tables of schema.COLUMNS, in no order; they may wait until something asks for them.

        VersionConflict, now or then, for a resource whose identity is there already.
        """

    def add_later(self, find: Callable[[], Mapping[str, Collection[Row]]]) -> None:
        """The same, found when they are written; find does not ask the database."""

    def flush(self) -> None:
        """Write the rows that wait; before the end of a transaction."""

    def remove_rows(self, table: str, rows: Sequence[Row]) -> None:
        """Rows of one of those tables, as they are there."""

    # Whether the next question is the only one that is asked of a read, so that it needs no snapshot.
    alone: bool

    def next_seq(self) -> int:
        """A number for a new version, higher than all before it in this transaction."""

    @property
    def floor(self) -> int:
        """See Transaction.floor."""

    def settled(self) -> int:
        """See ReadTransaction.settled."""

    def settled_position(self) -> tuple[int, int]:
        """See ReadTransaction.settled_position."""

    def lock(self, identities: Sequence[Identity]) -> None:
        """See Transaction.lock."""
