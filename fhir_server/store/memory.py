"""The in-memory reference: dictionaries behind one lock, searched by the in-memory predicate.

It is the oracle of the databases in tests, and good for trying things out; what it holds is lost at exit.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from fhir_server.search.entries import IndexEntries
from fhir_server.spec import errors
from fhir_server.store.contract import (
    AGAIN,
    ReadTransaction,
    Soon,
    StoredVersion,
    Transaction,
    VersionConflict,
)
from fhir_server.store.defined import Defined
from fhir_server.store.memory_catalogue import MemoryCatalogue
from fhir_server.store.memory_claims import Ledger
from fhir_server.store.memory_transaction import MemoryTransaction
from fhir_server.store.promise import Promise

T = TypeVar("T")
Identity = tuple[str, str]


class MemoryStore:
    """A Store that keeps everything in this process."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.versions: list[StoredVersion] = []
        self.by_identity: dict[Identity, list[StoredVersion]] = {}
        self.keyed: dict[int, Identity] = {}
        self.indexed: dict[int, IndexEntries] = {}
        self._secrets: dict[str, bytes] = {}
        self.marks: dict[str, bytes] = {}
        self._closed = False
        self.parameters: dict[int, Defined] = {}
        self.ledger = Ledger()

    @contextmanager
    def read(self, budget: float | None = None) -> Iterator[ReadTransaction]:  # noqa: ARG002 - not of use here
        """A view; writers wait until it ends."""
        with self._lock:
            yield MemoryTransaction(self)

    def submit(self, work: Callable[[Transaction], T], soon: Soon | None = None) -> Promise[T]:  # noqa: ARG002 - not of use here
        """Run the work here and now; undo what it put when it raises."""
        promise: Promise[T] = Promise()
        if self._closed:
            promise.set_exception(errors.unavailable("The server is shutting down"))
            return promise
        with self._lock:
            for attempt in range(1 + AGAIN):
                transaction = MemoryTransaction(self)
                try:
                    promise.set_result(work(transaction))
                except VersionConflict:
                    transaction.undo()
                    if attempt == AGAIN:
                        told = "Others are changing the same resources; try again"
                        promise.set_exception(errors.unavailable(told))
                except BaseException as error:  # noqa: BLE001 - the promise carries whatever the work raised
                    transaction.undo()
                    promise.set_exception(error)
                    break
                else:
                    break
        return promise

    def write(self, work: Callable[[Transaction], T]) -> T:
        """submit(work).result()"""
        return self.submit(work).result()

    def keys(
        self, resource_type: str | None = None, after: int = 0, limit: int = 1000
    ) -> list[int]:
        """Internal keys of current, not deleted resources, ascending."""
        with self._lock:
            found = [
                key
                for key, identity in self.keyed.items()
                if key > after
                and resource_type in (None, identity[0])
                and not self.by_identity[identity][-1].deleted
            ]
        return sorted(found)[:limit]

    def secret(self, name: str) -> bytes:
        """32 random bytes, the same for a name as long as the store lives."""
        with self._lock:
            return self._secrets.setdefault(name, secrets.token_bytes(32))

    def defined(self) -> list[Defined]:
        """The search parameters of the deployment's own."""
        with self._lock:
            return MemoryCatalogue(self).listed()

    def gather_statistics(self) -> None:
        """There is no planner."""

    def unsound(self) -> list[str]:
        """There are none."""
        return []

    def mend(self) -> None:
        """There are none."""

    def ready(self) -> bool:
        """Always."""
        return True

    def close(self) -> None:
        """Take no more work."""
        self._closed = True
