"""Many clients, several processes, vanishing clients and killed processes: one winner a slot, no 5xx.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

import pytest

from tools.booking_race.arena import Plan
from tools.booking_race.routes import MIXED, ROUTES
from tools.booking_race.run import run

ROUNDS = len(ROUTES) + 1


@pytest.mark.slow
@pytest.mark.rule(354, "appointment.html")
@pytest.mark.parametrize(("kind", "workers"), [("sqlite", 1), ("sqlite", 2), ("postgresql", 4)])
def test_one_client_wins_whatever_the_route(kind, workers, database_of):
    plans = [
        Plan(2, 2 * ROUNDS, seed=3),
        Plan(16, ROUNDS, vanishing=0.1, seed=4),
        Plan(64, 3, routes=("POST", "$book", MIXED), seed=5),
    ]
    outcome = run(database_of(kind), plans, workers)
    assert outcome.faults == []
    assert outcome.counts["5xx"] == 0
    assert outcome.counts["double bookings"] == 0
    assert outcome.counts["rounds"] == 3 * ROUNDS + 3


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_one_client_wins_while_processes_are_killed(kind, database_of):
    plan = Plan(8, 2 * ROUNDS, vanishing=0.1, kills=0.2, seed=6)
    outcome = run(database_of(kind), [plan], 2)
    assert outcome.faults == []
    assert outcome.counts["processes killed"] > 0
