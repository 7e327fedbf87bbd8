"""The figures as Markdown."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.measure import Measurement

MEGABYTE = 1024 * 1024
COLUMNS = (
    "operation", "requests/s", "± spread", "p50 ms", "p95 ms", "p99 ms",
    "server µs CPU", "database µs CPU", "bare units", "errors",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured beside the workloads; sizes in bytes, times in seconds."""

    database: str
    workers: int
    concurrency: int
    rounds: int
    seconds: float
    resources: int
    raw_bytes: int
    stored_bytes: int
    load_seconds: float
    start_seconds: float
    idle_bytes: int
    busy_bytes: int


def report(facts: Facts, bare: Measurement, measured: Sequence[Measurement]) -> str:
    """Two tables and what the figures mean."""
    unit = bare.median(lambda item: item.server_cost)
    lines = [
        f"### {facts.database}, {facts.workers} worker(s), {facts.concurrency} clients",
        "",
        (f"{facts.resources:,} resources; {facts.rounds} rounds of {facts.seconds:g} s after a warm-up; "
        f"Python {platform.python_version()}, {os.cpu_count()} cores shared with the load generator. "
        f"A bare unit is the CPU of a bare ASGI answer of 2 kB in the same run."),
        "",
        table_row(COLUMNS),
        table_row("---" if place == 0 else "---:" for place in range(len(COLUMNS))),
        *(measured_row(item, unit) for item in (bare, *measured)),
        "",
        table_row(("other figure", "value")),
        table_row(("---", "---:")),
        table_row(("load into an empty database", f"{facts.resources / facts.load_seconds:,.0f} resources/s")),
        table_row(("start to the first 200 on /metadata", f"{facts.start_seconds * 1000:,.0f} ms")),
        table_row(("memory of a worker, idle", f"{facts.idle_bytes / MEGABYTE:,.0f} MB")),
        table_row(("memory of a worker, after the load", f"{facts.busy_bytes / MEGABYTE:,.0f} MB")),
        table_row(("database for a resource", _stored(facts))),
    ]  # fmt: skip
    wrong = [f"- {item.name}: {item.first_error}" for item in measured if item.errors]
    if wrong:
        lines += ["", "Unexpected answers:", *wrong]
    return "\n".join(lines)


def _stored(facts: Facts) -> str:
    each = facts.stored_bytes / facts.resources
    share = facts.stored_bytes / facts.raw_bytes
    return f"{each:,.0f} bytes ({share:.1f} x its JSON)"


def measured_row(item: Measurement, unit: float) -> str:
    """A row of the table of workloads."""
    server = item.median(lambda each: each.server_cost)
    database = item.median(lambda each: each.database_cost)
    return table_row(
        (
            item.name,
            f"{item.median(lambda each: each.rate):,.0f}",
            f"{item.spread / 2:.0%}",
            f"{item.percentile(0.50):.2f}",
            f"{item.percentile(0.95):.2f}",
            f"{item.percentile(0.99):.2f}",
            f"{server:,.0f}",
            f"{database:,.0f}" if database else "–",
            f"{(server + database) / unit:.1f}",
            str(item.errors),
        )
    )


def table_row(cells: Iterable[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"
