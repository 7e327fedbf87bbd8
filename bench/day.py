"""A weekday of the nation's referrals, compressed: 62,200 referrals and 23,800 bookings with about 25 calls each.

python -m bench.day --database sqlite --share 0.01

Every call is answered before its user sends the next; users send as fast as the server answers. A share of the day has
the mix of the whole, and the whole is told as that share's multiple.
"""

from __future__ import annotations

import argparse
import functools
import sys
import time
from dataclasses import dataclass
from datetime import datetime

import uvloop

from bench.__main__ import Options, database, stored_bytes, yardstick
from bench.filling import fill_with
from bench.national.country import LONDON, Country
from bench.national.journey import REFERRALS, Journey
from bench.national.report import Facts, report
from bench.national.run import Tally, run
from bench.processes import DatabaseProcesses, cpu_seconds, resident_bytes, run_seconds
from tools.serving import ServerProcess

_QUIET_SECONDS = 2.0
_QUIET_SHARE = 0.1
_QUIET_LOOKS = 3
_MOST_SETTLING = 600.0
# So many referrals tell what each kind of call costs.
_APART = 200


@dataclass(frozen=True, slots=True)
class Given:
    """The command line."""

    database: str
    share: float
    workers: int
    clients: int
    services: int
    slots: int
    patients: int
    seed: int


def read_options() -> Given:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m bench.day", description=__doc__)
    parser.add_argument("--database", default="sqlite", help="sqlite, postgresql or a URL")
    parser.add_argument("--share", type=float, default=0.01, help="of the day's referrals")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--services", type=int, default=4_500, help="the nation has 45,000")
    parser.add_argument("--slots", type=int, default=40, help="of each service")
    parser.add_argument("--patients", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    return Given(**vars(parser.parse_args()))


class Usage:
    """CPU seconds of the server and its database since the last look."""

    def __init__(self, server: ServerProcess) -> None:
        self.pids = server.processes()
        self.of_database = DatabaseProcesses(server.database)
        self.last = (0.0, 0.0)
        self.since()

    def since(self) -> tuple[float, float]:
        """(server, database) since the last call."""
        now = (cpu_seconds(self.pids), self.of_database.cpu_seconds())
        server, behind = now[0] - self.last[0], now[1] - self.last[1]
        self.last = now
        return server, behind


def settle(usage: Usage) -> tuple[float, float]:
    """Wait until the server has done what a start brings, as the waits of every service: seconds, CPU seconds."""
    began, spent, quiet = time.perf_counter(), 0.0, 0
    while time.perf_counter() - began < _MOST_SETTLING:
        time.sleep(_QUIET_SECONDS)
        used = sum(usage.since())
        spent += used
        quiet = quiet + 1 if used < _QUIET_SECONDS * _QUIET_SHARE else 0
        if quiet == _QUIET_LOOKS:
            return time.perf_counter() - began, spent
    raise TimeoutError("The server does not come to rest after its start")


def main() -> int:
    """Print Markdown; exit status 1 when an answer was not the one expected."""
    given = read_options()
    today = datetime.now(LONDON).date()
    country = Country(given.services, given.slots, given.patients, today)
    number = max(1, round(REFERRALS * given.share))
    make = functools.partial(Journey, country, seed=given.seed)
    with database(given.database) as url:
        resources, loading = fill_with(country, url)
        print(f"{resources:,} resources in {loading:.0f} s", file=sys.stderr)
        unit = uvloop.run(yardstick(Options(url, 1.0, given.clients, 3, 1, 0.0, 1, ()))).median(
            lambda item: item.server_cost
        )
        with ServerProcess(url, workers=given.workers) as server:
            usage = Usage(server)
            settling = settle(usage)
            # Statements are compiled and caches filled by referrals that are not counted.
            uvloop.run(run(server.port, make, 10_000_000, max(5, number // 20), given.clients))
            usage.since()
            print("Warm; measuring", file=sys.stderr)
            tally: Tally = uvloop.run(run(server.port, make, 0, number, given.clients))
            used = usage.since()
            memory = [resident_bytes(pid) for pid in usage.pids]
            meter = functools.partial(run_seconds, usage.pids)
            apart = uvloop.run(
                run(server.port, make, 20_000_000, min(number, _APART), 1, meter=meter)
            )
        facts = Facts(
            database=url.partition(":")[0].partition("+")[0],
            workers=given.workers,
            clients=given.clients,
            country=country,
            resources=resources,
            share=number / REFERRALS,
            unit=unit,
            server_cpu=used[0],
            database_cpu=used[1],
            settling=settling,
            memory=memory,
            stored=stored_bytes(url),
        )
        print(report(facts, tally, apart))
    return 1 if tally.errors or apart.errors else 0


if __name__ == "__main__":
    sys.exit(main())
