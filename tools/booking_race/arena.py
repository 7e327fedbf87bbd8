"""Rounds of a race: so many clients start at once for one slot, some of them vanish, and sometimes a process dies."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson

from bench.client import JSON_BODY, BrokenExchange, Connection, request_bytes
from tools.booking_race.routes import MIXED, ROUTES, Contender, appointment, route_of
from tools.serving import ServerProcess

Json = dict[str, Any]
WON = (200, 201)
LOST = (409, 412)
_BLOCK = 50
_CHUNK = 200


@dataclass(frozen=True, slots=True)
class Plan:
    """What is run: rounds for each route in turn; shares of clients that vanish, and of rounds with a kill."""

    contenders: int
    rounds: int
    routes: tuple[str, ...] = (*ROUTES, MIXED)
    vanishing: float = 0.0
    kills: float = 0.0
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What was seen, round by round: survivors are contenders that got an answer."""

    counts: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    slots: dict[str, tuple[str, int, int]] = field(default_factory=dict)
    losers: list[float] = field(default_factory=list)


class Arena:
    """Runs rounds against a server; connections live from round to round."""

    def __init__(self, server: ServerProcess, plan: Plan, outcome: Outcome) -> None:
        self.server = server
        self.plan = plan
        self.outcome = outcome
        self.chance = random.Random(plan.seed)
        self.connections: list[Connection] = []
        self.tag = uuid.uuid4().hex[:8]
        self.made = 0

    async def run(self) -> None:
        """All rounds; the slots of a block are made before its rounds."""
        done = 0
        while done < self.plan.rounds:
            block = min(_BLOCK, self.plan.rounds - done)
            names = [self.plan.routes[(done + n) % len(self.plan.routes)] for n in range(block)]
            slots = await self._slots(names)
            for name, (slot, proposals) in zip(names, slots, strict=True):
                await self._round(name, slot, proposals)
            done += block
        for connection in self.connections:
            connection.close()

    async def _slots(self, names: list[str]) -> list[tuple[Json, list[str]]]:
        """A free slot for each round, and a proposal for each contender where its route needs one."""
        prepared, resources = [], []
        for name in names:
            self.made += 1
            tag = f"{self.tag}-{self.made}"
            slot: Json = {
                "resourceType": "Slot",
                "id": f"race-{tag}",
                "schedule": {"reference": "Schedule/race"},
                "status": "free",
                "start": "2040-01-01T09:00:00Z",
                "end": "2040-01-01T09:20:00Z",
            }
            resources.append(slot)
            needs = name.startswith("PATCH") or name == MIXED
            proposals = [f"p-{tag}-{n}" for n in range(self.plan.contenders if needs else 0)]
            resources += [appointment(slot, "proposed") | {"id": item} for item in proposals]
            prepared.append((slot, proposals))
        for start in range(0, len(resources), _CHUNK):
            await self._store(resources[start : start + _CHUNK])
        return prepared

    async def _store(self, resources: list[Json]) -> None:
        entries = [
            {
                "resource": item,
                "request": {"method": "PUT", "url": f"{item['resourceType']}/{item['id']}"},
            }
            for item in resources
        ]
        body = orjson.dumps({"resourceType": "Bundle", "type": "transaction", "entry": entries})
        wire = request_bytes("POST", "/fhir", body, JSON_BODY)
        for attempt in range(40):
            with contextlib.suppress(OSError):
                connection = await Connection.open(self.server.port)
                answer = await connection.send(wire)
                connection.close()
                if answer.status == 200:
                    return
                self.outcome.counts[f"preparation answered {answer.status}"] += 1
            await asyncio.sleep(0.05 * (attempt + 1))
        raise RuntimeError("The slots of a round cannot be stored")

    async def _round(self, name: str, slot: Json, proposals: list[str]) -> None:
        count = self.plan.contenders
        await self._connect(count)
        gate = asyncio.Event()
        tasks = []
        for number in range(count):
            proposal = proposals[number] if proposals else ""
            me = Contender(self.connections[number], f"owner-{number}", slot, proposal)
            vanishes = self.chance.random() < self.plan.vanishing
            tasks.append(asyncio.create_task(self._contend(name, me, gate, vanishes)))
        await asyncio.sleep(0)
        gate.set()
        if self.chance.random() < self.plan.kills:
            await asyncio.sleep(self.chance.random() * 0.02)
            self._kill()
        answers = await asyncio.gather(*tasks)
        self._judge(name, slot, [item for item in answers if item is not None])

    async def _connect(self, count: int) -> None:
        while len(self.connections) < count:
            self.connections.append(await self._open())
        for number in range(count):
            transport = self.connections[number].transport
            if transport is None or transport.is_closing():
                self.connections[number] = await self._open()

    async def _open(self) -> Connection:
        for _ in range(100):
            with contextlib.suppress(OSError):
                return await Connection.open(self.server.port)
            await asyncio.sleep(0.05)
        raise RuntimeError("Nobody listens")

    async def _contend(
        self, name: str, me: Contender, gate: asyncio.Event, vanishes: bool
    ) -> int | None:
        """The status that the contender got; None: it vanished, or was cut off."""
        route = route_of(name, self.chance)
        await gate.wait()
        began = time.perf_counter()
        try:
            if vanishes:
                asyncio.get_running_loop().call_later(
                    self.chance.random() * 0.01, me.connection.close
                )
            status = await route(me)
        except BrokenExchange:
            self.outcome.counts["vanished" if vanishes else "cut off by a kill"] += 1
            return None
        if status in LOST:
            self.outcome.losers.append(time.perf_counter() - began)
        return status

    def _kill(self) -> None:
        workers = self.server.processes()
        if workers:
            self.outcome.counts["processes killed"] += 1
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.chance.choice(workers), signal.SIGKILL)

    def _judge(self, name: str, slot: Json, statuses: list[int]) -> None:
        counts = self.outcome.counts
        counts["rounds"] += 1
        counts[f"rounds by {name}"] += 1
        winners = sum(status in WON for status in statuses)
        counts["won"] += winners
        counts["lost"] += sum(status in LOST for status in statuses)
        counts["5xx"] += sum(status >= 500 for status in statuses)
        for status in statuses:
            if status not in (*WON, *LOST):
                counts[f"answered {status}"] += 1
                self.outcome.faults.append(f"{name}: an answer of {status} for {slot['id']}")
        if winners > 1:
            self.outcome.faults.append(f"{name}: {winners} winners of {slot['id']}")
        cut = self.plan.contenders - len(statuses)
        if winners == 0 and cut == 0:
            self.outcome.faults.append(f"{name}: nobody won {slot['id']}")
        self.outcome.slots[slot["id"]] = (name, winners, len(statuses))
