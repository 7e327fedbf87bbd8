"""Closed-loop measuring: so many clients, each sending its next request when the last one is answered."""

from __future__ import annotations

import asyncio
import math
import statistics
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass

from bench.client import Connection, Response

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent, and what the answer must be: its status and bytes that its body must hold."""

    wire: bytes
    status: int
    needles: tuple[bytes, ...]

    def is_answered_by(self, response: Response) -> bool:
        """Whether the answer is the one expected; a benchmark of errors measures nothing."""
        return response.status == self.status and all(
            needle in response.body for needle in self.needles
        )


Script = Generator[Request, bool, None]
"""What one client sends: it yields a request and is told whether that was answered well."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of request, varied; script gives what the client of that number sends, without end."""

    name: str
    script: Callable[[int], Script]


@dataclass(frozen=True, slots=True)
class Round:
    """What one round gave: seconds of every good answer, and what went wrong."""

    elapsed: float
    latencies: tuple[float, ...]
    errors: int
    first_error: str
    server_cpu: float
    database_cpu: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return len(self.latencies) / self.elapsed

    @property
    def server_cost(self) -> float:
        """Microseconds of the server's CPU for a good answer."""
        return self.server_cpu / len(self.latencies) * MICRO if self.latencies else math.nan

    @property
    def database_cost(self) -> float:
        """Microseconds of the database's CPU for a good answer."""
        return self.database_cpu / len(self.latencies) * MICRO if self.latencies else math.nan


@dataclass(frozen=True, slots=True)
class Measurement:
    """The rounds of one workload."""

    name: str
    rounds: tuple[Round, ...]

    def median(self, value: Callable[[Round], float]) -> float:
        """The middle of the rounds."""
        return statistics.median(value(item) for item in self.rounds)

    @property
    def spread(self) -> float:
        """How far the rates of the rounds lie apart, as a share of the median."""
        rates = [item.rate for item in self.rounds]
        middle = statistics.median(rates)
        return (max(rates) - min(rates)) / middle if middle else math.nan

    def percentile(self, share: float) -> float:
        """Milliseconds within which that share of all good answers came."""
        ordered = sorted(latency for item in self.rounds for latency in item.latencies)
        if not ordered:
            return math.nan
        return ordered[min(len(ordered) - 1, math.ceil(share * len(ordered)) - 1)] * 1000

    @property
    def errors(self) -> int:
        return sum(item.errors for item in self.rounds)

    @property
    def first_error(self) -> str:
        return next((item.first_error for item in self.rounds if item.first_error), "")


@dataclass(slots=True)
class _Tally:
    latencies: list[float]
    errors: int = 0
    first_error: str = ""


async def _client(port: int, script: Script, until: float, tally: _Tally) -> None:
    connection = await Connection.open(port)
    clock = time.perf_counter
    request = next(script)
    try:
        while (began := clock()) < until:
            response = await connection.send(request.wire)
            took = clock() - began
            good = request.is_answered_by(response)
            if good:
                tally.latencies.append(took)
            else:
                tally.errors += 1
                tally.first_error = tally.first_error or _told(response)
            request = script.send(good)
    except OSError as error:
        tally.errors += 1
        tally.first_error = tally.first_error or f"{error}"
    finally:
        connection.close()


def _told(response: Response) -> str:
    return f"{response.status} {response.body[:300].decode(errors='replace')}"


async def _round(
    port: int,
    workload: Workload,
    seconds: float,
    concurrency: int,
    usage: Callable[[], tuple[float, float]],
) -> Round:
    tally = _Tally([])
    server, database = usage()
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in range(concurrency):
            script = workload.script(number)
            group.create_task(_client(port, script, began + seconds, tally))
    elapsed = time.perf_counter() - began
    server_after, database_after = usage()
    return Round(
        elapsed,
        tuple(tally.latencies),
        tally.errors,
        tally.first_error,
        server_after - server,
        database_after - database,
    )


async def measure(
    port: int,
    workload: Workload,
    *,
    seconds: float,
    concurrency: int,
    rounds: int,
    usage: Callable[[], tuple[float, float]],
) -> Measurement:
    """A warm-up that is thrown away, then the rounds; usage gives CPU seconds of (server, database) so far."""
    await _round(port, workload, min(seconds, 1.0), concurrency, usage)
    done = [await _round(port, workload, seconds, concurrency, usage) for _ in range(rounds)]
    return Measurement(workload.name, tuple(done))
