"""PostgreSQL: READ COMMITTED, unique keys, and advisory locks on what is written, in one order.

https://www.postgresql.org/docs/current/transaction-iso.html
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

import psycopg
from psycopg import errors as pg
from psycopg.types.numeric import Int8Dumper
from psycopg_pool import ConnectionPool, PoolTimeout
from sqlalchemy.engine import make_url

from fhir_server.spec import errors
from fhir_server.store.contract import AGAIN, ReadTransaction, Soon, Transaction, VersionConflict
from fhir_server.store.defined import Defined
from fhir_server.store.pages_sql import Derived
from fhir_server.store.postgresql_marks import addition, marked
from fhir_server.store.promise import Promise
from fhir_server.store.rows import Row
from fhir_server.store.schema import DELETE_ROW, tables_in
from fhir_server.store.search_composer import VARIES
from fhir_server.store.statements import SqlTransaction, keep_secret

T = TypeVar("T")

_POOL_SECONDS = 5.0
_SETTLE_SECONDS = 1.0
_SETTLE_PAUSE = 0.002
_MILLISECOND = 0.001
_LOST_RACE = (pg.SerializationFailure, pg.DeadlockDetected, pg.UniqueViolation, VersionConflict)


# Every writer shows, as the second number of a shared advisory lock, the millisecond at which it began, and takes the
# time of its versions afterwards. The lock is released after its commit can be seen. So a version that cannot be seen
# yet is not older than the oldest of these locks, and commits that come out of order are no matter.
_WRITERS = 0x66686972
_BEGIN_WRITE = f"""
BEGIN;
SELECT pg_advisory_xact_lock_shared({_WRITERS}, (floor(extract(epoch FROM clock_timestamp()) * 1000)
  ::bigint % 4294967296 - 2147483648)::int), floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint,
  nextval('version_seq_seq')
"""
_OLDEST_WRITER = f"""
SELECT now, now - max((now - objid::bigint - 2147483648) & 4294967295) FROM
  (SELECT floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now) AS clock LEFT JOIN pg_locks
  ON locktype = 'advisory' AND classid = {_WRITERS} AND objsubid = 2 AND pid <> pg_backend_pid()
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
GROUP BY now
"""
_MORE_SEQS = "SELECT nextval('version_seq_seq') FROM generate_series(1, 4)"
_BEGIN_READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Planning costs ten times what most searches do, so plans are kept; where the values decide, they are made anew.
_PLAN_ONCE = "SET plan_cache_mode = force_generic_plan"
_PLAN_ANEW = "SET LOCAL plan_cache_mode = force_custom_plan"
_KEPT_STATEMENTS = 500
# A pipeline, as the driver makes it for many changes, costs more than to wait for a few answers.
_FEW = 3
# So many versions are written together: their bodies are all in the statement.
_MOST_WAITING = 100


def _lock_number(identity: tuple[str, str]) -> int:
    digest = hashlib.blake2b("/".join(identity).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True)


class PostgresqlDriver:
    """Statements on one connection inside one transaction."""

    clock = "CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS bigint)"

    def __init__(self, cursor: psycopg.Cursor[Any]) -> None:
        self.cursor = cursor
        self.held: set[int] = set()
        self.floor = 0
        self.seqs: list[int] = []
        self.writes = False
        self.begun = False
        self.alone = False
        self.plans_anew = False
        self._waiting: dict[str, list[Row]] = {}

    def begin_read(self, *, plan_anew: bool = False) -> None:
        """A snapshot, taken at the first statement."""
        self.begun, self.plans_anew = True, plan_anew
        if plan_anew:
            self.cursor.execute(f"{_BEGIN_READ}; {_PLAN_ANEW}", prepare=False)
        else:
            self.cursor.execute(_BEGIN_READ)

    def end_read(self) -> None:
        """Let go of the snapshot: by COMMIT, as after ROLLBACK the driver forgets what it has prepared."""
        if self.begun:
            self.begun = False
            self.cursor.execute("COMMIT")

    def begin_write(self) -> None:
        """READ COMMITTED, seen by those who read histories."""
        self.writes = self.begun = True
        self.cursor.execute(_BEGIN_WRITE, prepare=False)
        self.cursor.nextset()
        [(_, began, seq)] = self.cursor.fetchall()
        self.floor = int(began) * 1000
        self.seqs.append(int(seq))

    def settled(self) -> int:
        """Wait a little until whoever was writing at the call has ended; a snapshot is taken after that."""
        if self.writes:
            return self._oldest_writer()[1]
        self.end_read()
        deadline = time.monotonic() + _SETTLE_SECONDS
        called, oldest = self._oldest_writer()
        while oldest < called and time.monotonic() < deadline:
            time.sleep(_SETTLE_PAUSE)
            _, oldest = self._oldest_writer()
        self.begin_read()
        return oldest

    def settled_position(self) -> tuple[int, int]:
        """Numbers are not in the order of commits: a millisecond is complete when it has passed."""
        time.sleep(_MILLISECOND)
        return self.settled(), 0

    def _oldest_writer(self) -> tuple[int, int]:
        """Now, and when the oldest transaction that writes now began (now when there is none)."""
        [(now, oldest)] = self.cursor.execute(_OLDEST_WRITER).fetchall()
        return int(now) * 1000, int(now if oldest is None else oldest) * 1000

    def fetch(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows."""
        if self._waiting:
            self._write_for(text)
        return self.look(text, values)

    def look(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows, of which none waits."""
        varies = text.startswith(VARIES)
        if not self.begun:
            if varies or not self.alone:
                self.begin_read(plan_anew=varies)
        elif varies and not self.plans_anew:
            self.plans_anew = True
            self.cursor.execute(_PLAN_ANEW)
        return self.cursor.execute(marked(text), values).fetchall()

    def change(self, text: str, values: Sequence[Any]) -> int:
        """One change."""
        if self._waiting:
            self._write_for(text)
        return self.cursor.execute(marked(text), values).rowcount

    def change_many(self, text: str, rows: Sequence[Row]) -> None:
        """The same change for many rows, in one order so that two transactions cannot wait for each other."""
        if self._waiting:
            self._write_for(text)
        statement = marked(text)
        if len(rows) > _FEW:
            self.cursor.executemany(statement, sorted(rows))
            return
        for row in sorted(rows):
            self.cursor.execute(statement, row)

    def add_rows(self, tables: Mapping[str, Collection[Row]]) -> None:
        """When something asks for one of these tables, when there are many, or at the end."""
        for table, rows in tables.items():
            self._waiting.setdefault(table, []).extend(rows)
        if len(self._waiting.get("version", ())) >= _MOST_WAITING:
            self.flush()

    def add_later(self, find: Callable[[], Mapping[str, Collection[Row]]]) -> None:
        """Found now: a transaction has few works, and none of another client."""
        self.add_rows(find())

    def flush(self) -> None:
        """One statement for all tables, with a list for each column: it stays the same however many rows there are."""
        waiting, self._waiting = self._waiting, {}
        if not waiting:
            return
        self.cursor.execute(*addition(waiting))
        made = waiting.get("resource", ())
        if made and self.cursor.fetchall() != [(len(made),)]:
            raise VersionConflict("a resource is there already")

    def _write_for(self, text: str) -> None:
        """Write what waits if a statement may be about it."""
        if not tables_in(text).isdisjoint(self._waiting):
            self.flush()

    def remove_rows(self, table: str, rows: Sequence[Row]) -> None:
        """One after the other."""
        self.change_many(DELETE_ROW[table], rows)

    def next_seq(self) -> int:
        """The next number of the sequence behind version.seq; the first came with BEGIN."""
        if not self.seqs:
            self.seqs = [row[0] for row in self.cursor.execute(_MORE_SEQS)][::-1]
        return self.seqs.pop()

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
        self._derived: Derived = {}
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
        connection.prepared_max = _KEPT_STATEMENTS
        # Numbers are sent as one type whatever their size: a statement with others is another one to be prepared.
        connection.adapters.register_dumper(int, Int8Dumper)
        connection.execute(_PLAN_ONCE)
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
                driver = PostgresqlDriver(cursor)
                try:
                    yield SqlTransaction(driver, self._derived)
                finally:
                    if not connection.closed:
                        driver.end_read()
        except (psycopg.Error, PoolTimeout) as error:
            raise _refusal(error) from error

    def submit(self, work: Callable[[Transaction], T], soon: Soon | None = None) -> Promise[T]:  # noqa: ARG002 - not of use here
        """Run the work in a transaction on one of the store's threads."""
        promise: Promise[T] = Promise()
        try:
            self._threads.submit(self._keep, promise, work)
        except RuntimeError:
            promise.set_exception(errors.unavailable("The server is shutting down"))
        return promise

    def _keep(self, promise: Promise[T], work: Callable[[Transaction], T]) -> None:
        if promise.begin():
            try:
                promise.set_result(self._run(work))
            except BaseException as error:  # noqa: BLE001 - the promise carries whatever the work raised
                promise.set_exception(error)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""
        return self.submit(work).result()

    def _run(self, work: Callable[[Transaction], T]) -> T:
        for attempt in range(1 + AGAIN):
            try:
                return self._once(work)
            except _LOST_RACE as error:
                if attempt == AGAIN:
                    raise _refusal(error) from error
                time.sleep(random.uniform(0.001, 0.01) * (attempt + 1))  # noqa: S311 - jitter
            except (psycopg.Error, PoolTimeout) as error:
                raise _refusal(error) from error
        raise AssertionError

    def _once(self, work: Callable[[Transaction], T]) -> T:
        with self._pool.connection() as connection, connection.cursor() as cursor:
            driver = PostgresqlDriver(cursor)
            driver.begin_write()
            try:
                result = work(SqlTransaction(driver))
                driver.flush()
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
            return transaction.catalogue.keys(resource_type, after, limit)

    def defined(self) -> list[Defined]:
        """The search parameters of the deployment's own."""
        with self.read() as transaction:
            assert isinstance(transaction, SqlTransaction)
            return transaction.catalogue.listed()

    def secret(self, name: str) -> bytes:
        """32 random bytes kept in the database."""
        with self.read() as transaction:
            assert isinstance(transaction, SqlTransaction)
            kept = transaction.secret(name)
        return kept or self.write(partial(keep_secret, name))

    def gather_statistics(self) -> None:
        """ANALYZE; connections that have planned without make their plans anew.

        Left to autovacuum where it is at work already, or this role may not.
        """
        try:
            with self._pool.connection() as connection, connection.transaction():
                connection.execute("SET LOCAL statement_timeout = 0")
                connection.execute("ANALYZE")
        except pg.LockNotAvailable:
            return
        except (psycopg.Error, PoolTimeout) as error:
            raise _refusal(error) from error

    def unsound(self) -> list[str]:
        """PostgreSQL keeps its indexes by itself."""
        return []

    def mend(self) -> None:
        """PostgreSQL keeps its indexes by itself."""

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
            | pg.UniqueViolation()
        ):
            return errors.contended()
        case pg.DiskFull():
            return errors.no_space()
        case pg.ReadOnlySqlTransaction():
            return errors.unavailable(
                "The database can only be read at present; nothing was stored"
            )
        case pg.DataCorrupted() | pg.IndexCorrupted():
            return errors.damaged()
    return errors.unavailable("The database does not answer; try again")
