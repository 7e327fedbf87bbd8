"""Kill the server while it writes, again and again, and check that it kept every promise.

python -m tools.crash_test --database sqlite --kills 100

Writers create, update with If-Match and send transactions of four. After each kill -9 the server starts again, and
- every write that was acknowledged is there, at that version or a later one;
- of a transaction there are all four resources or none, acknowledged or not;
- a write that was refused left nothing;
- the versions of a resource are 1, 2, ... n without a gap, and the newest is the one that is read.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator

from tools.crash_test.run import Plan, run
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
    parser = argparse.ArgumentParser(prog="python -m tools.crash_test", description=__doc__)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--writers", type=int, default=16)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    with database(given.database) as url:
        plan = Plan(url, given.kills, given.writers, given.workers, given.seed)
        ledger, slowest = run(plan)
    for name, count in sorted(ledger.counts.items()):
        print(f"{name}: {count:,}")
    print(f"slowest restart: {slowest:.2f} s")
    for sentence in ledger.faults[:50]:
        print(f"FAULT {sentence}")
    print(f"{len(ledger.faults)} broken promises")
    return 1 if ledger.faults else 0


if __name__ == "__main__":
    sys.exit(main())
