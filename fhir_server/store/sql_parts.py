"""What many statements have in common: the columns of a version, and lists of marks."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from fhir_server.store.contract import StoredVersion
from fhir_server.store.driver import Identity
from fhir_server.store.rows import METHODS, Row, type_names

COLUMNS = "v.key, v.type, v.logical_id, v.version_id, v.last_updated, v.method, v.created, v.body"
# The + keeps SQLite from reading every resource of a type where a few are named.
LIVE = f"SELECT {COLUMNS} FROM resource r JOIN version v ON v.seq = r.seq WHERE +r.deleted = 0"
_CHUNK = 500


def stored(row: Row) -> StoredVersion:
    """The version in a row of COLUMNS."""
    return StoredVersion(
        row[0], type_names()[row[1]], row[2], row[3], row[4], METHODS[row[5]], bool(row[6]), bytes(row[7])
    )  # fmt: skip


def marks(values: Collection[Any]) -> str:
    """A mark for each value."""
    return ", ".join("?" * len(values))


def by_type(identities: Sequence[Identity]) -> dict[str, list[str]]:
    """Type -> ids, each once."""
    found: dict[str, list[str]] = {}
    for resource_type, logical_id in dict.fromkeys(identities):
        found.setdefault(resource_type, []).append(logical_id)
    return found


def chunks(values: Sequence[Any]) -> list[Sequence[Any]]:
    """Lists short enough for one statement's marks."""
    return [values[start : start + _CHUNK] for start in range(0, len(values), _CHUNK)]
