"""Real payloads of the English services go in and come out unaltered, as JSON and as XML."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.load_real import DATA, Outcome, run

pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the payloads are not here")


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return run(DATA, f"sqlite:///{tmp_path_factory.mktemp('real')}/fhir.sqlite")


def test_nothing_is_altered(outcome: Outcome) -> None:
    assert outcome.differences == []


def test_every_refusal_has_a_reason_and_the_rest_is_stored(outcome: Outcome) -> None:
    for counts in outcome.counts.values():
        stored = counts["resources"] - counts["refused"] - counts["carried out"]
        assert counts["same JSON"] == counts["same XML"] == stored
    refused = sum(counts["refused"] for counts in outcome.counts.values())
    assert refused <= len(outcome.refusals)
    assert refused < 0.2 * sum(counts["resources"] for counts in outcome.counts.values())
