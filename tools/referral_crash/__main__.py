"""Kill the server while it acts on referrals, again and again, and look for what is half done or lost.

python -m tools.referral_crash --database sqlite --kills 50

Clients send referrals on seven journeys: for triage, deferred, booked, returned, rejected, converted from advice,
referred on, cancelled; by operations, plain writes and transactions. After each kill -9 the server starts again, and
every referral, with all its Tasks, Appointments, messages and Provenances, looks as after the acts that were
acknowledged; where one was not answered, as before or as after it. That one is sent again under its Idempotency-Key and
happens once. At the end check-store computes index, claims and states again.
"""

from __future__ import annotations

import argparse
import sys

from tools.crash_test.__main__ import database
from tools.crash_test.run import Plan
from tools.referral_crash.run import run


def main() -> int:
    """Print what happened; exit status 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m tools.referral_crash", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--writers", type=int, default=8)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with database(given.database) as url:
        ledger = run(Plan(url, given.kills, given.writers, given.workers, given.seed))
    for name, count in sorted(ledger.counts.items()):
        print(f"{name}: {count:,}")
    for sentence in ledger.faults[:50]:
        print(f"FAULT {sentence}")
    print(f"{len(ledger.faults)} broken promises")
    return 1 if ledger.faults else 0


if __name__ == "__main__":
    sys.exit(main())
