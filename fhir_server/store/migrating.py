"""Migrating a database with Alembic, and asking PostgreSQL whether that is needed.

Apart from open.py, which loads it when it must: SQLAlchemy takes a good part of a start. https://alembic.sqlalchemy.org
"""

from __future__ import annotations

from pathlib import Path

from sqlalchemy import create_engine, event, text
from sqlalchemy.engine import URL, Connection
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, OperationalError
from sqlalchemy.pool import NullPool

from fhir_server.store.checks import UnknownDatabase, UnsafeDatabase, check_postgresql
from fhir_server.store.schema import HEAD

_MIGRATIONS = Path(__file__).with_name("migrations")
_MIGRATION_LOCK = 0x66686972
_MIGRATION_MILLISECONDS = 60_000


def migrate_sqlite(path: str) -> None:
    """All migrations in one transaction: it happens as a whole, and of two processes one waits for the other.

    By Python's own SQLite library, which SQLAlchemy knows: this process must not have the file open by the other one
    (https://www.sqlite.org/howtocorrupt.html#multiple_copies_of_sqlite_linked_into_the_same_application).
    """
    engine = create_engine(URL.create("sqlite", database=path), poolclass=NullPool)
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


def _postgresql_revision(connection: Connection) -> str | None:
    if connection.execute(text("SELECT to_regclass('alembic_version')")).scalar_one() is None:
        return None
    return connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none()


def prepare_postgresql(url: str) -> None:
    """Migrate the database to the newest schema and check that it keeps what it acknowledges.

    Raises UnsafeDatabase with a sentence for the operator.
    """
    try:
        # The encoding is named so that even a database that is refused for its own can be asked.
        engine = create_engine(url, poolclass=NullPool, connect_args={"client_encoding": "UTF8"})
    except (ArgumentError, ValueError):
        raise UnknownDatabase(
            "The database URL cannot be read; write postgresql+psycopg://user@host:port/name"
        ) from None
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
