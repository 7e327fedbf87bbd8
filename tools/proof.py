"""How a script that looks for broken promises takes its arguments and tells what it found."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence

_MOST_TOLD = 50


def kill_arguments(
    program: str, about: str | None, *, kills: int, writers: int
) -> argparse.Namespace:
    """The command line of a script that kills the server; kills, writers: how many when it does not say."""
    parser = argparse.ArgumentParser(prog=f"python -m {program}", description=about)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--kills", type=int, default=kills)
    parser.add_argument("--writers", type=int, default=writers)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def tell_counts(counts: Mapping[str, int]) -> None:
    """Print each."""
    for name, count in sorted(counts.items()):
        print(f"{name}: {count:,}")


def tell_faults(faults: Sequence[str], kind: str) -> int:
    """Print the first of them and how many there are; the exit status."""
    for sentence in faults[:_MOST_TOLD]:
        print(f"FAULT {sentence}")
    print(f"{len(faults)} {kind}")
    return 1 if faults else 0
