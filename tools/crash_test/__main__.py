"""Kill the server while it writes, again and again, and check that it kept every promise.

python -m tools.crash_test --database sqlite --kills 100

Writers create, update with If-Match and send transactions of four. After each kill -9 the server starts again, and
- every write that was acknowledged is there, at that version or a later one;
- of a transaction there are all four resources or none, acknowledged or not;
- a write that was refused left nothing;
- the versions of a resource are 1, 2, ... n without a gap, and the newest is the one that is read.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
from collections.abc import Iterator

from tools.crash_test.run import Plan, run
from tools.proof import kill_arguments, tell_counts, tell_faults
from tools.temporary_postgresql import temporary_postgresql


@contextlib.contextmanager
def database(name: str) -> Iterator[str]:
    """The URL of an empty database of that kind."""
    if name == "postgresql":
        with temporary_postgresql() as url:
            yield url
    else:
        with tempfile.TemporaryDirectory(prefix="fhir-crash-") as folder:
            yield f"sqlite:///{folder}/fhir.sqlite"


def main() -> int:
    """Print what happened; exit status 1 when a promise was broken."""
    given = kill_arguments("tools.crash_test", __doc__, kills=100, writers=16)
    with database(given.database) as url:
        plan = Plan(url, given.kills, given.writers, given.workers, given.seed)
        ledger, slowest = run(plan)
    tell_counts(ledger.counts)
    print(f"slowest restart: {slowest:.2f} s")
    return tell_faults(ledger.faults, "broken promises")


if __name__ == "__main__":
    sys.exit(main())
