"""The search parameters of the deployment's own, in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from fhir_server.search.custom import State
from fhir_server.search.entries import IndexEntries
from fhir_server.search.parameters import CANONICAL, CUSTOM, IDENTIFIER, OF_TYPE, TEXT
from fhir_server.store.defined import PURGED, Defined

_OFFSETS = (0, IDENTIFIER, OF_TYPE, TEXT, CANONICAL)


class Held(Protocol):
    """What of the in-memory store is needed."""

    parameters: dict[int, Defined]
    indexed: dict[int, IndexEntries]

    def keys(
        self, resource_type: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[int]:
        """Internal keys of current, not deleted resources, ascending."""


class MemoryCatalogue:
    """A CatalogueTransaction; nothing of it is undone, as a definition that is refused changes nothing."""

    def __init__(self, store: Held) -> None:
        self._store = store

    def listed(self) -> list[Defined]:
        """All of them, by number."""
        return list(self._store.parameters.values())

    def add(
        self, url: str, resource_type: str, code: str, definition: bytes, defined_at: int
    ) -> None:
        """A new one."""
        number = max(self._store.parameters, default=CUSTOM) + 1
        self._store.parameters[number] = Defined(
            number, url, resource_type, code, definition, "requested", defined_at, 0
        )

    def change(self, number: int, state: State, last_key: int = 0) -> None:
        """Its state and progress."""
        held = self._store.parameters
        held[number] = replace(held[number], state=state, last_key=last_key)

    def progress(self, item: Defined) -> tuple[int, int]:
        """How many are done, and how many there are."""
        keys = self.keys(item.resource_type, 0, 10**9)
        return sum(key <= item.last_key for key in keys), len(keys)

    def keys(self, resource_type: str | None, after: int, limit: int) -> list[int]:
        """Keys of current resources, ascending."""
        return self._store.keys(resource_type, after, limit)

    def replace(self, number: int, entries: Mapping[int, IndexEntries]) -> None:
        """The entries of one parameter of resources."""
        numbers = {number + offset for offset in _OFFSETS}
        for key, found in entries.items():
            kept = {entry for entry in self._store.indexed[key] if entry.parameter not in numbers}
            self._store.indexed[key] = frozenset(kept | found)

    def purge(self, number: int, limit: int) -> bool:
        """Nothing finds them any more."""
        del limit
        self.replace(number, dict.fromkeys(self._store.indexed, frozenset()))
        self.change(number, "retired", PURGED)
        return False
