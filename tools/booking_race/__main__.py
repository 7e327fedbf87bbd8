"""Many clients book one slot at the same moment, by every route and mixed, again and again.

python -m tools.booking_race --database postgresql --workers 4 --contenders 2 16 64 256 --rounds 1000

Some clients vanish while they wait, and processes of the server are killed. In every round one client wins, all others
get 409 (412 where they sent a version), and nobody gets a 5xx. Afterwards the claims are computed again from what is
stored.
"""

from __future__ import annotations

import argparse
import sys
import time

from tools.booking_race.arena import Plan
from tools.booking_race.run import run
from tools.crash_test.__main__ import database
from tools.proof import tell_counts, tell_faults


def main() -> int:
    """Print counts; exit status 1 when something was not as promised."""
    parser = argparse.ArgumentParser(prog="python -m tools.booking_race", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--contenders", type=int, nargs="+", default=[2, 16, 64, 256])
    parser.add_argument(
        "--rounds", type=int, nargs="+", default=[100], help="for each number of contenders"
    )
    parser.add_argument("--vanishing", type=float, default=0.05, help="share of clients")
    parser.add_argument("--kills", type=float, default=0.0, help="share of rounds with a kill")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    rounds = given.rounds * len(given.contenders) if len(given.rounds) == 1 else given.rounds
    plans = [
        Plan(contenders, count, vanishing=given.vanishing, kills=given.kills, seed=given.seed)
        for contenders, count in zip(given.contenders, rounds, strict=True)
    ]
    began = time.perf_counter()
    with database(given.database) as url:
        outcome = run(url, plans, given.workers)
    outcome.counts.setdefault("double bookings", 0)
    tell_counts(outcome.counts)
    ordered = sorted(outcome.losers)
    if ordered:
        print(f"a loser's answer, p50: {ordered[len(ordered) // 2] * 1000:.1f} ms")
        print(f"a loser's answer, p99: {ordered[len(ordered) * 99 // 100] * 1000:.1f} ms")
    print(f"seconds: {time.perf_counter() - began:.0f}")
    return tell_faults(outcome.faults, "faults")


if __name__ == "__main__":
    sys.exit(main())
