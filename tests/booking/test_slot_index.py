"""What a booking writes of a slot's index is what the slot, as it then is, calls for.

https://hl7.org/fhir/R4/slot.html#search
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fhir_server.interactions.call import Conditions, Context, Create, Update
from fhir_server.interactions.perform import execute
from fhir_server.interactions.write import index
from fhir_server.search.custom import Catalogue, Custom, definitions
from fhir_server.server import context_of
from fhir_server.settings import Settings
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import Store
from fhir_server.store.open import open_store

NARRATIVE = {
    "status": "generated",
    "div": '<div xmlns="http://www.w3.org/1999/xhtml">It is free</div>',
}
SLOT = {
    "resourceType": "Slot",
    "id": "slot",
    "schedule": {"reference": "Schedule/one"},
    "serviceType": [{"coding": [{"system": "http://x", "code": item}]} for item in ("a", "free")],
    "status": "free",
    "start": "2035-03-19T09:00:00Z",
    "end": "2035-03-19T09:20:00Z",
}
APPOINTMENT = {
    "resourceType": "Appointment",
    "status": "booked",
    "start": SLOT["start"],
    "end": SLOT["end"],
    "slot": [{"reference": "Slot/slot"}],
    "participant": [{"actor": {"display": "Somebody"}, "status": "accepted"}],
}


@pytest.fixture(params=["memory", "sqlite"])
def store(request: pytest.FixtureRequest, tmp_path: object) -> Iterator[Store]:
    memory = request.param == "memory"
    made = open_store("memory://" if memory else f"sqlite:///{tmp_path}/fhir.sqlite")
    yield made
    made.close()


def defining(expression: str) -> Catalogue:
    """A deployment with a parameter of its own."""
    definition = {
        "resourceType": "SearchParameter",
        "url": "http://example.org/SearchParameter/state",
        "status": "active",
        "code": "state",
        "base": ["Slot"],
        "type": "token",
        "expression": expression,
    }
    customs = [replace(item, number=1_000_000) for item in definitions(definition)]
    return Catalogue(tuple(Custom(item, "ready") for item in customs))


@pytest.mark.parametrize(
    ("settings", "expression", "elements"),
    [
        ({}, None, {}),
        ({}, "Slot.serviceType", {}),
        ({}, "Slot.status", {}),
        ({}, "Slot.serviceType.where(%resource.status = 'free')", {}),
        ({}, None, {"text": NARRATIVE}),
        ({"content_search": True}, None, {}),
    ],
)
def test_the_index_follows_the_status_that_a_booking_and_its_end_give_to_a_slot(
    store: Store, settings: dict, expression: str | None, elements: dict
) -> None:
    context = context_of(Settings(**settings), store)
    if expression is not None:
        context = replace(context, catalogue=lambda: defining(expression))
    slot = SLOT | elements
    execute(Update("Slot", "slot", slot, Conditions()), context, store)
    _check(store, context, "free")
    booked = execute(Create("Appointment", APPOINTMENT), context, store)
    _check(store, context, "busy")
    appointment = parse(booked.body) | {"status": "cancelled"}
    update = Update("Appointment", appointment["id"], appointment, Conditions())
    execute(update, context, store)
    _check(store, context, "free")


def _check(store: Store, context: Context, status: str) -> None:
    with store.read() as view:
        version = view.current("Slot", "slot")
        assert version is not None
        slot = parse(version.body)
        assert slot["status"] == status
        assert view.index_difference(version.key, index(slot, context)) == (0, 0)
