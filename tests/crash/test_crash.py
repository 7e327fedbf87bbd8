"""What was acknowledged survives kill -9, and a transaction happened or did not.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.crash_test.run import Plan, run

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(("kind", "workers"), [("sqlite", 1), ("postgresql", 2)])
def test_every_promise_survives_three_kills(
    kind: str, workers: int, database_of: Callable[[str], str]
) -> None:
    ledger, _ = run(Plan(database_of(kind), kills=3, workers=workers, longest=0.6))
    assert ledger.faults == []
    assert ledger.counts["kills"] == 3
    assert ledger.counts["puts acknowledged"] > 30
    assert ledger.counts["transactions acknowledged"] > 10
