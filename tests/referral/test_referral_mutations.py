"""Each guard of the rules about referrals is needed: with any one of them taken out, a check fails."""

from __future__ import annotations

from fhir_server import referral
from tools.rule_mutations.__main__ import UNSEEN, WITHOUT, examine, unseen
from tools.rule_mutations.mutants import mutants


def test_taking_out_a_guard_is_noticed() -> None:
    checks, guards, found = examine()
    assert [str(mutant) for mutant in found if not unseen(mutant)] == []
    assert (checks > 100, guards > 150) == (True, True)


def test_what_is_known_to_be_unseen_is_still_there() -> None:
    """Whether it is noticed once, by the moment at which something ends, is left open."""
    there = [str(mutant) for mutant in mutants(referral, WITHOUT)]
    assert [told for told in UNSEEN if not any(item.startswith(told) for item in there)] == []
