"""SQLite: one writer, and readers on connections of their own threads.

WAL with synchronous=FULL: what is acknowledged survives a crash and a power cut. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import apsw

from fhir_server.spec import errors
from fhir_server.store.contract import Defined, OverBudget, ReadTransaction, Soon, Transaction
from fhir_server.store.rows import type_numbers
from fhir_server.store.sqlite_driver import (
    BUSY_SECONDS,
    STEPS,
    SqliteDriver,
    connect,
    error_code,
    refusal,
)
from fhir_server.store.sqlite_writer import SqliteWriter
from fhir_server.store.statements import Derived, SqlTransaction, keep_secret

T = TypeVar("T")


class SqliteStore:
    """A Store in one file."""

    def __init__(
        self, path: str, *, search_timeout: float = 5.0, lock_timeout: float = BUSY_SECONDS
    ) -> None:
        self.path = path
        self.search_timeout = search_timeout
        self._local = threading.local()
        self._derived: Derived = {}
        self._readers: list[apsw.Connection] = []
        self._readers_lock = threading.Lock()
        self._writer = SqliteWriter(path, lock_timeout)

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
            yield SqlTransaction(driver, self._derived)
        except apsw.Error as error:
            if budget is not None and error_code(error) == apsw.SQLITE_INTERRUPT:
                raise OverBudget from None
            raise refusal(error) from error
        finally:
            # Past its time the handler would interrupt the end as well, and the next read find this one's transaction.
            self._local.budget = self._local.deadline = math.inf
            if driver.connection.in_transaction:
                driver.cursor.execute("ROLLBACK")

    def _reader(self) -> SqliteDriver:
        connection = connect(self.path)
        connection.pragma("query_only", 1)
        local = self._local
        connection.set_progress_handler(
            lambda: time.thread_time() > local.budget or time.monotonic() > local.deadline, STEPS
        )
        with self._readers_lock:
            self._readers.append(connection)
        return SqliteDriver(connection)

    def submit(self, work: Callable[[Transaction], T], soon: Soon | None = None) -> Future[T]:
        """Queue the work for the writer."""
        return self._writer.submit(work, soon)

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""
        return self.submit(work).result()

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
        except (apsw.Error, errors.FhirError):
            return False
        return self._writer.is_alive()

    def close(self) -> None:
        """Write what is queued, then close every connection."""
        self._writer.close()
        with self._readers_lock:
            for connection in self._readers:
                connection.close()
