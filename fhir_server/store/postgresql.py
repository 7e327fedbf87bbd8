"""PostgreSQL: READ COMMITTED, unique keys, and advisory locks on what is written, in one order.

https://www.postgresql.org/docs/current/transaction-iso.html
"""

from __future__ import annotations

import hashlib
import random
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy.engine import make_url

from fhir_server.spec import errors
from fhir_server.store.contract import ReadTransaction, Transaction, VersionConflict
from fhir_server.store.rows import Row
from fhir_server.store.statements import SqlTransaction

T = TypeVar("T")

_TRIES = 4
_POOL_SECONDS = 5.0
_WRITE_MILLISECONDS = 30_000
_LOST_RACE = (pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation, VersionConflict)


@lru_cache(maxsize=4096)
def _marked(text: str) -> str:
    """The statement with PostgreSQL's marks."""
    return text.replace("%", "%%").replace("?", "%s")


def _lock_number(identity: tuple[str, str]) -> int:
    digest = hashlib.blake2b("/".join(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class PostgresqlDriver:
    """Statements on one connection inside one transaction."""

    clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self.cursor = cursor
        self.held: set[int] = set()

    def fetch(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows."""
        return self.cursor.execute(_marked(text), values).fetchall()

    def change(self, text: str, values: Sequence[Any]) -> int:
        """One change."""
        return self.cursor.execute(_marked(text), values).rowcount

    def change_many(self, text: str, rows: Sequence[Row]) -> None:
        """The same change for many rows, in one order so that two transactions cannot wait for each other."""
        self.cursor.executemany(_marked(text), sorted(rows))

    def next_seq(self) -> int:
        """The next number of the sequence behind version.seq."""
        found = self.cursor.execute("SELECT nextval('version_seq_seq')").fetchone()
        assert found is not None
        return int(found[0])

    def lock(self, identities: Sequence[tuple[str, str]]) -> None:
        """Advisory locks until the transaction ends, ascending, in one round trip."""
        numbers = sorted({_lock_number(item) for item in identities} - self.held)
        if numbers:
            self.cursor.execute(
                "SELECT pg_advisory_xact_lock(n) FROM (SELECT unnest(%s::bigint[]) AS n ORDER BY 1) AS ordered",
                (numbers,),
            )
            self.held.update(numbers)


class PostgresqlStore:
    """A Store in a PostgreSQL database; several processes may share it."""

    def __init__(
        self, url: str, *, pool: int = 8, search_timeout: float = 5.0, lock_timeout: float = 5.0
    ) -> None:
        self.search_timeout = search_timeout
        self.lock_timeout = lock_timeout
        plain = make_url(url).set(drivername="postgresql")
        self._pool = ConnectionPool(
            plain.render_as_string(hide_password=False),
            min_size=1,
            max_size=pool + 2,
            timeout=_POOL_SECONDS,
            configure=self._configure,
            open=True,
            name="fhir",
        )
        self._threads = ThreadPoolExecutor(pool, "postgresql")

    def _configure(self, connection: psycopg.Connection[Any]) -> None:
        connection.autocommit = True
        connection.prepare_threshold = 3
        milliseconds = int(self.search_timeout * 1000)
        connection.execute("SET plan_cache_mode = force_custom_plan")
        # Shorter than the statement's own time, so that who waits for a lock is told of the lock.
        waiting = min(int(self.lock_timeout * 1000), milliseconds * 9 // 10)
        connection.execute(f"SET lock_timeout = {max(waiting, 1)}")
        connection.execute(f"SET statement_timeout = {max(milliseconds, 1)}")

    @contextmanager
    def read(self, budget: float | None = None) -> Iterator[ReadTransaction]:
        """A snapshot: REPEATABLE READ, read only."""
        del (
            budget
        )  # reads wait for the server's answer, so they are never made where haste is needed
        try:
            with self._pool.connection() as connection, connection.cursor() as cursor:
                cursor.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
                try:
                    yield SqlTransaction(PostgresqlDriver(cursor))
                finally:
                    if not connection.closed:
                        cursor.execute("ROLLBACK")
        except (psycopg.Error, PoolTimeout) as error:
            raise _refusal(error) from error

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Run the work in a transaction on one of the store's threads."""
        try:
            return self._threads.submit(self._run, work)
        except RuntimeError:
            future: Future[T] = Future()
            future.set_exception(errors.unavailable("The server is shutting down"))
            return future

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""
        return self.submit(work).result()

    def _run(self, work: Callable[[Transaction], T]) -> T:
        for attempt in range(_TRIES):
            try:
                return self._once(work)
            except _LOST_RACE as error:
                if attempt == _TRIES - 1:
                    raise _refusal(error) from error
                time.sleep(random.uniform(0.001, 0.01) * (attempt + 1))  # noqa: S311 - jitter
            except (psycopg.Error, PoolTimeout) as error:
                raise _refusal(error) from error
        raise AssertionError

    def _once(self, work: Callable[[Transaction], T]) -> T:
        with self._pool.connection() as connection, connection.cursor() as cursor:
            cursor.execute("BEGIN")
            try:
                result = work(SqlTransaction(PostgresqlDriver(cursor)))
                cursor.execute("COMMIT")
            except BaseException:
                if not connection.closed:
                    cursor.execute("ROLLBACK")
                raise
            return result

    def keys(
        self, resource_type: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[int]:
        """Internal keys of current resources."""
        with self.read() as transaction:
            assert isinstance(transaction, SqlTransaction)
            return transaction.keys(resource_type, after, limit)

    def secret(self, name: str) -> bytes:
        """32 random bytes kept in the database."""

        def get_or_create(transaction: Transaction) -> bytes:
            assert isinstance(transaction, SqlTransaction)
            return transaction.secret(name, secrets.token_bytes(32))

        return self.write(get_or_create)

    def ready(self) -> bool:
        """Whether the database answers."""
        try:
            with self._pool.connection(timeout=1) as connection:
                connection.execute("SELECT 1")
        except (psycopg.Error, PoolTimeout):
            return False
        return True

    def close(self) -> None:
        """Finish what was submitted, then close the pool."""
        self._threads.shutdown(wait=True)
        self._pool.close()


def _refusal(error: BaseException) -> errors.FhirError:
    """What a caller is told of a database error: never its text, which may quote values."""
    match error:
        case pg.QueryCanceled():
            return errors.too_costly("The search takes too long; narrow it by another parameter")
        case (
            pg.LockNotAvailable()
            | VersionConflict()
            | pg.DeadlockDetected()
            | pg.SerializationFailure()
        ):
            return errors.contended()
        case pg.UniqueViolation():
            return errors.contended()
        case pg.DiskFull():
            full = errors.Issue(
                "error", "no-store", "The disk of the database is full; nothing was stored"
            )
            return errors.FhirError(507, (full,))
    return errors.unavailable("The database does not answer; try again")
