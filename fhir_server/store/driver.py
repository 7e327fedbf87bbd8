"""How statements are run on a database; their text is the same for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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

    def change(self, text: str, values: Sequence[Any]) -> int:
        """How many rows a change touched."""

    def change_many(self, text: str, rows: Sequence[Row]) -> None:
        """The same change for many rows."""

    def add_rows(self, tables: Mapping[str, Sequence[Row]]) -> None:
        """New rows of the tables of schema.COLUMNS; the order of the tables and of their rows is not kept."""

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
