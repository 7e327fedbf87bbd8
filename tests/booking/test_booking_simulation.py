"""Whatever the order in which the steps of three clients come, no seat is had twice and nobody waits in a circle.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

import pytest

from tools.booking_simulation.explore import explore
from tools.booking_simulation.model import SteppedClaims, SteppedTransaction
from tools.booking_simulation.scenarios import SCENARIOS


@pytest.mark.rule(354, "appointment.html")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_every_order_of_steps_ends_well(scenario):
    done, faults = explore(scenario, limit=150, preemptions=2, randoms=50)
    assert done == 200
    assert faults == []


def unlocked(self, identities):
    return None


def seen(limit=400):
    """The faults, scenario by scenario, for as long as they are asked for."""
    for scenario in SCENARIOS:
        yield from explore(scenario, limit=limit, preemptions=2, randoms=50)[1]


def test_without_the_locks_an_order_that_ends_badly_is_found(monkeypatch):
    monkeypatch.setattr(SteppedTransaction, "lock", unlocked)
    assert any(seen())


def test_without_locks_and_without_the_key_a_slot_is_booked_twice(monkeypatch):
    def take(self, claim):
        self.client.step()
        self.changed[claim.slot_id, claim.seat] = claim
        return True

    monkeypatch.setattr(SteppedTransaction, "lock", unlocked)
    monkeypatch.setattr(SteppedClaims, "take", take)
    assert any("clients won" in fault for fault in seen())


def test_locks_in_the_order_of_the_request_end_in_a_circle(monkeypatch):
    def lock(self, identities):
        # Every other client begins at the other end.
        backwards = self.client.name.endswith(("1", "3"))
        for identity in sorted(identities, reverse=backwards):
            self.client.step()
            self.client.acquire(("advisory", identity))

    monkeypatch.setattr(SteppedTransaction, "lock", lock)
    assert any("deadlock" in fault for fault in seen())
