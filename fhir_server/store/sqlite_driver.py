"""SQLite's connections and statements. https://www.sqlite.org/wal.html"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import apsw

from fhir_server.spec import errors
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.contract import VersionConflict
from fhir_server.store.rows import Row
from fhir_server.store.schema import DELETE_ROW, INDEX_COLUMNS, INSERT_ROW, tables_in

_ADD_WORDS = f"{INSERT_ROW['words']} ON CONFLICT DO NOTHING"
_FIND_WORDS = "INSERT INTO words_found (rowid, listed) VALUES (?, ?)"
_FORGET_WORDS = "INSERT INTO words_found (words_found, rowid, listed) VALUES ('delete', ?, ?)"
# The full-text index made anew from the rows.
FILL_WORDS = "INSERT INTO words_found (words_found) VALUES ('rebuild')"

BUSY_SECONDS = 5.0
# So many steps of SQLite's machine lie between two looks at the clock.
STEPS = 5_000
# Of 4 kB: the longer the log, the fewer of its pages are copied back for each write.
_CHECKPOINT_PAGES = 16_000
# So many rows of a table are written together, those of so many new resources are found together.
_MOST_WAITING = 4_000
_MOST_LATER = 500
# Tables of which rows may still have to be found; what must be unique is known at once.
_FOUND_LATER = INDEX_COLUMNS.keys() - {"unique_identifier"}
_FULL = 2
# A connection is used by one thread at a time, so that SQLite need not lock it for each of its calls.
_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_NOMUTEX
# A statement may have so much inside one another, and join so many tables (https://www.sqlite.org/limits.html).
_TOO_DEEP = re.compile("too large|Recursion limit|stack overflow|tables in a join")
# A newest version that is further ahead of the clock was written when the clock was wrong; time goes on without it.
_LONGEST_LEAP = 60_000_000


def connect(path: str, busy_seconds: float = BUSY_SECONDS) -> apsw.Connection:
    """A connection in autocommit mode, WAL and FULL, that any thread may use (one at a time).

    Raises UnsafeDatabase when the file does not take these modes, as on some network file systems.
    """
    connection = apsw.Connection(path, flags=_FLAGS, statementcachesize=512)
    # Otherwise a statement over several tables is planned again for each of its values.
    connection.config(apsw.SQLITE_DBCONFIG_ENABLE_QPSG, 1)
    connection.set_busy_timeout(int(busy_seconds * 1000))
    journal = connection.pragma("journal_mode", "WAL")
    connection.pragma("synchronous", "FULL")
    synchronous = connection.pragma("synchronous")
    if (journal, synchronous) != ("wal", _FULL):
        connection.close()
        raise UnsafeDatabase(
            f"SQLite works with journal_mode={journal}, synchronous={synchronous} on this file, but acknowledged"
            " writes are safe in WAL with FULL (2) only; keep the database on a local disk"
        )
    connection.pragma("mmap_size", 2147418112)
    connection.pragma("cache_size", -16000)
    # What a savepoint may need to take back stays in memory instead of a file that is made and removed each time.
    connection.pragma("temp_store", "MEMORY")
    connection.pragma("wal_autocheckpoint", _CHECKPOINT_PAGES)
    return connection


class SqliteDriver:
    """Statements on one connection."""

    clock = "CAST(unixepoch('subsec') * 1000000 AS INTEGER)"

    def __init__(self, connection: apsw.Connection) -> None:
        self.connection = connection
        self.cursor = connection.cursor()
        self.floor = 0
        # A reader's snapshot, if one is due, begins with its first question, unless that is the only one.
        self.due = False
        self.alone = False
        self._seq = 0
        # Rows of index tables, of all works of a turn, and what finds more of them; how many there have been, and what
        # writing them has changed.
        self._waiting: dict[str, list[Row]] = {}
        self._later: list[Callable[[], Mapping[str, Collection[Row]]]] = []
        self._added = 0
        self._written = 0

    def fetch(self, text: str, values: Sequence[Any]) -> list[Row]:
        """All rows."""
        if self.due and not self.alone:
            self.due = False
            self.cursor.execute("BEGIN")
        if self._waiting or self._later:
            self._write_for(tables_in(text))
        return self.cursor.execute(text, values).fetchall()

    # Resources and versions never wait.
    look = fetch

    def change(self, text: str, values: Sequence[Any]) -> int:
        """One change."""
        if self._waiting or self._later:
            self._write_for(tables_in(text))
        self.cursor.execute(text, values)
        return self.connection.changes()

    def change_many(self, text: str, rows: Sequence[Row]) -> None:
        """The same change for many rows."""
        if self._waiting or self._later:
            self._write_for(tables_in(text))
        self.cursor.executemany(text, rows)

    def add_rows(self, tables: Mapping[str, Collection[Row]]) -> None:
        """Index rows may wait, unless there are many; all others at once, as other works of the turn may read them."""
        for table, rows in tables.items():
            if table not in INDEX_COLUMNS:
                self._insert(table, rows)
                continue
            self._added += len(rows)
            self._wait(table, rows)
            if len(self._waiting[table]) >= _MOST_WAITING:
                self._write(table)

    def _insert(self, table: str, rows: Collection[Row]) -> None:
        if table == "words":
            self._add_words(rows)
            return
        try:
            self.cursor.executemany(INSERT_ROW[table], rows)
        except apsw.ConstraintError as error:
            if table == "resource":
                raise VersionConflict("a resource is there already") from error
            raise

    def add_later(self, find: Callable[[], Mapping[str, Collection[Row]]]) -> None:
        """With those of all works of the turn: what does the same for one after the other is quick."""
        self._added += 1
        self._later.append(find)
        if len(self._later) >= _MOST_LATER:
            self.flush()

    def flush(self) -> None:
        """All that waits."""
        self._find()
        for table in tuple(self._waiting):
            self._write(table)

    def _write_for(self, tables: frozenset[str]) -> None:
        """What waits of tables that are asked for."""
        if self._later and not _FOUND_LATER.isdisjoint(tables):
            self._find()
        if not tables.isdisjoint(self._waiting):
            for table in tables & self._waiting.keys():
                self._write(table)

    def _find(self) -> None:
        """All at once, or none if one cannot be found."""
        found = [find() for find in self._later]
        self._later = []
        for tables in found:
            for table, rows in tables.items():
                self._wait(table, rows)

    def _wait(self, table: str, rows: Collection[Row]) -> None:
        if table not in self._waiting:
            self._waiting[table] = []
        self._waiting[table] += rows

    def _write(self, table: str) -> None:
        """By one statement."""
        rows = self._waiting.pop(table)
        before = self.connection.total_changes()
        try:
            self._insert(table, rows)
        except BaseException:
            # Whoever asks may not be who added them: they are met again at the end of the turn.
            self._waiting[table] = rows
            raise
        finally:
            self._written += self.connection.total_changes() - before

    def changes(self) -> int:
        """A number that is another one after each change; one that waits counts when it is made."""
        return self.connection.total_changes() - self._written + self._added

    def forget(self) -> None:
        """Nothing waits any more: what has been done since is taken back."""
        self._waiting = {}
        self._later = []

    def remove_rows(self, table: str, rows: Sequence[Row]) -> None:
        """By one statement; words one after the other, with the full-text index."""
        self._write_for(frozenset((table,)))
        if table == "words":
            for row in rows:
                self._remove_words(row[1])
        else:
            self.cursor.executemany(DELETE_ROW[table], rows)

    def _add_words(self, rows: Collection[Row]) -> None:
        """With the full-text index: a trigger would have it written to its tables at every statement."""
        for row in rows:
            if self.change(_ADD_WORDS, row) == 0:
                # What was indexed by another setting of _content is not what the row before was thought to be.
                self._remove_words(row[1])
                self.change(_ADD_WORDS, row)
            self.cursor.execute(_FIND_WORDS, row[1:])

    def _remove_words(self, key: int) -> None:
        for found in self.fetch("SELECT key, listed FROM words WHERE key = ?", (key,)):
            self.cursor.execute(_FORGET_WORDS, found)
            self.cursor.execute("DELETE FROM words WHERE key = ?", (key,))

    def next_seq(self) -> int:
        """The number after the highest: there is one writer at a time."""
        self._seq += 1
        return self._seq

    def newest(self) -> int:
        """The moment of the newest version, 0 when there is none."""
        return self._first("SELECT MAX(last_updated) FROM version")

    def settled(self) -> int:
        """Transactions follow one another, and none puts a version older than what was there (floor)."""
        return self.newest()

    def settled_position(self) -> tuple[int, int]:
        """Whoever writes next goes on from the highest number."""
        return self.newest(), self._first("SELECT MAX(seq) FROM version") + 1

    def begin_write(self) -> None:
        """Keep everybody else from writing, and look where they stopped."""
        self.cursor.execute("BEGIN IMMEDIATE")
        newest = self.newest()
        self.floor = newest if newest < time.time_ns() // 1000 + _LONGEST_LEAP else 0
        self._seq = self._first("SELECT MAX(seq) FROM version")

    def _first(self, text: str) -> int:
        """The one number that a statement finds; 0 when it is NULL."""
        return int(self.fetch(text, ())[0][0] or 0)

    def lock(self, identities: Sequence[tuple[str, str]]) -> None:
        """BEGIN IMMEDIATE has locked everything."""


def error_code(error: BaseException) -> int:
    """SQLite's primary result code (https://www.sqlite.org/rescode.html), 0 for an error of Python's."""
    return getattr(error, "result", 0) if isinstance(error, apsw.Error) else 0


def refusal(error: BaseException) -> errors.FhirError:
    """What a caller is told of a database error: never its text, which may quote values."""
    if isinstance(error, VersionConflict):
        return errors.contended()
    match error_code(error):
        case apsw.SQLITE_BUSY | apsw.SQLITE_LOCKED:
            return errors.contended()
        case apsw.SQLITE_INTERRUPT:
            return errors.too_costly("The search takes too long; narrow it by another parameter")
        case apsw.SQLITE_FULL:
            return errors.no_space()
        case apsw.SQLITE_CORRUPT | apsw.SQLITE_NOTADB:
            return errors.damaged()
        case apsw.SQLITE_READONLY:
            return errors.unavailable(
                "The database can only be read at present; nothing was stored"
            )
        case apsw.SQLITE_ERROR if _TOO_DEEP.search(str(error)):
            return errors.too_costly("The search follows too many references; ask in several steps")
    return errors.unavailable("The database is busy or cannot be written; try again")


def create_file(path: str) -> None:
    """Make the database file readable for its owner only, before SQLite opens it."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists():
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
