"""Take every guard of the rules about referrals out, one by one, and see a check fail each time.

python -m tools.rule_mutations

A guard is a statement of fhir_server/referral that refuses something, has an effect (what is written, closed, checked),
or makes something else of a value. The checks are the tests of tests/referral, asked without a server between them and
the store; only those that come to a guard are asked about it.
"""

from __future__ import annotations

import importlib
import sys
import time
from pathlib import Path

from fhir_server import referral
from tools.rule_mutations.mutants import Mutant, mutants, reached, survivors
from tools.serving import ROOT

# Locks are for others who write at the same time: the races are about them (tests/referral/test_referral_races.py).
WITHOUT = frozenset({"lock"})
# What one client after the other cannot see.
UNSEEN = {
    "act.Act._append: self.case.fresh.discard": "which of two ends within a millisecond came last",
    "doing.Doing.case: raise VersionConflict": "others write at the same time",
    "rules.ReferralRules.locks: ending.add": "what is locked",
    "reasons._concepts: listed.setdefault": "read once, before any mutant",
    "ubrn.issue: raise unavailable": "twenty numbers in turn that are had already",
}


def unseen(mutant: Mutant) -> bool:
    """Whether no check of this kind can notice it."""
    return any(str(mutant).startswith(told) for told in UNSEEN)


def examine() -> tuple[int, int, list[Mutant]]:
    """(number of checks, number of guards, guards that nobody misses)."""
    sys.path.insert(0, str(ROOT / "tests" / "referral"))
    checks = importlib.import_module("referral_checks").checks
    assert referral.__file__ is not None
    lines = list(reached(checks(), str(Path(referral.__file__).parent)))
    found = list(mutants(referral, WITHOUT))
    known = zip(checks(), lines, strict=True)
    return len(lines), len(found), list(survivors(found, known))


def main() -> int:
    """Print what happened; exit status 1 when nobody misses a guard."""
    began = time.perf_counter()
    checks, guards, found = examine()
    left = [mutant for mutant in found if not unseen(mutant)]
    for mutant in left:
        print(f"NOT MISSED {mutant}")
    took = time.perf_counter() - began
    print(f"{checks} checks, {guards} guards, {len(left)} not missed, {took:.1f} s")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
