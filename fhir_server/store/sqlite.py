"""SQLite: one writer, and readers on connections of their own threads.

WAL with synchronous=FULL: what is acknowledged survives a crash and a power cut. https://www.sqlite.org/wal.html
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TypeVar

import apsw

from fhir_server.spec import errors
from fhir_server.store.contract import OverBudget, ReadTransaction, Soon, Transaction
from fhir_server.store.defined import Defined
from fhir_server.store.pages_sql import Derived
from fhir_server.store.promise import Promise
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.sqlite_driver import (
    BUSY_SECONDS,
    FILL_WORDS,
    STEPS,
    SqliteDriver,
    connect,
    error_code,
    refusal,
)
from fhir_server.store.sqlite_writer import SqliteWriter
from fhir_server.store.statements import SqlTransaction, keep_secret

T = TypeVar("T")


class _Reader:
    """A thread's connection, with its view as the context, and how long what it reads may take.

    deadline: by the monotonic clock. budget: seconds of the thread's own time, None for any: on a busy machine, giving
    up what others delay would only do it twice.
    """

    __slots__ = ("began", "budget", "connection", "deadline", "driver", "view")

    def __init__(self, connection: apsw.Connection, derived: Derived) -> None:
        self.connection = connection
        self.driver = SqliteDriver(connection)
        self.view = SqlTransaction(self.driver, derived)
        self.deadline = math.inf
        self.budget: float | None = None
        self.began: float | None = None
        connection.pragma("query_only", 1)
        connection.set_progress_handler(self._late, STEPS)

    def __enter__(self) -> ReadTransaction:
        return self.view

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        budget = self.budget
        # Past its time the handler would interrupt the end as well, and the next read find this one's transaction.
        self.budget, self.deadline = None, math.inf
        if self.connection.in_transaction:
            self.driver.cursor.execute("ROLLBACK")
        if isinstance(error, apsw.Error):
            if budget is not None and error_code(error) == apsw.SQLITE_INTERRUPT:
                raise OverBudget from None
            raise refusal(error) from error

    def _late(self) -> bool:
        """Whether the read has to end, asked after every so many steps of it."""
        if self.budget is not None:
            # That clock is dear, so that it is first read when a statement is not one of the many short ones.
            now = time.thread_time()
            if self.began is None:
                self.began = now
            if now - self.began > self.budget:
                return True
        return time.monotonic() > self.deadline


# Of how many resources each word is, and how many words the rows have: equal, if every row was indexed once.
_COUNTED = "CREATE VIRTUAL TABLE temp.words_counted USING fts5vocab(main, words_found, row)"
_COUNTS = """
    SELECT (SELECT COALESCE(SUM(doc), 0) FROM words_counted),
    (SELECT COALESCE(SUM(LENGTH(listed) - LENGTH(REPLACE(listed, ' ', '')) + 1), 0) FROM words)
"""


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

    def read(self, budget: float | None = None) -> AbstractContextManager[ReadTransaction]:
        """A snapshot on this thread's own connection."""
        reader: _Reader | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = _Reader(connect(self.path), self._derived)
            with self._readers_lock:
                self._readers.append(reader.connection)
        reader.deadline = time.monotonic() + self.search_timeout
        reader.budget, reader.began = budget, None
        reader.driver.due, reader.driver.alone = True, False
        reader.view.met = {}
        return reader

    def submit(self, work: Callable[[Transaction], T], soon: Soon | None = None) -> Promise[T]:
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

    def unsound(self) -> list[str]:
        """Whether the full-text index has as many words as the rows that it is of."""
        ((indexed, listed),) = self._asked(_COUNTED, _COUNTS)
        told = f"The full-text index has {indexed} words in place of {listed}; fhir-server reindex makes it anew"
        return [] if indexed == listed else [told]

    def mend(self) -> None:
        """Fill the full-text index from the rows, if it has not as many words."""
        if self.unsound():
            self._asked(FILL_WORDS)

    def _asked(self, *statements: str) -> list[Row]:
        """What the last of them tells, on a connection of its own."""
        connection = connect(self.path)
        try:
            return [connection.execute(text).fetchall() for text in statements][-1]
        except apsw.Error as error:
            raise refusal(error) from error
        finally:
            connection.close()

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
