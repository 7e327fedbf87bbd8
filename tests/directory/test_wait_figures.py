"""The waits of a service are the same whether it is looked at with others or alone.

https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from service_directory import PRIORITY, instant

from fhir_server.directory.wait_figures import figures
from fhir_server.interactions.call import Conditions, Context, Policy, Update
from fhir_server.interactions.perform import perform
from fhir_server.store.open import open_store

NOW = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)
SERVICES = 12


def _resources() -> list[dict[str, Any]]:
    chance = random.Random(20)
    ids = count()
    made: list[dict[str, Any]] = []

    def add(kind: str, logical_id: object, **elements: Any) -> None:
        made.append({"resourceType": kind, "id": f"{logical_id}", **elements})

    for number in range(SERVICES):
        add("HealthcareService", number, active=True)
    # The last two have no clinic; some have two, and some clinics have two services.
    for clinic in range(SERVICES):
        named = {clinic % (SERVICES - 2), chance.randrange(SERVICES - 2)}
        actors = [{"reference": f"HealthcareService/{item}"} for item in sorted(named)]
        add("Schedule", clinic, actor=actors)
        base = "http://localhost:8000/fhir/" if clinic % 4 == 0 else ""
        earliest, latest = chance.choice(((-1, 5), (-1, 20), (9, 20), (9, 60)))
        for _ in range(chance.choice((0, 3, 30))):
            start = NOW + timedelta(minutes=chance.randrange(earliest * 1440, latest * 1440))
            code = chance.choice(("ROUTINE", "URGENT", "TWO_WEEK_WAIT", "URGENT"))
            add(
                "Slot",
                next(ids),
                schedule={"reference": f"{base}Schedule/{clinic}"},
                status=chance.choice(("free", "free", "free", "busy-unavailable")),
                appointmentType={"coding": [{"system": PRIORITY, "code": code}]},
                start=instant(start),
                end=instant(start + timedelta(minutes=20)),
            )
    for _ in range(60):
        number = next(ids)
        start = NOW + timedelta(days=chance.randrange(-100, 30))
        service = chance.randrange(1, SERVICES)
        actor = {"reference": f"HealthcareService/{service}"}
        add(
            "ServiceRequest",
            number,
            status="active",
            intent="order",
            subject={"reference": "Patient/1"},
            authoredOn=instant(start - timedelta(days=chance.randrange(-5, 90))),
        )
        add(
            "Appointment",
            number,
            status=chance.choice(("booked", "fulfilled", "cancelled")),
            basedOn=[{"reference": f"ServiceRequest/{number}"}],
            start=instant(start),
            end=instant(start + timedelta(minutes=20)),
            participant=[{"actor": actor, "status": "accepted"}],
        )
    return made


def test_services_have_the_same_figures_together_and_alone(
    new_database: Callable[[], str],
) -> None:
    store = open_store(new_database())
    context = Context(Policy(), lambda: int(NOW.timestamp() * 1_000_000), lambda: "x")

    def fill(transaction: Any) -> None:
        for resource in _resources():
            call = Update(resource["resourceType"], resource["id"], resource, Conditions())
            perform(call, context, transaction)

    ids = [f"{number}" for number in range(SERVICES)]
    try:
        store.write(fill)
        with store.read() as transaction:
            together = figures(ids, context, transaction)
            # Halved until they are alone, and then counted by the database.
            for most in (0, 20, 100):
                assert figures(ids, context, transaction, most) == together
    finally:
        store.close()
    shown = [found for found in together.values() if found is not None]
    assert len(shown) >= SERVICES - 2
    assert {found.alert for found in shown} == {"LIMITED", "NORMAL", "AVAILABLE"}
    assert len({len(found.first_free) for found in shown}) > 1
    assert any(found.sample > 3 for found in shown)
