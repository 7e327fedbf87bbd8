"""Opening a store by its URL, migrated and found safe."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import NullPool

from fhir_server.store.checks import UnsafeDatabase, check_postgresql, check_sqlite
from fhir_server.store.contract import Store
from fhir_server.store.memory import MemoryStore
from fhir_server.store.sqlite import SqliteStore, create_file

_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x66686972
HEAD = "0002"


def _kind(url: str) -> str:
    try:
        kind = make_url(url).get_backend_name()
    except ArgumentError:
        raise UnsafeDatabase(
            f"'{url}' is not a database URL; write sqlite:///path or postgresql+psycopg://..."
        ) from None
    if kind not in ("sqlite", "postgresql", "memory"):
        raise UnsafeDatabase(
            f"{kind} is not a database that this server works with; use SQLite or PostgreSQL"
        )
    return kind


def sqlite_path(url: str) -> str:
    """The file of a sqlite URL; `sqlite://` is a fresh private file that the system may clean up."""
    path = make_url(url).database
    if not path or path == ":memory:":
        return str(Path(tempfile.mkdtemp(prefix="fhir-")) / "fhir.sqlite")
    return path


def prepare_database(url: str) -> None:
    """Migrate the database to the newest schema and check that it keeps what it acknowledges.

    Raises UnsafeDatabase with a sentence for the operator.
    """
    kind = _kind(url)
    if kind == "sqlite":
        _prepare_sqlite(sqlite_path(url))
    elif kind == "postgresql":
        _prepare_postgresql(url)


def _prepare_sqlite(path: str) -> None:
    create_file(path)
    connection = sqlite3.connect(path)
    try:
        check_sqlite(connection)
        current = _sqlite_revision(connection)
    finally:
        connection.close()
    if current != HEAD:
        engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
        with engine.connect() as opened:
            opened.execute(text("PRAGMA journal_mode=WAL"))
            opened.commit()
            _upgrade(opened)
        engine.dispose()


def _sqlite_revision(connection: sqlite3.Connection) -> str | None:
    """The schema's revision, read without loading the migration machinery: a second start is quick."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    ).fetchone()
    found = (
        connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    )
    return found[0] if found else None


def _prepare_postgresql(url: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    try:
        with engine.connect() as connection:
            check_postgresql(connection)
            connection.commit()
            # Two processes that start at once migrate one after the other.
            connection.execute(
                text("SELECT pg_advisory_lock(:number)"), {"number": _MIGRATION_LOCK}
            )
            connection.commit()
            try:
                _upgrade(connection)
            finally:
                connection.rollback()
                connection.execute(
                    text("SELECT pg_advisory_unlock(:number)"), {"number": _MIGRATION_LOCK}
                )
                connection.commit()
    except OperationalError as error:
        raise UnsafeDatabase(f"The database cannot be reached: {error.orig}") from None
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def open_store(
    url: str, *, pool: int = 8, search_timeout: float = 5.0, lock_timeout: float = 5.0
) -> Store:
    """A store on the database, ready to use.

    Raises UnsafeDatabase.
    """
    kind = _kind(url)
    if kind == "memory":
        return MemoryStore()
    if kind == "sqlite":
        path = sqlite_path(url)
        _prepare_sqlite(path)
        return SqliteStore(path, search_timeout=search_timeout, lock_timeout=lock_timeout)
    from fhir_server.store.postgresql import PostgresqlStore

    _prepare_postgresql(url)
    return PostgresqlStore(url, pool=pool, search_timeout=search_timeout, lock_timeout=lock_timeout)
