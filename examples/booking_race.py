"""Sixteen people want the same slot: one gets it, fifteen are told so, and nobody sees an error.

Start a server (`make serve`) and run: python examples/booking_race.py http://127.0.0.1:8000/fhir
"""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

Json = dict[str, Any]
PEOPLE = 16


def free_slot() -> Json:
    """Tomorrow at this hour, twenty minutes."""
    start = (datetime.now(UTC) + timedelta(days=1)).replace(minute=0, second=0, microsecond=0)
    return {
        "resourceType": "Slot",
        "id": str(uuid.uuid4()),
        "schedule": {"display": "Cardiology clinic"},
        "status": "free",
        "start": start.isoformat(),
        "end": (start + timedelta(minutes=20)).isoformat(),
    }


def appointment(slot: Json, person: int) -> Json:
    """What each of them sends."""
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "start": slot["start"],
        "end": slot["end"],
        "slot": [{"reference": f"Slot/{slot['id']}"}],
        "participant": [{"actor": {"display": f"Person {person}"}, "status": "accepted"}],
    }


async def race(base: str) -> Counter[int]:
    """How often each status was answered."""
    headers = {"Content-Type": "application/fhir+json"}
    async with httpx.AsyncClient(base_url=f"{base}/", headers=headers, timeout=30) as client:
        slot = free_slot()
        (await client.put(f"Slot/{slot['id']}", json=slot)).raise_for_status()
        answers = await asyncio.gather(
            *(client.post("Appointment", json=appointment(slot, n)) for n in range(PEOPLE))
        )
        loser = next(answer for answer in answers if answer.status_code == 409)
        issue = loser.json()["issue"][0]
        winners = await client.get("Appointment", params={"slot": f"Slot/{slot['id']}"})
        after = (await client.get(f"Slot/{slot['id']}")).json()
    print(f"A loser is told: {issue['details']['coding'][-1]['code']}: {issue['diagnostics']}")
    print(f"The slot is {after['status']} and has {winners.json()['total']} appointment")
    return Counter(answer.status_code for answer in answers)


def main(arguments: list[str]) -> int:
    """Print what happened; exit status 1 when it was not exactly one who won."""
    base = arguments[0] if arguments else "http://127.0.0.1:8000/fhir"
    statuses = asyncio.run(race(base.rstrip("/")))
    for status, count in sorted(statuses.items()):
        print(f"{status}: {count}")
    return 0 if statuses == {201: 1, 409: PEOPLE - 1} else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
