"""Each guard of the rules about referrals is needed: with any one of them taken out, a check fails."""

from __future__ import annotations

from tools.rule_mutations.__main__ import UNSEEN, examine, unseen


def test_taking_out_a_guard_is_noticed() -> None:
    checks, guards, found = examine()
    assert [str(mutant) for mutant in found if not unseen(mutant)] == []
    assert len(found) == len(UNSEEN), "one that was thought to be unseen is noticed, or gone"
    assert (checks > 100, guards > 150) == (True, True)
