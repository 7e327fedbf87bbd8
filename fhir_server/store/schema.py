"""What plain SQL needs to know of the tables: the columns of the index tables, and values that fit them.

An index row holds the parameter's number, the value and the resource's key; each table is read by value (to find
resources) and by key (to test, sort and follow one). https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import hashlib
import re
from functools import lru_cache

# The newest of the migrations.
HEAD = "0006"

LONGEST_KEY = 200

# What the primary key of a table is, where it is not every column: no two resources can have the same.
UNIQUE = {"unique_identifier": ("code", "system")}
# The columns after the parameter's number, in the order of the primary key: the value that is looked up comes first,
# then the key, so that equal values are in the order of the keys, which is that of an unsorted result.
INDEX_COLUMNS: dict[str, tuple[str, ...]] = {
    "token": ("code", "key", "system"),
    "string": ("folded", "key", "value"),
    "reference": ("target_id", "key", "target_type", "url", "version"),
    "date": ("low", "high", "key"),
    "number": ("low", "high", "key"),
    "quantity": ("low", "high", "key", "system", "code", "unit"),
    "uri": ("value", "key", "version"),
    "position": ("z", "x", "y", "key"),
    "unique_identifier": ("code", "system", "key"),
    # One row for a resource, see rows.py; its parameter is the lowest of those it has words of.
    "words": ("key", "listed"),
    # The parameter of a projection's row is the projection's number (see projections.py).
    "projection": ("value1", "value2", "low", "key", "high", "system1", "system2"),
    "composite": (
        "text1", "key", "system1", "text2", "system2", "unit2", "low2", "high2", "low3", "high3"
    ),
}  # fmt: skip

# Of the tables whose rows are added as they are.
COLUMNS = {
    "resource": ("key", "type", "logical_id", "version_id", "last_updated", "deleted", "seq"),
    "version": (
        "seq", "key", "type", "logical_id", "version_id", "last_updated", "method", "created", "body"
    ),
    **{table: ("parameter", *columns) for table, columns in INDEX_COLUMNS.items()},
}  # fmt: skip
INSERT_ROW = {
    table: f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
    for table, columns in COLUMNS.items()
}
DELETE_ROW = {
    table: f"DELETE FROM {table} WHERE {' AND '.join([f'{item} = ?' for item in columns])}"
    for table, columns in COLUMNS.items()
}

# SQLite's full-text index of words.
FULL_TEXT = "words_found"
_NAMED = re.compile(r"\w+")


@lru_cache(maxsize=4096)
def tables_in(text: str) -> frozenset[str]:
    """The tables of COLUMNS that a statement may be about, itself or by the full-text index."""
    return frozenset(COLUMNS.keys() & _NAMED.findall(text.replace(FULL_TEXT, "words")))


@lru_cache(maxsize=4096)
def system_number(system: str) -> int:
    """A system as 64 bits: the digest of its text, so that nothing has to be agreed between processes."""
    if not system:
        return 0
    return int.from_bytes(
        hashlib.blake2b(system.encode(), digest_size=8).digest(), "big", signed=True
    )


def fit(text: str) -> str:
    """A text short enough to be an index key: a long one keeps its beginning and gets its digest."""
    if len(text) <= LONGEST_KEY:
        return text
    digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{text[: LONGEST_KEY - 33]}~{digest}"
