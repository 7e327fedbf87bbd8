"""Filling an empty database with many new resources at once: rows are prepared elsewhere and written table by table.

One transaction a batch; on PostgreSQL by COPY (https://www.postgresql.org/docs/current/sql-copy.html). Nobody else may
use the database meanwhile: keys are given beforehand, and indexes are made at the end. When it fails, begin again with
an empty one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from typing import Any

import orjson
import psycopg
from sqlalchemy.engine import make_url

from fhir_server.search.entries import IndexEntries
from fhir_server.store.open import prepare_database, sqlite_path
from fhir_server.store.rows import METHODS, Row, rows, type_numbers
from fhir_server.store.schema import INDEX_COLUMNS

Json = dict[str, Any]
Batch = dict[str, list[Row]]

_COLUMNS = {
    "resource": ("key", "type", "logical_id", "version_id", "last_updated", "deleted", "seq"),
    "version": (
        "seq", "key", "type", "logical_id", "version_id", "last_updated", "method", "created", "body"
    ),
    **{table: ("parameter", *columns) for table, columns in INDEX_COLUMNS.items()},
}  # fmt: skip

# The indexes beside the primary keys: made once everything is there, they are sorted and not grown.
_SQLITE_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
_POSTGRESQL_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""


def batch_of(
    resources: Iterable[tuple[Json, IndexEntries]], first_key: int, last_updated: int
) -> Batch:
    """The rows of new resources (complete with id and meta), each table's in the order of its key."""
    found: Batch = {"resource": [], "version": []}
    for key, (resource, entries) in enumerate(resources, first_key):
        number = type_numbers()[resource["resourceType"]]
        logical_id = resource["id"]
        body = orjson.dumps(resource)
        found["resource"].append((key, number, logical_id, 1, last_updated, 0, key))
        method = METHODS.index("PUT")
        found["version"].append((key, key, number, logical_id, 1, last_updated, method, 1, body))
        for table, indexed in rows(entries, key).items():
            found.setdefault(table, []).extend(indexed)
    for listed in found.values():
        listed.sort()
    return found


def write_sqlite(url: str, batches: Iterable[Batch]) -> None:
    """Write every batch; the database is migrated first."""
    prepare_database(url)
    connection = sqlite3.connect(sqlite_path(url), isolation_level=None)
    try:
        connection.execute("PRAGMA cache_size=-2000000")
        connection.execute("PRAGMA synchronous=NORMAL")
        indexes = connection.execute(_SQLITE_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for batch in batches:
            connection.execute("BEGIN IMMEDIATE")
            for table, listed in batch.items():
                columns = _COLUMNS[table]
                marks = ", ".join("?" * len(columns))
                connection.executemany(
                    f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", listed
                )
            connection.execute("COMMIT")
        for _, made_by in indexes:
            connection.execute(made_by)
        connection.execute("PRAGMA optimize")
    finally:
        connection.close()


def write_postgresql(url: str, batches: Iterable[Batch]) -> None:
    """Write every batch; the database is migrated first and analysed at the end."""
    prepare_database(url)
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        indexes = connection.execute(_POSTGRESQL_INDEXES).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        for batch in batches:
            with connection.transaction(), connection.cursor() as cursor:
                for table, listed in batch.items():
                    columns = ", ".join(_COLUMNS[table])
                    with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                        for row in listed:
                            copy.write_row(row)
        for _, made_by in indexes:
            connection.execute(made_by)
        connection.execute("SELECT setval('version_seq_seq', (SELECT MAX(seq) FROM version))")
        connection.execute("VACUUM ANALYZE")
