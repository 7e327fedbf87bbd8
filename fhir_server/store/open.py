"""Opening a store by its URL, migrated and found safe."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import unquote

import apsw

from fhir_server.store.checks import UnknownDatabase, UnsafeDatabase
from fhir_server.store.contract import Store
from fhir_server.store.memory import MemoryStore
from fhir_server.store.schema import HEAD
from fhir_server.store.sqlite import SqliteStore
from fhir_server.store.sqlite_driver import connect, create_file


def _kind(url: str) -> str:
    scheme, found, _ = url.partition("://")
    if not found:
        raise UnknownDatabase(
            f"'{url}' is not a database URL; write sqlite:///path or postgresql+psycopg://..."
        )
    kind = scheme.partition("+")[0]
    if kind not in ("sqlite", "postgresql", "memory"):
        raise UnknownDatabase(
            f"{kind} is not a database that this server works with; use SQLite or PostgreSQL"
        )
    return kind


def sqlite_path(url: str) -> str:
    """The file of a sqlite URL; `sqlite://` is a fresh private file that the system may clean up."""
    place = url.partition("://")[2].partition("?")[0]
    path = unquote(place.partition("/")[2])
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
        from fhir_server.store.migrating import prepare_postgresql

        prepare_postgresql(url)


def _prepare_sqlite(path: str) -> None:
    try:
        create_file(path)
        connection = connect(path)
    except (OSError, apsw.CantOpenError, apsw.ReadOnlyError) as error:
        raise UnsafeDatabase(f"{path} cannot be opened for writing: {error}") from None
    except apsw.Error:
        raise UnsafeDatabase(
            f"{path} is not an SQLite database, or damaged; name another file or restore a backup"
        ) from None
    try:
        current = _sqlite_revision(connection)
    finally:
        connection.close()
    if current != HEAD:
        # Loaded when there is something to migrate: a second start is quick.
        from fhir_server.store.migrating import migrate_sqlite

        migrate_sqlite(path)


def _sqlite_revision(connection: apsw.Connection) -> str | None:
    """The schema's revision, read without loading the migration machinery."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    ).fetchone()
    found = (
        connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    )
    return found[0] if found else None


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
    from fhir_server.store.migrating import prepare_postgresql
    from fhir_server.store.postgresql import PostgresqlStore

    prepare_postgresql(url)
    return PostgresqlStore(url, pool=pool, search_timeout=search_timeout, lock_timeout=lock_timeout)
