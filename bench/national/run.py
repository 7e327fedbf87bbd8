"""Going through many referrals at once: so many clients, each at the next referral when it is done with one."""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from bench.client import Connection, Response
from bench.national.calls import Call
from bench.national.journey import Journey

_TOLD = 10


@dataclass
class Tally:
    """seconds: of every good answer, by kind; lost: races; errors: (kind, status) of other answers; told: some.

    cpu: of each answer, by kind, where there is a meter that tells the seconds used so far; own_cpu: of who asks.
    """

    meter: Callable[[], float] | None = None
    seconds: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    lost: Counter[str] = field(default_factory=Counter)
    errors: Counter[tuple[str, int]] = field(default_factory=Counter)
    told: list[str] = field(default_factory=list)
    journeys: int = 0
    elapsed: float = 0.0
    own_cpu: float = 0.0

    @property
    def calls(self) -> int:
        """All that was answered."""
        good = sum(len(found) for found in self.seconds.values())
        return good + self.lost.total() + self.errors.total()

    def add(self, call: Call, response: Response, took: float) -> bool:
        """Count an answer; whether the referral can go on after it."""
        if response.status in call.statuses:
            self.seconds[call.kind].append(took)
        elif response.status == 409 and call.may_lose:
            self.lost[call.kind] += 1
        else:
            self.fail(call, response.status, response.body[:300].decode(errors="replace"))
            return False
        return True

    def fail(self, call: Call, status: int, told: str) -> None:
        """Count an answer that should not have been; status 0: there was none, or it could not be read."""
        self.errors[call.kind, status] += 1
        if len(self.told) < _TOLD:
            self.told.append(f"{call.kind}: {status} {told}")

    def percentile(self, share: float, kind: str | None = None) -> float:
        """Milliseconds within which that share of the good answers came, of one kind or all."""
        if kind is None:
            ordered = sorted(item for found in self.seconds.values() for item in found)
        else:
            ordered = sorted(self.seconds[kind])
        if not ordered:
            return math.nan
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000


async def _client(port: int, journeys: Iterator[Journey], tally: Tally) -> None:
    for journey in journeys:
        # A referral's users are others than those of the one before; and a worker that has time takes the connection.
        connection = await Connection.open(port)
        try:
            await _journey(connection, journey, tally)
        finally:
            connection.close()
        tally.journeys += 1


async def _journey(connection: Connection, journey: Journey, tally: Tally) -> None:
    clock, meter = time.perf_counter, tally.meter
    steps = journey.calls()
    call = next(steps)
    while True:
        used = meter() if meter else 0.0
        began = clock()
        response = await connection.send(call.wire)
        took = clock() - began
        if meter:
            tally.cpu[call.kind].append(meter() - used)
        if not tally.add(call, response, took):
            return
        try:
            call = steps.send(response)
        except StopIteration:
            return
        except (KeyError, ValueError) as fault:
            tally.fail(call, 0, f"{fault!r} in {response.body[:300].decode(errors='replace')}")
            return


async def run(
    port: int,
    make: Callable[[int], Journey],
    first: int,
    number: int,
    clients: int,
    meter: Callable[[], float] | None = None,
) -> Tally:
    """Go through so many referrals, from the first number on; a meter is for one client, whose calls come in turn."""
    tally = Tally(meter)
    journeys = map(make, range(first, first + number))
    began, used = time.perf_counter(), time.process_time()
    async with asyncio.TaskGroup() as group:
        for _ in range(min(clients, number)):
            group.create_task(_client(port, journeys, tally))
    tally.elapsed, tally.own_cpu = time.perf_counter() - began, time.process_time() - used
    return tally
