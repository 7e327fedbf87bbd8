"""One run: write, kill -9, start again, inspect; so many times."""

from __future__ import annotations

import asyncio
import random
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

from tools.crash_test.inspector import Inspector
from tools.crash_test.ledger import Ledger
from tools.crash_test.writer import Writer
from tools.serving import ROOT, ServerProcess, command


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
            slowest = max(slowest, _start(server))
            asyncio.run(inspector.inspect(server.port))
            asyncio.run(_write_until_killed(server, writers, chance.uniform(0.2, plan.longest)))
            ledger.counts["kills"] += 1
        slowest = max(slowest, _start(server))
        asyncio.run(inspector.inspect(server.port, everything=True))
    finally:
        server.stop()
    _check_index(plan.database, ledger)
    return ledger, slowest


def _check_index(database: str, ledger: Ledger) -> None:
    """The index rows must be those that the resources call for (fhir-server check-store)."""
    wanted = command("check-store", "--database", database)
    checked = subprocess.run(wanted, cwd=ROOT, capture_output=True, text=True, check=False)
    if checked.returncode:
        ledger.fault(f"check-store: {checked.stderr[-1000:]}")


def _start(server: ServerProcess) -> float:
    began = time.perf_counter()
    server.start()
    server.wait_until_ready()
    return time.perf_counter() - began


async def _write_until_killed(
    server: ServerProcess, writers: Sequence[Writer], seconds: float
) -> None:
    async with asyncio.TaskGroup() as group:
        for writer in writers:
            group.create_task(writer.write(server.port))
        await asyncio.sleep(seconds)
        server.kill()
