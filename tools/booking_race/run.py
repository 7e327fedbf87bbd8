"""A race from beginning to end: the server, the rounds, and what the database holds afterwards."""

from __future__ import annotations

from collections import Counter

import uvloop

from fhir_server.booking import facts, statuses
from fhir_server.booking.checking import faults
from fhir_server.server import context_of, store_of
from fhir_server.settings import Settings
from fhir_server.spec.json_format import parse
from tools.booking_race.arena import Arena, Outcome, Plan
from tools.booking_race.routes import MARKING, MIXED
from tools.serving import ServerProcess


def run(database: str, plans: list[Plan], workers: int) -> Outcome:
    """Run the plans one after the other on a server of its own; faults are in the outcome."""
    outcome = Outcome()
    settings = {
        "FHIR_MAXIMUM_IN_FLIGHT": "2048",
        "FHIR_MAXIMUM_HOLDS": "1000000",
        "FHIR_LOCK_TIMEOUT": "20",
        "FHIR_SEARCH_TIMEOUT": "30",
        "FHIR_HOLD_SECONDS": "900",
    }
    with ServerProcess(database, workers=workers, settings=settings) as server:
        for plan in plans:
            uvloop.run(Arena(server, plan, outcome).run())
    inspect(database, outcome)
    return outcome


def inspect(database: str, outcome: Outcome) -> None:
    """Count the live appointments of every slot that was raced for, and check the claims from the resources."""
    settings = Settings(database=database)
    store = store_of(settings)
    try:
        context = context_of(settings, store)
        live: Counter[str] = Counter()
        after = 0
        while keys := store.keys("Appointment", after=after, limit=500):
            with store.read() as transaction:
                for version in transaction.by_key(keys).values():
                    appointment = parse(version.body)
                    if statuses.is_live(appointment):
                        live.update(facts.slots_of(appointment, context).keys())
            after = keys[-1]
        for slot_id, (name, winners, survivors) in outcome.slots.items():
            if live[slot_id] > 1:
                outcome.counts["double bookings"] += 1
                outcome.faults.append(f"{name}: {live[slot_id]} live appointments of {slot_id}")
            if winners and not live[slot_id]:
                outcome.faults.append(f"{name}: the winner of {slot_id} is gone")
            # Who marked the slot as busy and vanished before booking has it still: that is what was asked for.
            marked = name in (MARKING, MIXED)
            if survivors and not live[slot_id] and not marked:
                outcome.faults.append(
                    f"{name}: {survivors} had an answer, but nobody has {slot_id}"
                )
        outcome.faults += [f"check: {sentence}" for sentence in faults(store, context)]
        outcome.counts["slots checked"] += len(outcome.slots)
    finally:
        store.close()
