"""The search parameters of the deployment's own, as every store keeps them.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from fhir_server.search.custom import State
from fhir_server.search.entries import IndexEntries

PURGED = -1


@dataclass(frozen=True, slots=True)
class Defined:
    """A search parameter of the deployment's own, of one type. definition: the facts of its SearchParameter, as JSON.

    last_key: while it is being indexed, the resources up to that key are done; PURGED when it is retired and without
    rows.
    """

    number: int
    url: str
    resource_type: str
    code: str
    definition: bytes
    state: State
    defined_at: int
    last_key: int


class CatalogueTransaction(Protocol):
    """The parameters of the deployment's own, and their rows."""

    def listed(self) -> list[Defined]:
        """All of them, by number."""

    def add(
        self, url: str, resource_type: str, code: str, definition: bytes, defined_at: int
    ) -> None:
        """A new one, in state requested, with a number that was never used."""

    def change(self, number: int, state: State, last_key: int = 0) -> None:
        """Its state and progress."""

    def progress(self, item: Defined) -> tuple[int, int]:
        """How many current resources of its type are done, and how many there are."""

    def keys(self, resource_type: str | None, after: int, limit: int) -> list[int]:
        """Keys of current resources, ascending."""

    def replace(self, number: int, entries: Mapping[int, IndexEntries]) -> None:
        """The rows of one parameter of resources, by key, become those of the entries."""

    def purge(self, number: int, limit: int) -> bool:
        """Delete rows of a retired parameter; False, and its last_key PURGED, when none are left."""
