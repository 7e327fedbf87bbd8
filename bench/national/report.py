"""The figures of a day as Markdown, and what they make of the whole day."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.national.country import Country
from bench.national.journey import REFERRALS
from bench.national.run import Tally
from bench.report import MEGABYTE, table_row

MICRO = 1_000_000
COLUMNS = ("kind of call", "calls", "p50 ms", "p95 ms", "p99 ms", "lost races", "errors")
COSTS = ("kind of call", "CPU of the server", "share of the calls", "share of the CPU")


@dataclass(frozen=True, slots=True)
class Facts:
    """What was measured beside the calls.

    share: of the day; unit: microseconds of CPU of a bare answer; settling: seconds and CPU seconds after the start;
    memory: bytes of each process of the server at the end; stored: bytes of the database.
    """

    database: str
    workers: int
    clients: int
    country: Country
    resources: int
    share: float
    unit: float
    server_cpu: float
    database_cpu: float
    settling: tuple[float, float]
    memory: Sequence[int]
    stored: int


def report(facts: Facts, tally: Tally, apart: Tally) -> str:
    """Three tables; apart: what was asked by one client afterwards, with the CPU of each call."""
    kinds = sorted({*tally.seconds, *tally.lost, *(kind for kind, _ in tally.errors)})
    country = facts.country
    return "\n".join(
        [
            f"### A day of referrals: {facts.database}, {facts.workers} worker(s), {facts.clients} clients",
            "",
            (
                f"{facts.share:.2%} of the day: {tally.journeys:,} of {REFERRALS:,} referrals,"
                f" {_made(tally):,} bookings, {tally.calls / max(1, tally.journeys):.1f} calls a referral."
                f" {country.services:,} services with {country.slots_each} slots each, {country.patients:,} patients,"
                f" {facts.resources:,} resources before it; Python {platform.python_version()},"
                f" {os.cpu_count()} cores shared with the load generator."
            ),
            "",
            *_table(COLUMNS, [_row(kind, tally) for kind in kinds] + [_row(None, tally)]),
            "",
            *_table(COSTS, _costs(apart)),
            "",
            *_table(("figure", "value"), _figures(facts, tally)),
            *_wrong(tally),
            *_wrong(apart),
        ]
    )


def _made(tally: Tally) -> int:
    return sum(len(tally.seconds[kind]) for kind in ("$book", "book (POST)"))


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    marks = ("---" if place == 0 else "---:" for place in range(len(head)))
    return [table_row(head), table_row(marks), *map(table_row, rows)]


def _row(kind: str | None, tally: Tally) -> Sequence[str]:
    if kind is None:
        good = sum(len(found) for found in tally.seconds.values())
        lost, errors = tally.lost.total(), tally.errors.total()
    else:
        good, lost = len(tally.seconds[kind]), tally.lost[kind]
        errors = sum(count for (other, _), count in tally.errors.items() if other == kind)
    times = (f"{tally.percentile(share, kind):.1f}" for share in (0.50, 0.95, 0.99))
    return (kind or "all", f"{good + lost + errors:,}", *times, str(lost), str(errors))


def _costs(apart: Tally) -> list[Sequence[str]]:
    """By kind, what takes most of the whole first; asked one at a time."""
    sums = {kind: sum(found) for kind, found in apart.cpu.items()}
    whole, calls = sum(sums.values()), sum(map(len, apart.cpu.values()))
    rows = [
        (
            kind,
            _micros(used, len(apart.cpu[kind])),
            f"{len(apart.cpu[kind]) / calls:.1%}",
            f"{used / whole:.1%}",
        )
        for kind, used in sorted(sums.items(), key=lambda item: -item[1])
    ]
    return [*rows, ("all", _micros(whole, max(1, calls)), "100 %", "100 %")]


def _figures(facts: Facts, tally: Tally) -> list[tuple[str, str]]:
    calls = max(1, tally.calls)
    whole = calls / facts.share
    spent = facts.server_cpu + facts.database_cpu
    each = spent / calls
    took, settling = facts.settling
    parts = (_micros(facts.server_cpu, calls), _micros(facts.database_cpu, calls))
    return [
        ("calls/s, as the clock went", f"{calls / tally.elapsed:,.0f}"),
        ("calls for a second of CPU (server and database)", f"{1 / each:,.0f}"),
        ("CPU of a call: server, database", ", ".join(parts)),
        ("CPU of a call: who asks", _micros(tally.own_cpu, calls)),
        ("CPU of a call in bare answers", f"{each * MICRO / facts.unit:.1f} (one is {facts.unit:.0f} µs)"),
        ("calls of the whole day", f"{whole:,.0f}"),
        ("the whole day, as the clock went", f"{whole / calls * tally.elapsed / 60:.1f} minutes"),
        ("CPU of the whole day", f"{whole * each / 60:.1f} minutes"),
        ("p99 of all calls", f"{tally.percentile(0.99):.1f} ms"),
        ("memory of each process at the end", ", ".join(f"{item / MEGABYTE:,.0f} MB" for item in facts.memory)),
        ("database at the end", f"{facts.stored / MEGABYTE:,.0f} MB"),
        ("from the start until at rest", f"{took:.0f} s, {settling:.0f} s of CPU"),
    ]  # fmt: skip


def _micros(seconds: float, calls: int) -> str:
    return f"{seconds / calls * MICRO:,.0f} µs"


def _wrong(tally: Tally) -> list[str]:
    if not tally.errors:
        return []
    counted = [
        f"- {kind}: {status}, {count} times"
        for (kind, status), count in sorted(tally.errors.items())
    ]
    return [
        "",
        "Unexpected answers:",
        *counted,
        "",
        "Some of them:",
        *(f"- {item}" for item in tally.told),
    ]
