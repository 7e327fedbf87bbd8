"""Statements as PostgreSQL takes them; they are written as SQLite takes them.

https://www.postgresql.org/docs/current/gin.html
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from operator import itemgetter
from typing import Any

from sqlalchemy import Column
from sqlalchemy.dialects import postgresql

from fhir_server.store.rows import Row
from fhir_server.store.search_composer import EACH, VARIES
from fhir_server.store.search_words import FOUND
from fhir_server.store.tables import METADATA

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call] # untyped there

_ENDS = {
    "resource": " ON CONFLICT (type, logical_id) DO NOTHING RETURNING 1",
    # What was indexed by another setting of _content is not what the row before is thought to be.
    "words": " ON CONFLICT (key) DO UPDATE SET parameter = excluded.parameter, listed = excluded.listed",
}
# The columns of a resource's row that no two have: its type and its id.
_IDENTITY = itemgetter(1, 2)
_UNARY = re.compile(r"(?<=[ (])\+(?=[a-z])")
# The words are in a question of their own, and its answer in an array: how many have a word a planner guesses badly.
_KEYS = (
    "SELECT key AS rowid FROM unnest(string_to_array(?::text, ' OR ')) AS asked(listed), words"
    """ WHERE string_to_array(words.listed, ' ') @> string_to_array(btrim(asked.listed, '"'), '" AND "')"""
)


@lru_cache(maxsize=4096)
def marked(text: str) -> str:
    """The statement with PostgreSQL's marks and search for words, without the unary + that steers SQLite's planner."""
    text = _UNARY.sub("", text).replace(EACH, "OFFSET 0").removeprefix(VARIES)
    text = text.replace(f"IN ({FOUND})", f"= ANY (ARRAY({_KEYS}))").replace(FOUND, _KEYS)
    return text.replace("%", "%%").replace("?", "%s")


def addition(tables: Mapping[str, Sequence[Row]]) -> tuple[str, list[str]]:
    """The statement that adds rows to tables, and its values: a list for each column.

    It gives how many of the rows of resources were added, where there are any; those whose identity is there are not.
    """
    names = tuple(sorted(tables))
    lists = [
        _list(column)
        for name in names
        # Where two transactions add the same identities, each waits for the other's in one order.
        for column in zip(*_ordered(tables[name], name), strict=True)
    ]
    return _additions(names), lists


def _ordered(rows: Sequence[Row], table: str) -> Sequence[Row]:
    return sorted(rows, key=_IDENTITY) if table == "resource" and len(rows) > 1 else rows


@lru_cache(maxsize=256)
def _additions(tables: tuple[str, ...]) -> str:
    """The statement that adds rows to tables."""
    parts = []
    for name in tables:
        columns = METADATA.tables[name].columns
        lists = ", ".join(f"%s::{_type(item)}[]" for item in columns)
        parts.append(
            f"INSERT INTO {name} ({', '.join(columns.keys())}) SELECT * FROM unnest({lists})"
            f"{_ENDS.get(name, '')}"
        )
    within = ", ".join(
        f"added_{name} AS ({part})" for name, part in zip(tables, parts, strict=True)
    )
    counted = "SELECT COUNT(*) FROM added_resource" if "resource" in tables else "SELECT 0"
    return f"WITH {within} {counted}"


def _type(column: Column[Any]) -> str:
    return column.type.compile(_DIALECT).partition(" COLLATE ")[0]


def _list(values: Sequence[Any]) -> str:
    """The values of a column as PostgreSQL writes an array."""
    if isinstance(values[0], str):
        quoted = (item.replace("\\", "\\\\").replace('"', '\\"') for item in values)
        return '{"' + '","'.join(quoted) + '"}'
    if isinstance(values[0], bytes):
        return '{"' + '","'.join(["\\\\x" + item.hex() for item in values]) + '"}'
    return "{" + ",".join(map(str, values)) + "}"
