"""Which versions a history shows, as a condition on the version v (https://hl7.org/fhir/R4/http.html#history)."""

from __future__ import annotations

from typing import Any

from fhir_server.store.contract import HistoryQuery
from fhir_server.store.rows import type_numbers


def history_condition(query: HistoryQuery) -> tuple[str, list[Any]]:
    """The condition and its values."""
    conditions: list[str] = ["1 = 1"]
    values: list[Any] = []
    if query.resource_type is not None:
        number = type_numbers()[query.resource_type]
        if query.logical_id is not None:
            conditions.append(
                "v.key = (SELECT key FROM resource WHERE type = ? AND logical_id = ?)"
            )
            values += [number, query.logical_id]
        else:
            conditions.append("v.type = ?")
            values.append(number)
    if query.since is not None:
        conditions.append("v.last_updated >= ?")
        values.append(query.since)
    if query.until is not None:
        conditions.append("v.last_updated <= ?")
        values.append(query.until)
    if query.begin is not None:
        conditions.append("(v.last_updated, v.seq) >= (?, ?)")
        values += query.begin
    if query.at_low is not None and query.at_high is not None:
        conditions.append(
            "v.last_updated < ? AND NOT EXISTS (SELECT 1 FROM version n WHERE n.key = v.key"
            " AND n.version_id = v.version_id + 1 AND n.last_updated <= ?)"
        )
        values += [query.at_high, query.at_low]
    return " AND ".join(conditions), values
