"""SQLite: one writer thread with group commit, readers on connections of their own threads.

WAL with synchronous=FULL: what is acknowledged survives a crash and a power cut. The writer takes what is queued,
gives each work a savepoint, and commits once for all of them. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import os
import queue
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from fhir_server.spec import errors
from fhir_server.store.contract import OverBudget, ReadTransaction, Transaction, VersionConflict
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.statements import SqlTransaction

T = TypeVar("T")

LARGEST_GROUP = 256
BUSY_SECONDS = 10.0
_TRIES = 3
_STEPS = 5_000
_Work = tuple[Callable[[Transaction], Any], "Future[Any]"]


def connect(path: str, busy_seconds: float = BUSY_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode, WAL and FULL, that any thread may use (one at a time)."""
    connection = sqlite3.connect(
        path,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=512,
    )
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA mmap_size=268435456")
    connection.execute("PRAGMA cache_size=-16000")
    return connection


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
        found = self.cursor.execute("SELECT MAX(seq) FROM version").fetchone()[0]
        return (found or 0) + 1

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
        self._local.deadline = time.monotonic() + (budget or self.search_timeout)
        driver.cursor.execute("BEGIN")
        try:
            yield SqlTransaction(driver)
        except sqlite3.OperationalError as error:
            if budget is not None and "interrupted" in str(error):
                raise OverBudget from None
            raise _refusal(error) from error
        finally:
            driver.cursor.execute("ROLLBACK")

    def _reader(self) -> SqliteDriver:
        connection = connect(self.path)
        connection.execute("PRAGMA query_only=1")
        local = self._local
        connection.set_progress_handler(lambda: time.monotonic() > local.deadline, _STEPS)
        with self._readers_lock:
            self._readers.append(connection)
        return SqliteDriver(connection)

    def submit(self, work: Callable[[Transaction], T]) -> Future[T]:
        """Queue the work for the writer."""
        future: Future[T] = Future()
        if self._closed:
            future.set_exception(errors.unavailable("The server is shutting down"))
        else:
            self._queue.put((work, future))
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
        try:
            self._begin()
        except sqlite3.Error as error:
            for _, future in group:
                future.set_exception(_refusal(error))
            return
        done: list[tuple[Future[Any], Any]] = []
        for work, future in group:
            if future.set_running_or_notify_cancel():
                self._run(work, future, done)
        try:
            self._driver.cursor.execute("COMMIT")
        except sqlite3.Error as error:
            self._abandon()
            for future, _ in done:
                future.set_exception(_refusal(error))
            return
        for future, result in done:
            if isinstance(result, _Refused):
                future.set_exception(result.error)
            else:
                future.set_result(result)

    def _begin(self) -> None:
        """BEGIN IMMEDIATE; another process may hold the lock for a while."""
        for attempt in range(_TRIES):
            try:
                self._driver.cursor.execute("BEGIN IMMEDIATE")
            except sqlite3.OperationalError:
                if attempt == _TRIES - 1:
                    raise
            else:
                return

    def _run(
        self,
        work: Callable[[Transaction], Any],
        future: Future[Any],
        done: list[tuple[Future[Any], Any]],
    ) -> None:
        """One work in its savepoint; what came of it is told after the commit.

        A refusal too: it may stand on what another work of the group did, which a crash could still undo.
        """
        cursor = self._driver.cursor
        for attempt in range(_TRIES):
            cursor.execute("SAVEPOINT work")
            try:
                result = work(SqlTransaction(self._driver))
            except BaseException as error:  # noqa: BLE001 - the future carries whatever the work raised
                cursor.execute("ROLLBACK TO work")
                cursor.execute("RELEASE work")
                if isinstance(error, VersionConflict) and attempt < _TRIES - 1:
                    continue
                own = isinstance(error, (sqlite3.Error, VersionConflict))
                done.append((future, _Refused(_refusal(error) if own else error)))
                return
            cursor.execute("RELEASE work")
            done.append((future, result))
            return

    def _abandon(self) -> None:
        if self._connection.in_transaction:
            self._driver.cursor.execute("ROLLBACK")

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
        """Whether the file can be read."""
        try:
            with self.read() as transaction:
                transaction.current(next(iter(type_numbers())), "ready")
        except (sqlite3.Error, errors.FhirError):
            return False
        return self._writer.is_alive()

    def close(self) -> None:
        """Write what is queued, then close every connection."""
        if not self._closed:
            self._closed = True
            self._queue.put(None)
            self._writer.join()
            with self._readers_lock:
                for connection in self._readers:
                    connection.close()


def _refusal(error: BaseException) -> errors.FhirError:
    """What a caller is told of a database error."""
    told = str(error)
    if "interrupted" in told:
        return errors.too_costly("The search takes too long; narrow it by another parameter")
    if "full" in told:
        full = errors.Issue(
            "error", "no-store", "The disk of the server is full; nothing was stored"
        )
        return errors.FhirError(507, (full,))
    if isinstance(error, VersionConflict) or "locked" in told:
        return errors.contended()
    return errors.unavailable("The database is busy or cannot be written; try again")


def create_file(path: str) -> None:
    """Make the database file readable for its owner only, before SQLite opens it."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
