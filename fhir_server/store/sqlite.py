"""SQLite: one writer thread with group commit, readers on connections of their own threads.

WAL with synchronous=FULL: what is acknowledged survives a crash and a power cut. The writer takes what is queued, runs
one after the other, and commits once for all of them. A work that is refused mostly has changed nothing yet; when one
has, the group is taken back and run again with a savepoint for each. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import math
import os
import queue
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from fhir_server.spec import errors
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.contract import (
    AGAIN,
    Defined,
    OverBudget,
    ReadTransaction,
    Transaction,
    VersionConflict,
)
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.statements import SqlTransaction, keep_secret

T = TypeVar("T")

LARGEST_GROUP = 256
BUSY_SECONDS = 5.0
_STEPS = 5_000
# Of 4 kB: the longer the log, the fewer of its pages are copied back for each write.
_CHECKPOINT_PAGES = 4_000
_FULL = 2
# A newest version that is further ahead of the clock was written when the clock was wrong; time goes on without it.
_LONGEST_LEAP = 60_000_000
_Work = tuple[Callable[[Transaction], Any], "Future[Any]"]


def connect(path: str, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode, WAL and FULL, that any thread may use (one at a time).

    Raises UnsafeDatabase when the file does not take these modes, as on some network file systems.
    """
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    journal = connection.execute("PRAGMA journal_mode=WAL").fetchone()[0]
    connection.execute("PRAGMA synchronous=FULL")
    synchronous = connection.execute("PRAGMA synchronous").fetchone()[0]
    if (journal, synchronous) != ("wal", _FULL):
        connection.close()
        raise UnsafeDatabase(
            f"SQLite works with journal_mode={journal}, synchronous={synchronous} on this file, but acknowledged"
            " writes are safe in WAL with FULL (2) only; keep the database on a local disk"
        )
    connection.execute("PRAGMA mmap_size=2147418112")
    connection.execute("PRAGMA cache_size=-16000")
    # What a savepoint may need to take back stays in memory instead of a file that is made and removed each time.
    connection.execute("PRAGMA temp_store=MEMORY")
    connection.execute(f"PRAGMA wal_autocheckpoint={_CHECKPOINT_PAGES}")
    return connection


class _HalfDone(Exception):
    """A work without a savepoint was refused after it had changed something."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """What a work raised."""

    error: BaseException


class SqliteDriver:
    """Statements on one connection."""

    # Julian days as microseconds since 1970: SQLite before 3.42 has no finer clock.
    clock = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.floor = 0
        # A snapshot costs next to nothing here.
        self.alone = False
        self._seq = 0

    def fetch(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows."""
        return self.cursor.execute(text, values).fetchall()

    def change(self, text: str, values: Sequence[Any]) -> int:
        """One change."""
        return self.cursor.execute(text, values).rowcount

    def change_many(self, text: str, rows: Sequence[Row]) -> None:
        """The same change for many rows."""
        self.cursor.executemany(text, rows)

    def next_seq(self) -> int:
        """The number after the highest: there is one writer at a time."""
        self._seq += 1
        return self._seq

    def newest(self) -> int:
        """The moment of the newest version, 0 when there is none."""
        found = self.cursor.execute("SELECT MAX(last_updated) FROM version").fetchone()[0]
        return found or 0

    def settled(self) -> int:
        """Transactions follow one another, and none puts a version older than what was there (floor)."""
        return self.newest()

    def begin_write(self) -> None:
        """Keep everybody else from writing, and look where they stopped."""
        self.cursor.execute("BEGIN IMMEDIATE")
        newest = self.newest()
        self.floor = newest if newest < time.time_ns() // 1000 + _LONGEST_LEAP else 0
        self._seq = self.cursor.execute("SELECT MAX(seq) FROM version").fetchone()[0] or 0

    def lock(self, identities: Sequence[tuple[str, str]]) -> None:
        """BEGIN IMMEDIATE has locked everything."""


class SqliteStore:
    """A Store in one file."""

    def __init__(
        self, path: str, *, search_timeout: float = 5.0, lock_timeout: float = BUSY_SECONDS
    ) -> None:
        self.path = path
        self.search_timeout = search_timeout
        self._local = threading.local()
        self._readers: list[sqlite3.Connection] = []
        self._readers_lock = threading.Lock()
        self._queue_lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._connection = connect(path, lock_timeout)
        self._driver = SqliteDriver(self._connection)
        self._closed = False
        self._writer = threading.Thread(target=self._write_all, name="sqlite-writer", daemon=True)
        self._writer.start()

    @contextmanager
    def read(self, budget: float | None = None) -> Iterator[ReadTransaction]:
        """A snapshot on this thread's own connection."""
        driver = getattr(self._local, "driver", None)
        if driver is None:
            driver = self._local.driver = self._reader()
        # A budget is of the thread's own time: on a busy machine, giving up what others delay would only do it twice.
        self._local.deadline = time.monotonic() + self.search_timeout
        self._local.budget = math.inf if budget is None else time.thread_time() + budget
        try:
            driver.cursor.execute("BEGIN")
            yield SqlTransaction(driver)
        except sqlite3.DatabaseError as error:
            if budget is not None and _code(error) == sqlite3.SQLITE_INTERRUPT:
                raise OverBudget from None
            raise _refusal(error) from error
        finally:
            # Past its time the handler would interrupt the end as well, and the next read find this one's transaction.
            self._local.budget = self._local.deadline = math.inf
            if driver.connection.in_transaction:
                driver.cursor.execute("ROLLBACK")

    def _reader(self) -> SqliteDriver:
        connection = connect(self.path)
        connection.execute("PRAGMA query_only=1")
        local = self._local
        connection.set_progress_handler(
            lambda: time.thread_time() > local.budget or time.monotonic() > local.deadline, _STEPS
        )
        with self._readers_lock:
            self._readers.append(connection)
        return SqliteDriver(connection)

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Queue the work for the writer."""
        future: Future[T] = Future()
        with self._queue_lock:
            if not self._closed:
                self._queue.put((work, future))
                return future
        future.set_exception(errors.unavailable("The server is shutting down"))
        return future

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""
        return self.submit(work).result()

    def _write_all(self) -> None:
        """The writer thread: groups until the end."""
        last = False
        while not last:
            group: list[_Work] = []
            item = self._queue.get()
            while item is not None:
                group.append(item)
                if len(group) >= LARGEST_GROUP:
                    break
                try:
                    item = self._queue.get_nowait()
                except queue.Empty:
                    break
            last = item is None
            if group:
                self._commit(group)
        self._connection.close()

    def _commit(self, group: list[_Work]) -> None:
        """Run a group in one transaction; the futures get their results when that is durable."""
        waiting = deque(item for item in group if item[1].set_running_or_notify_cancel())
        guarded = False
        while waiting:
            try:
                self._driver.begin_write()
            except sqlite3.Error as error:
                self._give_up(error, [future for _, future in waiting])
                return
            whole = waiting.copy()
            done: list[tuple[Future[Any], Any]] = []
            lost = None
            try:
                while waiting and lost is None:
                    lost = self._run(*waiting.popleft(), done, guarded=guarded)
            except _HalfDone:
                self._driver.cursor.execute("ROLLBACK")
                waiting, guarded = whole, True
                continue
            self._end(done, lost)

    def _end(self, done: list[tuple[Future[Any], Any]], lost: BaseException | None) -> None:
        futures = [future for future, _ in done]
        if lost is not None:
            self._give_up(lost, futures)
            return
        try:
            self._driver.cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self._give_up(error, futures)
            return
        for future, result in done:
            if isinstance(result, _Refused):
                future.set_exception(result.error)
            else:
                future.set_result(result)

    def _give_up(self, error: BaseException, futures: list[Future[Any]]) -> None:
        """Nothing of these works remains."""
        if self._connection.in_transaction:
            self._driver.cursor.execute("ROLLBACK")
        for future in futures:
            future.set_exception(_refusal(error))

    def _run(
        self,
        work: Callable[[Transaction], Any],
        future: Future[Any],
        done: list[tuple[Future[Any], Any]],
        *,
        guarded: bool,
    ) -> BaseException | None:
        """One work, again when it lost a race; what came of it is told after the commit.

        A refusal too: it may stand on what another work of the group did, which a crash could still undo.
        Gives the error that took the whole transaction with it, as SQLite does when the disk is full.
        """
        for attempt in range(1 + AGAIN):
            try:
                done.append((future, self._attempt(work) if guarded else self._trust(work)))
            except _HalfDone:
                raise
            except VersionConflict as error:
                if attempt == AGAIN:
                    done.append((future, _Refused(_refusal(error))))
            except BaseException as error:  # noqa: BLE001 - the future carries whatever the work raised
                told = _refusal(error) if isinstance(error, sqlite3.Error) else error
                if not self._connection.in_transaction:
                    future.set_exception(told)
                    return error
                done.append((future, _Refused(told)))
                break
            else:
                break
        return None

    def _trust(self, work: Callable[[Transaction], T]) -> T:
        """The result of a work without the cost of a savepoint; _HalfDone when it would have needed one."""
        before = self._connection.total_changes
        try:
            return work(SqlTransaction(self._driver))
        except BaseException:
            changed = self._connection.total_changes != before
            if changed and self._connection.in_transaction:
                raise _HalfDone from None
            raise

    def _attempt(self, work: Callable[[Transaction], T]) -> T:
        """The result of a work in its savepoint; nothing of it remains when it raises."""
        cursor = self._driver.cursor
        cursor.execute("SAVEPOINT work")
        try:
            result = work(SqlTransaction(self._driver))
        except BaseException:
            if self._connection.in_transaction:
                cursor.execute("ROLLBACK TO work")
                cursor.execute("RELEASE work")
            raise
        cursor.execute("RELEASE work")
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
        """Statements are written so that SQLite's planner needs none."""

    def ready(self) -> bool:
        """Whether the file can be read."""
        try:
            with self.read() as transaction:
                transaction.current(next(iter(type_numbers())), "ready")
        except (sqlite3.Error, errors.FhirError):
            return False
        return self._writer.is_alive()

    def close(self) -> None:
        """Write what is queued, then close every connection."""
        with self._queue_lock:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._writer.join()
        with self._readers_lock:
            for connection in self._readers:
                connection.close()


def _code(error: BaseException) -> int:
    """SQLite's primary result code (https://www.sqlite.org/rescode.html), 0 for an error of Python's."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _refusal(error: BaseException) -> errors.FhirError:
    """What a caller is told of a database error: never its text, which may quote values."""
    if isinstance(error, VersionConflict):
        return errors.contended()
    match _code(error):
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return errors.contended()
        case sqlite3.SQLITE_INTERRUPT:
            return errors.too_costly("The search takes too long; narrow it by another parameter")
        case sqlite3.SQLITE_FULL:
            return errors.no_space()
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return errors.damaged()
        case sqlite3.SQLITE_READONLY:
            return errors.unavailable(
                "The database can only be read at present; nothing was stored"
            )
    return errors.unavailable("The database is busy or cannot be written; try again")


def create_file(path: str) -> None:
    """Make the database file readable for its owner only, before SQLite opens it."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
