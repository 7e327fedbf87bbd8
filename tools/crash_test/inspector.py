"""After a restart: is everything there that was promised, and nothing that was refused?"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

import orjson

from bench.client import BrokenExchange, Connection, request_bytes
from tools.crash_test.ledger import Ledger
from tools.crash_test.writer import MARK, Writer

Check = Callable[[Connection], Awaitable[None]]
READERS = 8


class Inspector:
    """Compares the server with the ledger; what it has seen once must not vanish any more."""

    def __init__(self, ledger: Ledger, writers: Sequence[Writer]) -> None:
        self.ledger = ledger
        self.writers = writers
        self.looked_at: dict[str, int] = {}
        self.settled: set[str] = set()

    async def inspect(self, port: int, *, everything: bool = False) -> None:
        """Check what was written since the last look, or everything; faults go to the ledger."""
        if everything:
            identities, marks = self.ledger.resources, list(self.ledger.creations)
        else:
            identities = [
                identity
                for identity in self.ledger.resources
                if self.looked_at.get(identity) != self.ledger.tried[identity]
            ]
            marks = [mark for mark in self.ledger.creations if mark not in self.settled]
        jobs = [*map(self.resource, identities), *map(self.creation, marks)]
        queue = iter(jobs)
        async with asyncio.TaskGroup() as group:
            for _ in range(READERS):
                group.create_task(self._run(port, queue))
        self.settled.update(marks)

    async def _run(self, port: int, queue: Iterator[Check]) -> None:
        connection = await Connection.open(port)
        for check in queue:
            try:
                await check(connection)
            except BrokenExchange:
                # A worker may be replaced; what is stored must be there all the same.
                self.ledger.counts["connections lost while reading"] += 1
                connection = await Connection.open(port)
                await check(connection)
        connection.close()

    def resource(self, identity: str) -> Check:
        """The check of one resource."""

        async def check(connection: Connection) -> None:
            acknowledged = self.ledger.acknowledged.get(identity, 0)
            tried = self.ledger.tried[identity]
            found = await self.versions(connection, identity)
            self.ledger.counts["resources checked"] += 1
            if found != list(range(1, len(found) + 1)):
                self.ledger.fault(f"{identity}: its versions are {found}")
            newest = len(found)
            if not acknowledged <= newest <= tried:
                self.ledger.fault(
                    f"{identity}: at version {newest}, {acknowledged} was acknowledged, {tried} tried"
                )
            self.adopt(identity, newest)

        return check

    async def versions(self, connection: Connection, identity: str) -> list[int]:
        """The version ids of a resource, ascending; none when it is not there. Their contents are checked."""
        read = await connection.send(request_bytes("GET", f"/fhir/{identity}"))
        if read.status == 404:
            return []
        path = f"/fhir/{identity}/_history?_count=1000"
        history = await connection.send(request_bytes("GET", path))
        if read.status != 200 or history.status != 200:
            self.ledger.fault(f"{identity}: read {read.status}, history {history.status}")
            return []
        versions = [entry["resource"] for entry in orjson.loads(history.body)["entry"]]
        for version in versions:
            if version["note"][0]["text"] != f"revision {version['meta']['versionId']}":
                self.ledger.fault(f"{identity}: a version holds another's content: {version}")
        if orjson.loads(read.body) != versions[0]:
            self.ledger.fault(f"{identity}: what is read is not the newest version")
        return sorted(int(version["meta"]["versionId"]) for version in versions)

    def adopt(self, identity: str, newest: int) -> None:
        """What is there now is certain: later writes go on from it, and it must not vanish any more."""
        self.looked_at[identity] = newest
        self.ledger.tried[identity] = newest
        self.ledger.acknowledged[identity] = newest
        for writer in self.writers:
            if newest and identity.startswith(f"ServiceRequest/w{writer.number}-"):
                writer.certain[identity] = newest

    def creation(self, mark: str) -> Check:
        """The check of one POST: all of it is there or nothing, and what was promised."""

        async def check(connection: Connection) -> None:
            creation = self.ledger.creations[mark]
            found = [await self.count(connection, kind, mark) for kind in creation.kinds]
            self.ledger.counts["creates and transactions checked"] += 1
            nothing, everything = [0] * len(found), [1] * len(found)
            allowed = {
                "acknowledged": (everything,),
                "refused": (nothing,),
                "unknown": (nothing, everything),
            }
            if found not in allowed[creation.state]:
                there = dict(zip(creation.kinds, found, strict=True))
                self.ledger.fault(f"{mark} ({creation.state}): {there}")
            creation.state = "acknowledged" if any(found) else "refused"

        return check

    async def count(self, connection: Connection, kind: str, mark: str) -> int:
        """How many resources of a type carry a mark."""
        path = f"/fhir/{kind}?identifier={MARK}%7C{mark}"
        found = await connection.send(request_bytes("GET", path))
        if found.status != 200:
            self.ledger.fault(f"{path}: {found.status} {found.body[:300]!r}")
            return -1
        return len(orjson.loads(found.body).get("entry", ()))
