"""A database from before the claims gets them from its appointments (https://hl7.org/fhir/R4/appointment.html)."""

from __future__ import annotations

import itertools

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from booking_clinic import CAPACITY

from fhir_server.booking.checking import faults
from fhir_server.interactions.call import Conditions, Context, Policy, Update
from fhir_server.interactions.perform import execute
from fhir_server.store import migrating
from fhir_server.store.open import open_store
from fhir_server.store.schema import HEAD


def slot(name, status, **more):
    return {"resourceType": "Slot", "id": name, "schedule": {"reference": "Schedule/s"}, "status": status,
            "start": "2040-01-01T09:00:00Z", "end": "2040-01-01T09:20:00Z"} | more  # fmt: skip


def appointment(name, status, *slots):
    return {"resourceType": "Appointment", "id": name, "status": status,
            "start": "2040-01-01T09:00:00Z", "end": "2040-01-01T09:20:00Z",
            "slot": [{"reference": f"Slot/{item}"} for item in slots],
            "participant": [{"actor": {"display": "x"}, "status": "accepted"}]}  # fmt: skip


WIDE = [{"url": CAPACITY, "valuePositiveInt": 2}]
OLD = [
    slot("booked", "busy"),
    slot("pending", "busy-tentative"),
    slot("marked", "busy"),
    slot("free", "free"),
    slot("closed", "busy-unavailable"),
    slot("wide", "busy", extension=WIDE),
    appointment("a", "booked", "booked"),
    appointment("b", "pending", "pending"),
    appointment("c", "cancelled", "free"),
    appointment("d", "fulfilled", "wide"),
    appointment("e", "arrived", "wide"),
]


@pytest.fixture
def old_database(new_database):
    """A database of the revision before with resources in it, as a server without rules wrote them."""
    url = new_database()
    store = open_store(url)
    numbers = itertools.count()
    context = Context(Policy(), lambda: 1_900_000_000_000_000, lambda: f"n{next(numbers)}")
    for resource in OLD:
        call = Update(resource["resourceType"], resource["id"], resource, Conditions())
        execute(call, context, store)
    store.close()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sa.text("DROP TABLE slot_claim"))
        connection.execute(sa.text("DROP TABLE reply"))
        connection.execute(sa.text("DROP TABLE words"))
        connection.execute(sa.text("DROP TABLE IF EXISTS words_found"))
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0002'"))
    engine.dispose()
    return url, context


def test_claims_are_made_from_what_is_stored(old_database):
    url, context = old_database
    store = open_store(url)
    try:
        assert list(faults(store, context)) == []
        with store.read() as transaction:
            claims = transaction.claims.everything(("", -1), 100)
        assert {(item.slot_id, item.kind, item.appointment_id) for item in claims} == {
            ("booked", "booked", "a"),
            ("pending", "held", "b"),
            ("marked", "blocked", ""),
            ("wide", "booked", "d"),
            ("wide", "booked", "e"),
        }
    finally:
        store.close()


def test_the_newest_revision_is_the_one_that_a_second_start_expects():
    config = Config()
    config.set_main_option("script_location", str(migrating._MIGRATIONS))
    script = command.ScriptDirectory.from_config(config)
    assert script.get_current_head() == HEAD
