"""Explore the orders in which three clients' steps can come: python -m tools.booking_simulation --limit 2000"""

from __future__ import annotations

import argparse
import sys
import time

from tools.booking_simulation.explore import explore
from tools.booking_simulation.scenarios import SCENARIOS


def main() -> int:
    """Print counts; exit status 1 when a schedule ended wrong."""
    parser = argparse.ArgumentParser(prog="python -m tools.booking_simulation", description=__doc__)
    parser.add_argument("--limit", type=int, default=1000, help="schedules of a scenario")
    parser.add_argument("--preemptions", type=int, default=2)
    parser.add_argument("--random", type=int, default=300, help="random schedules of a scenario")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    total, wrong = 0, 0
    for scenario in SCENARIOS:
        began = time.perf_counter()
        done, found = explore(
            scenario,
            limit=given.limit,
            preemptions=given.preemptions,
            randoms=given.random,
            seed=given.seed,
        )
        total += done
        wrong += len(found)
        print(
            f"{scenario.name}: {done:,} schedules, {len(found)} faults, {time.perf_counter() - began:.0f} s"
        )
        for sentence in found[:5]:
            print(f"  FAULT {sentence}")
    print(f"{total:,} schedules, {wrong} faults")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
