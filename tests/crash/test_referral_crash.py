"""No act on a referral is lost or half done when the server is killed, and one that is sent again happens once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tools.crash_test.run import Plan
from tools.referral_crash.run import run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "workers"), [("sqlite", 1), ("postgresql", 1)])
def test_acts_on_referrals_survive_two_kills(
    kind: str, workers: int, database_of: Callable[[str], str]
) -> None:
    ledger = run(Plan(database_of(kind), kills=2, writers=4, workers=workers, longest=0.5))
    assert ledger.faults == []
    assert ledger.counts["kills"] == 2
    assert ledger.counts["acts acknowledged"] > 20
    assert ledger.counts["acts sent again"] > 2
