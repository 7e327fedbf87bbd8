"""A store whose steps can be scheduled: READ COMMITTED, advisory locks, row locks and unique keys, as in PostgreSQL.

Each client runs in a thread of its own, but only one moves at a time: it does one step, then the scheduler chooses who
is next. https://www.postgresql.org/docs/current/transaction-iso.html#XACT-READ-COMMITTED
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Any

from fhir_server.store.claims import Claim
from fhir_server.store.contract import StoredVersion, Transaction, VersionConflict
from fhir_server.store.memory import MemoryStore

Identity = tuple[str, str]
_SECONDS = 30


class Deadlock(Exception):
    """Every client waits for another: the order of locks was not kept."""


class Abandoned(BaseException):
    """The run is over; the thread ends."""


class Client:
    """One client: a thread that moves when it is told to, and the locks it holds until its transaction ends."""

    def __init__(self, name: str, work: Callable[[Transaction], Any], world: World) -> None:
        self.name = name
        self.work = work
        self.world = world
        self.go = threading.Semaphore(0)
        self.waits_for: Hashable | None = None
        self.finished = False
        self.result: Any = None
        self.error: BaseException | None = None
        self.thread = threading.Thread(target=self._run, daemon=True)

    @property
    def runnable(self) -> bool:
        """Whether a step of it can be done now."""
        holder = self.world.holders.get(self.waits_for)
        return not self.finished and (self.waits_for is None or holder in (None, self))

    def step(self) -> None:
        """Between two steps: let the scheduler choose."""
        self.world.idle.release()
        self.go.acquire()
        if self.world.over:
            raise Abandoned

    def acquire(self, key: Hashable) -> None:
        """A lock until the end of the transaction."""
        while self.world.holders.get(key) not in (None, self):
            self.waits_for = key
            self.step()
        self.waits_for = None
        self.world.holders[key] = self

    def _run(self) -> None:
        self.go.acquire()
        try:
            for attempt in range(4):
                transaction = SteppedTransaction(self)
                try:
                    self.result = self.work(transaction)  # type: ignore[arg-type] # what the rules use of it
                    self.step()
                    transaction.commit()
                except VersionConflict:
                    self.world.free(self)
                    if attempt == 3:
                        raise
                    continue
                break
        except Abandoned:
            return
        except BaseException as error:  # noqa: BLE001 - the explorer looks at whatever it was
            self.error = error
        finally:
            self.finished = True
            self.world.free(self)
        self.world.idle.release()


class World:
    """What is committed, who holds which lock, and whose turn it is."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.holders: dict[Hashable, Client] = {}
        self.idle = threading.Semaphore(0)
        self.over = False

    def free(self, client: Client) -> None:
        """Let go of everything that a client holds."""
        for key in [key for key, holder in self.holders.items() if holder is client]:
            del self.holders[key]

    def run(
        self, works: Sequence[Callable[[Transaction], Any]], choose: Callable[[int, int], int]
    ) -> list[Client]:
        """Run the clients; choose(options, place of the one that moved last, or -1) says who is next."""
        clients = [Client(f"client {n}", work, self) for n, work in enumerate(works)]
        for client in clients:
            client.thread.start()
        last: Client | None = None
        try:
            while not all(client.finished for client in clients):
                ready = [client for client in clients if client.runnable]
                if not ready:
                    raise Deadlock(", ".join(f"{c.name}: {c.waits_for}" for c in clients))
                place = ready.index(last) if last in ready else -1
                last = ready[choose(len(ready), place)]
                last.go.release()
                if not self.idle.acquire(timeout=_SECONDS):
                    raise TimeoutError(last.name)
        finally:
            self.over = True
            for client in clients:
                client.go.release()
            for client in clients:
                client.thread.join(_SECONDS)
        return clients


class SteppedTransaction:
    """The part of a store transaction that booking's writes use; each call is a step."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.store = client.world.store
        self.versions: dict[Identity, StoredVersion] = {}
        self.entries: dict[Identity, Any] = {}
        self.claims = SteppedClaims(client)

    @property
    def floor(self) -> int:
        """Nobody reads histories here."""
        return 0

    def unused(self, identities: Iterable[Identity]) -> None:
        """Looking costs nothing here."""

    def lock(self, identities: Sequence[Identity]) -> None:
        """One after the other, in one order."""
        for identity in sorted(identities):
            self.client.step()
            self.client.acquire(("advisory", identity))

    def mark(self, name: str) -> bytes | None:
        """No profile is stored here."""
        del name
        return None

    def current(self, resource_type: str, logical_id: str) -> StoredVersion | None:
        """What is committed now, or was put by this transaction."""
        self.client.step()
        return self._now((resource_type, logical_id))

    def _now(self, identity: Identity) -> StoredVersion | None:
        if identity in self.versions:
            return self.versions[identity]
        listed = self.store.by_identity.get(identity)
        return listed[-1] if listed else None

    def many(self, identities: Sequence[Identity]) -> dict[Identity, StoredVersion]:
        """Those that are there."""
        self.client.step()
        found = {identity: self._now(identity) for identity in identities}
        return {
            identity: version
            for identity, version in found.items()
            if version is not None and not version.deleted
        }

    def put(self, *, previous: StoredVersion | None, **columns: Any) -> StoredVersion:
        """Wait for whoever changes the same row, then compare versions."""
        self.client.step()
        identity = (columns["resource_type"], columns["logical_id"])
        self.client.acquire(("row", identity))
        if self._now(identity) != previous:
            raise VersionConflict("/".join(identity))
        columns.pop("previous_entries", None)
        self.entries[identity] = columns.pop("entries")
        number = previous.version_id + 1 if previous else 1
        key = previous.key if previous else abs(hash(identity))
        version = StoredVersion(key=key, version_id=number, **columns)
        self.versions[identity] = version
        return version

    def commit(self) -> None:
        """Everything at once."""
        for identity, version in self.versions.items():
            self.store.versions.append(version)
            self.store.by_identity.setdefault(identity, []).append(version)
            self.store.keyed[version.key] = identity
            self.store.indexed[version.key] = self.entries[identity]
        self.store.ledger.claims = self.claims.merged()


class SteppedClaims:
    """Claims over what is committed, with the key of a seat locked by whoever changes it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.ledger = client.world.store.ledger
        self.changed: dict[tuple[str, int], Claim | None] = {}

    def merged(self) -> dict[tuple[str, int], Claim]:
        """Committed claims with the changes of this transaction."""
        found = dict(self.ledger.claims)
        for seat, claim in self.changed.items():
            if claim is None:
                found.pop(seat, None)
            else:
                found[seat] = claim
        return found

    def _seen(self, claim: Claim) -> Claim:
        at = claim.expires_at
        return replace(claim, expired=at is not None and at <= self.ledger.clock())

    def of_slots(self, slot_ids: Sequence[str]) -> list[Claim]:
        """The claims of those slots."""
        self.client.step()
        return [self._seen(c) for s, c in sorted(self.merged().items()) if s[0] in slot_ids]

    def of_appointments(self, appointment_ids: Sequence[str]) -> list[Claim]:
        """The claims of those appointments."""
        self.client.step()
        listed = sorted(self.merged().items())
        return [self._seen(c) for _, c in listed if c.appointment_id in appointment_ids]

    def take(self, claim: Claim) -> bool:
        """INSERT ... ON CONFLICT DO UPDATE ... WHERE."""
        self.client.step()
        seat = (claim.slot_id, claim.seat)
        self.client.acquire(("seat", seat))
        found = self.merged().get(seat)
        if found is not None:
            own_block = found.kind == "blocked" and found.owner == claim.owner
            own = found.appointment_id == claim.appointment_id != ""
            if not (own_block or own or self._seen(found).expired):
                return False
        self.changed[seat] = replace(claim, expired=False)
        return True

    def release(self, claims: Sequence[Claim]) -> None:
        """DELETE."""
        for claim in claims:
            self.client.step()
            seat = (claim.slot_id, claim.seat)
            self.client.acquire(("seat", seat))
            found = self.merged().get(seat)
            if found is not None and found.appointment_id == claim.appointment_id:
                self.changed[seat] = None

    def holds(self, owner: str) -> int:
        """Running holds of an owner."""
        self.client.step()
        mine = [self._seen(c) for c in self.merged().values() if c.owner == owner and c.expires_at]
        return len({c.appointment_id for c in mine if not c.expired})

    def now(self) -> int:
        """The clock."""
        return self.ledger.clock()
