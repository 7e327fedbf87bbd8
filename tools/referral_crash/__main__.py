"""Kill the server while it acts on referrals, again and again, and look for what is half done or lost.

python -m tools.referral_crash --database sqlite --kills 50

Clients send referrals on seven journeys: for triage, deferred, booked, returned, rejected, converted from advice,
referred on, cancelled; by operations, plain writes and transactions. After each kill -9 the server starts again, and
every referral, with all its Tasks, Appointments, messages and Provenances, looks as after the acts that were
acknowledged; where one was not answered, as before or as after it. That one is sent again under its Idempotency-Key and
happens once. At the end check-store computes index, claims and states again.
"""

from __future__ import annotations

import sys

from tools.crash_test.__main__ import database
from tools.crash_test.run import Plan
from tools.proof import kill_arguments, tell_counts, tell_faults
from tools.referral_crash.run import run


def main() -> int:
    """Print what happened; exit status 1 when a promise was broken."""
    given = kill_arguments("tools.referral_crash", __doc__, kills=50, writers=8)
    with database(given.database) as url:
        ledger = run(Plan(url, given.kills, given.writers, given.workers, given.seed))
    tell_counts(ledger.counts)
    return tell_faults(ledger.faults, "broken promises")


if __name__ == "__main__":
    sys.exit(main())
