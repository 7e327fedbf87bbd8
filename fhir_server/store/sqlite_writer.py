"""The one writer of an SQLite file: group commit, by turns.

A turn takes what is queued, runs one work after the other in one transaction, and the writer's thread commits once for
all of them. A work that is refused mostly has changed nothing yet; when one has, the turn is taken back and run again
with a savepoint for each. The turn of a brief work runs on the thread of who submits it, an event loop's: two threads
that take turns for the interpreter at every statement cost more than the statements do.
"""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, TypeVar

import apsw

from fhir_server.spec import errors
from fhir_server.store.contract import AGAIN, Soon, Transaction, VersionConflict
from fhir_server.store.promise import Promise
from fhir_server.store.sqlite_driver import STEPS, SqliteDriver, connect, error_code, refusal
from fhir_server.store.statements import SqlTransaction

T = TypeVar("T")

LARGEST_GROUP = 256
# A turn on an event loop takes no more works after this time; to find and write their rows takes up to twice as long.
_TURN_SECONDS = 0.005
# What a turn on an event loop has not done in this time of the processor is given up and done by the writer's thread.
_LONGEST_TURN_SECONDS = 0.03


class _Queued(NamedTuple):
    work: Callable[[Transaction], Any]
    promise: Promise[Any]
    soon: Soon | None


@dataclass(frozen=True, slots=True)
class _Refused:
    """What a work raised."""

    error: BaseException


_Done = list[tuple[Promise[Any], Any]]


class _HalfDone(Exception):
    """A work without a savepoint was refused after it had changed something."""


class _TakesLong(Exception):
    """A turn on an event loop met the lock of another process, or a statement that goes on for long."""


class SqliteWriter:
    """Runs works on a connection of its own, one turn after the other."""

    def __init__(self, path: str, lock_timeout: float) -> None:
        self._connection = connect(path, lock_timeout)
        self._driver = SqliteDriver(self._connection)
        self._lock_milliseconds = self._waits = int(lock_timeout * 1000)
        self._deadline = math.inf
        self._connection.set_progress_handler(lambda: time.thread_time() > self._deadline, STEPS)
        self._lock = threading.Lock()
        self._queue: deque[_Queued] = deque()
        # Whether a turn goes on or is to come, and whether it is an event loop that was asked for it.
        self._taken = False
        self._asked = False
        self._closed = False
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="sqlite-writer", daemon=True)
        self._thread.start()

    def submit(self, work: Callable[[Transaction], T], soon: Soon | None) -> Promise[T]:
        """Queue the work; the promise holds what came of it once that is durable."""
        promise: Promise[T] = Promise()
        with self._lock:
            if self._closed:
                promise.set_exception(errors.unavailable("The server is shutting down"))
                return promise
            self._queue.append(_Queued(work, promise, soon))
            if not self._taken:
                self._next()
        return promise

    def is_alive(self) -> bool:
        """Whether works are run."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Write what is queued, then close the connection."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            if not self._taken:
                self._jobs.put(None)
            elif self._asked:
                # The event loop may be what waits here.
                self._asked = False
                self._jobs.put(self._turn)
        self._thread.join()
        self._connection.close()

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()

    def _next(self) -> None:
        """Have the next turn begun, or stop; with the lock."""
        self._taken = bool(self._queue)
        if not self._queue:
            if self._closed:
                self._jobs.put(None)
        elif self._queue[0].soon is None or self._closed:
            self._jobs.put(self._turn)
        else:
            self._asked = True
            self._queue[0].soon(self._turn_on_loop)

    def _turn_on_loop(self) -> None:
        """A turn of brief works; its end is left to the writer's thread."""
        group: list[_Queued] = []
        with self._lock:
            if not self._asked:
                return
            self._asked = False
            while self._queue and self._queue[0].soon is not None and len(group) < LARGEST_GROUP:
                group.append(self._queue.popleft())
        try:
            self._wait_for_locks(0)
            self._deadline = time.thread_time() + _LONGEST_TURN_SECONDS
            done = self._run_all(group, time.monotonic() + _TURN_SECONDS)
        except Exception:  # noqa: BLE001 - whatever it is, the writer's thread begins again and tells
            self._roll_back()
            job = partial(self._turn, group)
        else:
            job = partial(self._end, done)
        finally:
            # Before the writer's thread goes on, whose own time has nothing to do with it.
            self._deadline = math.inf
        self._jobs.put(job)

    def _turn(self, group: list[_Queued] | None = None) -> None:
        """A turn on the writer's thread."""
        if group is None:
            with self._lock:
                count = min(len(self._queue), LARGEST_GROUP)
                group = [self._queue.popleft() for _ in range(count)]
        self._wait_for_locks(self._lock_milliseconds)
        self._end(self._run_all(group))

    def _wait_for_locks(self, milliseconds: int) -> None:
        if self._waits != milliseconds:
            self._connection.set_busy_timeout(milliseconds)
            self._waits = milliseconds

    def _run_all(self, group: list[_Queued], until: float | None = None) -> _Done:
        """Run a group in a transaction that is left open.

        On an event loop until is when to stop; raises _TakesLong only there, and then nothing of the group was done.
        """
        waiting, guarded = deque(group), False
        while True:
            done: _Done = []
            lost: BaseException | None = None
            try:
                self._driver.begin_write()
                while waiting and lost is None and not _is_over(until, done):
                    lost = self._run(
                        waiting.popleft(), done, guarded=guarded, here=until is not None
                    )
                if lost is None and not guarded:
                    self._flush()
            except _HalfDone:
                self._roll_back()
                waiting, guarded = deque(group), True
                continue
            except apsw.Error as error:
                if until is not None:
                    raise _TakesLong from error
                lost = error
                done = [(item.promise, None) for item in waiting if item.promise.begin()]
                waiting.clear()
            if lost is not None:
                self._give_up(lost, done)
                done = []
            with self._lock:
                self._queue.extendleft(reversed(waiting))
            return done

    def _end(self, done: _Done) -> None:
        """Commit a turn and tell what came of it; then the next one."""
        try:
            if self._connection.in_transaction:
                self._driver.cursor.execute("COMMIT")
        except apsw.Error as error:
            self._give_up(error, done)
        else:
            for promise, result in done:
                if isinstance(result, _Refused):
                    promise.set_exception(result.error)
                else:
                    promise.set_result(result)
        with self._lock:
            self._next()

    def _flush(self) -> None:
        """Write the rows that wait; _HalfDone when one cannot be, so that its work is found and refused alone."""
        try:
            self._driver.flush()
        except Exception:  # noqa: BLE001 - whatever it is, it is met again in the savepoint of a work
            raise _HalfDone from None

    def _roll_back(self) -> None:
        self._driver.forget()
        if self._connection.in_transaction:
            self._driver.cursor.execute("ROLLBACK")

    def _give_up(self, error: BaseException, done: _Done) -> None:
        """Nothing of these works remains."""
        self._roll_back()
        for promise, _ in done:
            promise.set_exception(refusal(error))

    def _run(
        self, queued: _Queued, done: _Done, *, guarded: bool, here: bool
    ) -> BaseException | None:
        """One work, again when it lost a race; what came of it is told after the commit.

        A refusal too: it may stand on what another work of the group did, which a crash could still undo.
        Gives the error that took the whole transaction with it, as SQLite does when the disk is full.
        """
        work, promise, _ = queued
        if not promise.begin():
            return None
        attempt = self._attempt if guarded else self._trust
        for left in range(AGAIN, -1, -1):
            try:
                done.append((promise, attempt(work)))
            except (_HalfDone, _TakesLong):
                raise
            except VersionConflict as error:
                if left:
                    continue
                done.append((promise, _Refused(refusal(error))))
            except BaseException as error:
                if here and error_code(error) == apsw.SQLITE_INTERRUPT:
                    raise _TakesLong from error
                told = refusal(error) if isinstance(error, apsw.Error) else error
                if not self._connection.in_transaction:
                    promise.set_exception(told)
                    return error
                done.append((promise, _Refused(told)))
            break
        return None

    def _trust(self, work: Callable[[Transaction], T]) -> T:
        """The result of a work without the cost of a savepoint; _HalfDone when it would have needed one."""
        before = self._driver.changes()
        try:
            return work(SqlTransaction(self._driver))
        except BaseException:
            changed = self._driver.changes() != before
            if changed and self._connection.in_transaction:
                raise _HalfDone from None
            raise

    def _attempt(self, work: Callable[[Transaction], T]) -> T:
        """The result of a work in its savepoint; nothing of it remains when it raises."""
        cursor = self._driver.cursor
        cursor.execute("SAVEPOINT work")
        try:
            result = work(SqlTransaction(self._driver))
            self._driver.flush()
        except BaseException:
            self._driver.forget()
            if self._connection.in_transaction:
                cursor.execute("ROLLBACK TO work")
                cursor.execute("RELEASE work")
            raise
        cursor.execute("RELEASE work")
        return result


def _is_over(until: float | None, done: _Done) -> bool:
    return until is not None and bool(done) and time.monotonic() > until
