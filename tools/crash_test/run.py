"""One run: write, kill -9, start again, inspect; so many times."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tools.crash_test.inspector import Inspector
from tools.crash_test.ledger import Ledger
from tools.crash_test.writer import Writer
from tools.serving import ROOT, ServerProcess, command


class Writes(Protocol):
    """A client that writes until its connection breaks."""

    async def write(self, port: int) -> None:
        """Write to the server at that port of this machine."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run goes."""

    database: str
    kills: int = 100
    writers: int = 16
    workers: int = 1
    seed: int = 1
    longest: float = 1.0


def run(plan: Plan) -> tuple[Ledger, float]:
    """Kill and check so many times; the ledger, and the slowest restart in seconds."""
    ledger = Ledger()
    writers = [Writer(number, plan.seed, ledger) for number in range(plan.writers)]
    inspector = Inspector(ledger, writers)
    chance = random.Random(plan.seed)
    server = ServerProcess(plan.database, workers=plan.workers)
    slowest = 0.0
    try:
        for _ in range(plan.kills):
            slowest = max(slowest, start(server))
            asyncio.run(inspector.inspect(server.port))
            asyncio.run(write_until_killed(server, writers, chance.uniform(0.2, plan.longest)))
            ledger.counts["kills"] += 1
        slowest = max(slowest, start(server))
        asyncio.run(inspector.inspect(server.port, everything=True))
    finally:
        server.stop()
    check_store(plan.database, ledger)
    return ledger, slowest


def check_store(database: str, ledger: Ledger) -> None:
    """Index rows, claims and states must be those that the resources call for (fhir-server check-store)."""
    wanted = command("check-store", "--database", database)
    checked = subprocess.run(wanted, cwd=ROOT, capture_output=True, text=True, check=False)
    if checked.returncode:
        ledger.fault(f"check-store: {checked.stderr[-1000:]}")


def start(server: ServerProcess) -> float:
    """Start and wait; the seconds that it took."""
    began = time.perf_counter()
    server.start()
    server.wait_until_ready()
    return time.perf_counter() - began


async def write_until_killed(
    server: ServerProcess, writers: Sequence[Writes], seconds: float
) -> None:
    """Let them write so long, then kill every process of the server."""
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.write(server.port))
        await asyncio.sleep(seconds)
        server.kill()
