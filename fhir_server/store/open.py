"""Opening a store by its URL, migrated and found safe."""

from __future__ import annotations

import tempfile
from pathlib import Path

import apsw
from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import Connection, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import NullPool

from fhir_server.store.checks import UnknownDatabase, UnsafeDatabase, check_postgresql
from fhir_server.store.contract import Store
from fhir_server.store.memory import MemoryStore
from fhir_server.store.sqlite import SqliteStore
from fhir_server.store.sqlite_driver import connect, create_file

_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x66686972
_MIGRATION_MILLISECONDS = 60_000
HEAD = "0005"


def _kind(url: str) -> str:
    try:
        kind = make_url(url).get_backend_name()
    except ArgumentError:
        raise UnknownDatabase(
            f"'{url}' is not a database URL; write sqlite:///path or postgresql+psycopg://..."
        ) from None
    if kind not in ("sqlite", "postgresql", "memory"):
        raise UnknownDatabase(
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
        _migrate_sqlite(path)


def _migrate_sqlite(path: str) -> None:
    """All migrations in one transaction: it happens as a whole, and of two processes one waits for the other.

    By Python's own SQLite library, which SQLAlchemy knows: this process must not have the file open by the other one
    (https://www.sqlite.org/howtocorrupt.html#multiple_copies_of_sqlite_linked_into_the_same_application).
    """
    engine = create_engine(f"sqlite:///{path}", poolclass=NullPool)
    event.listen(engine, "connect", _leave_transactions_to_us)
    event.listen(engine, "begin", _begin_immediate)
    try:
        with engine.begin() as connection:
            _upgrade(connection)
    except OperationalError as error:
        raise UnsafeDatabase(f"{path} cannot be migrated: {error.orig}") from None
    finally:
        engine.dispose()


def _leave_transactions_to_us(connection: DBAPIConnection, _record: object) -> None:
    # Otherwise the driver commits before each change of the schema.
    connection.isolation_level = None
    connection.cursor().execute(f"PRAGMA busy_timeout = {_MIGRATION_MILLISECONDS}")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _sqlite_revision(connection: apsw.Connection) -> str | None:
    """The schema's revision, read without loading the migration machinery."""
    known = connection.execute(
        "SELECT 1 FROM sqlite_master WHERE name = 'alembic_version'"
    ).fetchone()
    found = (
        connection.execute("SELECT version_num FROM alembic_version").fetchone() if known else None
    )
    return found[0] if found else None


def _postgresql_revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def _prepare_postgresql(url: str) -> None:
    # The encoding is named so that even a database that is refused for its own can be asked.
    engine = create_engine(url, poolclass=NullPool, connect_args={"client_encoding": "UTF8"})
    try:
        with engine.begin() as connection:
            check_postgresql(connection)
            if _postgresql_revision(connection) == HEAD:
                return
            # Two processes that start at once migrate one after the other, each in one transaction.
            connection.execute(
                text("SELECT pg_advisory_xact_lock(:number)"), {"number": _MIGRATION_LOCK}
            )
            _upgrade(connection)
    except OperationalError as error:
        raise UnsafeDatabase(f"The database cannot be reached: {error.orig}") from None
    finally:
        engine.dispose()


def _upgrade(connection: Connection) -> None:
    # Loaded when there is something to migrate: a second start is quick.
    from alembic import command
    from alembic.config import Config
    from alembic.util.exc import CommandError

    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS))
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError:
        raise UnsafeDatabase(
            "The database has a schema that this version does not know; start the newer version that made it"
        ) from None


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
