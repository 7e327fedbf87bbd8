"""Which versions a history shows, of those in memory (https://hl7.org/fhir/R4/http.html#history)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fhir_server.store.contract import HistoryHit, HistoryQuery, StoredVersion

if TYPE_CHECKING:
    from fhir_server.store.memory import MemoryStore


def shown(store: MemoryStore, query: HistoryQuery) -> list[HistoryHit]:
    """The versions that a history shows, oldest first."""
    found = []
    for number, version in enumerate(store.versions):
        if query.resource_type not in (None, version.resource_type):
            continue
        if query.logical_id not in (None, version.logical_id):
            continue
        if query.since is not None and version.last_updated < query.since:
            continue
        if query.until is not None and version.last_updated > query.until:
            continue
        if not _current_at(version, query, store):
            continue
        if query.begin is None or (version.last_updated, number) >= query.begin:
            found.append(HistoryHit(version, (version.last_updated, number)))
    return found


def _current_at(version: StoredVersion, query: HistoryQuery, store: MemoryStore) -> bool:
    if query.at_low is None or query.at_high is None:
        return True
    if version.last_updated >= query.at_high:
        return False
    siblings = store.by_identity[version.resource_type, version.logical_id]
    following = siblings[version.version_id : version.version_id + 1]
    return not following or following[0].last_updated > query.at_low
