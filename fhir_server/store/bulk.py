"""Filling an empty database with many new resources at once: rows are prepared elsewhere and written table by table.

On PostgreSQL by COPY (https://www.postgresql.org/docs/current/sql-copy.html). Nobody else may use the database
meanwhile: the keys of resources are given beforehand, and indexes are made at the end. It is filled as a whole or not
at all.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import apsw
import orjson
import psycopg
from sqlalchemy.engine import make_url

from fhir_server.search.entries import IndexEntries
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.open import prepare_database, sqlite_path
from fhir_server.store.rows import METHODS, Row, rows, type_numbers
from fhir_server.store.schema import COLUMNS
from fhir_server.store.sqlite_driver import FILL_WORDS

Json = dict[str, Any]
Batch = dict[str, list[Row]]

_COLUMNS = {
    "resource": ("key", "type", "logical_id", "version_id", "last_updated", "deleted", "seq"),
    **COLUMNS,
}

# The indexes beside the primary keys: made once everything is there, they are sorted and not grown.
_SQLITE_INDEXES = "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"
_POSTGRESQL_INDEXES = """
    SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = current_schema()
    AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
_POSTGRESQL_KEYS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid) FROM pg_constraint
    WHERE contype IN ('p', 'u') AND connamespace = current_schema()::regnamespace
    AND conrelid::regclass::text = ANY(%s)
"""
_SORTING_MEMORY = "SET LOCAL maintenance_work_mem = '256MB'"


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
    """Write every batch into a new file, without a journal, which takes its place when everything is in it.

    A crash leaves no file, or the whole one. Raises UnsafeDatabase when there is a file already.
    """
    path = Path(sqlite_path(url))
    if path.exists():
        raise UnsafeDatabase(f"{path} is there already; name a new file, or remove this one")
    beside = path.with_name(f"{path.name}.filling")
    beside.unlink(missing_ok=True)
    prepare_database(f"sqlite:///{beside}")
    connection = apsw.Connection(str(beside))
    try:
        connection.execute("PRAGMA journal_mode=OFF")
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA cache_size=-2000000")
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
            connection.execute(str(made_by))
        connection.execute(FILL_WORDS)
        connection.execute("PRAGMA optimize")
    finally:
        connection.close()
    _make_durable(beside)
    beside.replace(path)
    _make_durable(path.parent)


def _make_durable(path: Path) -> None:
    """What a file holds, or which names a folder has, survives a power cut from here on."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_postgresql(url: str, batches: Iterable[Batch]) -> None:
    """Write every batch; the database is migrated first and analysed at the end.

    All in one transaction, the keys and indexes too, which are made at its end: a crash leaves an empty database.
    """
    prepare_database(url)
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        with connection.transaction():
            connection.execute(_SORTING_MEMORY)
            keys = connection.execute(_POSTGRESQL_KEYS, [list(_COLUMNS)]).fetchall()
            indexes = connection.execute(_POSTGRESQL_INDEXES).fetchall()
            for name, _ in indexes:
                connection.execute(f"DROP INDEX {name}")
            for table, name, _ in keys:
                connection.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
            for batch in batches:
                _copy(batch, connection)
            for table, name, made_by in keys:
                connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {made_by}")
            for _, made_by in indexes:
                connection.execute(made_by)
        connection.execute("SELECT setval('version_seq_seq', (SELECT MAX(seq) FROM version))")
        connection.execute("VACUUM ANALYZE")


def _copy(batch: Batch, connection: psycopg.Connection[Any]) -> None:
    with connection.cursor() as cursor:
        for table, listed in batch.items():
            columns = ", ".join(_COLUMNS[table])
            with cursor.copy(f"COPY {table} ({columns}) FROM STDIN") as copy:
                for row in listed:
                    copy.write_row(row)
