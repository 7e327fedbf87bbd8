"""What processes use, read from /proc (https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html)."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

import psycopg

from tools.serving import descendants

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> list[str]:
    # The second field is the command in brackets and may hold blanks: what follows it is counted from field 3.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def cpu_seconds(pids: Iterable[int], *, with_ended_children: bool = False) -> float:
    """User and system time of processes; on demand also that of children they have waited for."""
    ticks = 0
    for pid in pids:
        try:
            fields = _stat(pid)
        except FileNotFoundError:
            continue  # it ended meanwhile, as workers that tidy up a database do
        ticks += sum(int(item) for item in fields[11 : 15 if with_ended_children else 13])
    return ticks / TICK


def run_seconds(pids: Iterable[int]) -> float:
    """As cpu_seconds, to the nanosecond and not to the tick: for what takes less than one. Living threads only."""
    # https://docs.kernel.org/scheduler/sched-stats.html
    return (
        sum(
            int(path.read_text().split()[0])
            for pid in pids
            for path in Path(f"/proc/{pid}/task").glob("*/schedstat")
        )
        / 1e9
    )


def resident_bytes(pid: int) -> int:
    """The physical memory of a process, shared pages included."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    return 0


class DatabaseProcesses:
    """The processes of a PostgreSQL cluster on this machine: the postmaster and everything below it."""

    def __init__(self, url: str) -> None:
        self.postmaster: int | None = None
        if url.startswith("postgresql"):
            with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
                row = connection.execute("SELECT pg_backend_pid()").fetchone()
                assert row is not None
                if Path(f"/proc/{row[0]}/stat").exists():
                    self.postmaster = int(_stat(row[0])[1])

    def cpu_seconds(self) -> float:
        """What the cluster used so far; 0 for SQLite, which works inside the server."""
        if self.postmaster is None:
            return 0.0
        living = cpu_seconds(descendants(self.postmaster))
        return living + cpu_seconds([self.postmaster], with_ended_children=True)
