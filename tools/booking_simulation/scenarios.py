"""Three clients that want what only some of them can have, and what must be true whoever comes when.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from fhir_server.booking.checking import faults
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.rules import BookingRules
from fhir_server.interactions.call import Call, Conditions, Context, Create, Policy, Update
from fhir_server.interactions.perform import execute, perform
from fhir_server.spec.errors import FhirError
from fhir_server.store.claims import Claim
from fhir_server.store.contract import Transaction
from fhir_server.store.memory import MemoryStore
from tools.booking_simulation.model import Client

Json = dict[str, Any]
NOW = 1_900_000_000_000_000
_NONE = Conditions()


def context_of() -> Context:
    """A context whose clock stands still and whose ids count."""
    numbers = itertools.count(1)
    rules = BookingRules(BookingPolicy())
    return Context(Policy(), lambda: NOW, lambda: f"new-{next(numbers)}", rules=rules)


def slot(logical_id: str, capacity: int = 1, place: int = 0) -> Json:
    """A free slot; place counts the slots of the day."""
    made: Json = {
        "resourceType": "Slot",
        "id": logical_id,
        "schedule": {"reference": "Schedule/s"},
        "status": "free",
        "start": f"2040-01-01T{9 + place:02}:00:00Z",
        "end": f"2040-01-01T{10 + place:02}:00:00Z",
    }
    if capacity > 1:
        url = "https://fhir-server.example.org/StructureDefinition/slot-capacity"
        made["extension"] = [{"url": url, "valuePositiveInt": capacity}]
    return made


def appointment(*slots: Json, **elements: Any) -> Json:
    """Booked, in those slots."""
    return {
        "resourceType": "Appointment",
        "status": "booked",
        "start": slots[0]["start"],
        "end": slots[-1]["end"],
        "slot": [{"reference": f"Slot/{item['id']}"} for item in slots],
        "participant": [{"actor": {"display": "Somebody"}, "status": "accepted"}],
    } | elements


def put(resource: Json) -> Update:
    """An update."""
    return Update(resource["resourceType"], resource["id"], resource, _NONE)


def post(resource: Json) -> Create:
    """A create."""
    return Create(resource["resourceType"], resource)


@dataclass(frozen=True, slots=True)
class Scenario:
    """What is there, what the clients do at once (each with a name as owner), and how many may win."""

    name: str
    before: Sequence[Json]
    calls: Sequence[tuple[str, Call]]
    winners: frozenset[int]
    prepare: Callable[[MemoryStore], None] = lambda _: None

    def start(self) -> tuple[MemoryStore, Context]:
        """A store with what is there before."""
        store, context = MemoryStore(), context_of()
        store.ledger.clock = lambda: NOW
        for resource in self.before:
            execute(put(resource), context, store)
        self.prepare(store)
        return store, context

    def works(self, context: Context) -> list[Callable[[Transaction], Any]]:
        """What each client does in its transaction."""
        return [partial(_work, call, replace(context, client=owner)) for owner, call in self.calls]

    def judge(self, store: MemoryStore, clients: Sequence[Client], context: Context) -> list[str]:
        """What is wrong at the end."""
        found = list(faults(store, context))
        won = 0
        for client in clients:
            if client.error is None:
                won += 1
            elif not (
                isinstance(client.error, FhirError) and client.error.status in (409, 412, 422)
            ):
                found.append(f"{client.name}: {client.error!r}")
        if won not in self.winners:
            found.append(f"{won} of {len(clients)} clients won; allowed are {sorted(self.winners)}")
        return found


def _work(call: Call, context: Context, transaction: Transaction) -> Any:
    return perform(call, context, transaction)


def _hold_expired(store: MemoryStore) -> None:
    for seat, claim in list(store.ledger.claims.items()):
        store.ledger.claims[seat] = replace(claim, expires_at=NOW - 1)


def _block(store: MemoryStore) -> None:
    store.ledger.claims["a", 0] = Claim("a", 0, "blocked", "one")


A, B, C = slot("a"), slot("b", place=1), slot("c", place=2)
WIDE = slot("a", capacity=2)
HELD = appointment(A, id="held", status="pending")
BOOKED_A, BOOKED_B = appointment(A, id="in-a"), appointment(B, id="in-b")

SCENARIOS: tuple[Scenario, ...] = (
    Scenario(
        "three for one slot",
        [A],
        [(owner, post(appointment(A))) for owner in ("one", "two", "three")],
        frozenset({1}),
    ),
    Scenario(
        "three for two seats",
        [WIDE],
        [(owner, post(appointment(WIDE))) for owner in ("one", "two", "three")],
        frozenset({2}),
    ),
    Scenario(
        "overlapping sets of slots",
        [A, B, C],
        [
            ("one", post(appointment(A, B))),
            ("two", post(appointment(B, C))),
            ("three", post(appointment(A, B, C))),
        ],
        frozenset({1}),
    ),
    Scenario(
        "a cancellation and two who wait for it",
        [A, BOOKED_A],
        [
            ("one", put(BOOKED_A | {"status": "cancelled"})),
            ("two", post(appointment(A))),
            ("three", post(appointment(A))),
        ],
        frozenset({1, 2}),
    ),
    Scenario(
        "two change places while a third wants in",
        [A, B, BOOKED_A, BOOKED_B],
        [
            ("one", put(appointment(B, id="in-a"))),
            ("two", put(appointment(A, id="in-b"))),
            ("three", post(appointment(A))),
        ],
        frozenset({0}),
    ),
    Scenario(
        "the clinic closes while two book",
        [A],
        [
            ("clinic", put(A | {"status": "busy-unavailable"})),
            ("two", post(appointment(A))),
            ("three", post(appointment(A))),
        ],
        frozenset({1}),
    ),
    Scenario(
        "an expired hold and three who want its slot",
        [A, HELD],
        [
            ("holder", put(HELD | {"status": "booked"})),
            ("two", post(appointment(A))),
            ("three", post(appointment(A))),
        ],
        frozenset({1}),
        _hold_expired,
    ),
    Scenario(
        "one marks the slot as busy, two others book",
        [A],
        [
            ("one", put(A | {"status": "busy"})),
            ("two", post(appointment(A))),
            ("three", post(appointment(A))),
        ],
        frozenset({1, 2}),
    ),
    Scenario(
        "one appointment is moved and cancelled at once",
        [A, B, BOOKED_A],
        [
            ("one", put(appointment(B, id="in-a"))),
            ("two", put(BOOKED_A | {"status": "cancelled"})),
            ("three", post(appointment(B))),
        ],
        frozenset({1, 2, 3}),
    ),
)
