"""The journey of a referral that the README shows: every step leaves the state it should, and nobody is lost."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

pytest.importorskip("fhirpy", reason="the client is not installed")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "examples"))

from journey import Journey

# Step, state that it leaves the referral in, how many wait.
STORY = [
    ("published", None, 0),
    ("referred", "NOT_BOOKED", 1),
    ("booked", "BOOKED", 1),
    ("rejected", "REJECTED", 1),
    ("shortlist changed", "NOT_BOOKED", 1),
    ("sent for triage", "AWAITING_TRIAGE", 1),
    ("returned with advice", "TRIAGE_RESPONSE", 1),
    ("made urgent", "NOT_BOOKED", 1),
    ("booked as urgent", "BOOKED", 1),
    ("moved", "BOOKED", 1),
    ("Tom booked", "BOOKED", 2),
    ("Ruth displaced", "APPT_CANCELLED_BY_PROVIDER", 2),
    ("Tom displaced", "APPT_CANCELLED_BY_PROVIDER", 2),
    ("Ruth rebooked", "BOOKED", 2),
    ("Tom rebooked", "BOOKED", 2),
    ("advice asked", None, 2),
    ("advice converted", "TRIAGED_PROVIDER_TO_ACTION", 3),
    ("booked by the clinic", "BOOKED", 3),
    ("cancelled", "CANCELLED_REFERRAL", 2),
]


def test_the_journey_goes_through_the_states_and_the_waiting_list_adds_up(
    client: httpx.Client,
) -> None:
    told: list[str] = []
    steps = Journey(str(client.base_url).rstrip("/"), told.append).play()
    assert steps == STORY
    refusals = [line for line in told if line.startswith("  4")]
    assert len(refusals) == 1, refusals
    assert any("INAPPROPRIATE_SLOT" in line for line in told)
    assert not [line for line in told if line.startswith("  5")]
