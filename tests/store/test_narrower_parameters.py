"""What a narrower parameter finds, the wider one finds too, on every store and after the migration.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
import sqlalchemy as sa
from wording import asked, filled, indexed, is_sound, resource, store_all

from fhir_server.search.parameters import IDENTIFIER, TEXT, parameter
from fhir_server.store.contract import Link, Reference, Store
from fhir_server.store.open import open_store
from fhir_server.store.rows import rows, type_numbers

ANN = {
    "reference": "Patient/p",
    "display": "Ann",
    "identifier": {"system": "urn:nhs", "value": "7"},
}
BODIES = [
    resource("Patient", "p", name=[{"family": "Knight"}]),
    resource("Group", "p"),
    resource("Practitioner", "p", name=[{"family": "Day"}]),
    resource("ServiceRequest", "1", status="active", subject=ANN),
    resource("ServiceRequest", "2", status="active", subject={"reference": "Group/p"}),
    resource("ServiceRequest", "3", status="active", subject={"identifier": {"value": "7"}}),
    resource("ServiceRequest", "4", status="active", subject={"display": "Anna of Group 4"}),
    resource("ServiceRequest", "5", status="active"),
    resource("ServiceRequest", "6", subject={"reference": "Patient/p/_history/1"}),
    resource(
        "Appointment",
        "7",
        participant=[{"actor": ANN}, {"actor": {"reference": "Practitioner/p", "display": "Day"}}],
    ),
    resource("Appointment", "8", participant=[{"actor": {"reference": "Device/p"}}]),
]

SEARCHES = [
    ("ServiceRequest", ("subject", "Patient/p"), ["1", "6"]),
    ("ServiceRequest", ("subject", "p"), ["1", "2", "6"]),
    ("ServiceRequest", ("subject", "Group/p"), ["2"]),
    ("ServiceRequest", ("subject", "Group/p,Patient/p"), ["1", "2", "6"]),
    ("ServiceRequest", ("subject:Patient", "p"), ["1", "6"]),
    ("ServiceRequest", ("patient", "p"), ["1", "6"]),
    ("ServiceRequest", ("_filter", "not (subject re Patient/p)"), ["2", "3", "4", "5"]),
    ("ServiceRequest", ("subject:missing", "true"), ["5"]),
    ("ServiceRequest", ("subject:missing", "false"), ["1", "2", "3", "4", "6"]),
    ("ServiceRequest", ("patient:missing", "true"), ["2", "3", "4", "5"]),
    ("ServiceRequest", ("subject:identifier", "7"), ["1", "3"]),
    ("ServiceRequest", ("subject:identifier", "urn:nhs|7"), ["1"]),
    ("ServiceRequest", ("patient:identifier", "7"), ["1", "3"]),
    ("ServiceRequest", ("subject:text", "ann"), ["1", "4"]),
    ("ServiceRequest", ("patient:text", "ann"), ["1"]),
    ("ServiceRequest", ("subject:Patient.family", "knight"), ["1", "6"]),
    ("ServiceRequest", ("subject.family", "knight"), ["1", "6"]),
    ("Patient", ("_has:ServiceRequest:subject:status", "active"), ["p"]),
    ("Patient", ("_has:ServiceRequest:patient:status", "active"), ["p"]),
    ("Group", ("_has:ServiceRequest:subject:status", "active"), ["p"]),
    ("Appointment", ("actor", "p"), ["7", "8"]),
    ("Appointment", ("actor", "Practitioner/p"), ["7"]),
    ("Appointment", ("actor", "Practitioner/p,Device/p"), ["7", "8"]),
    ("Appointment", ("actor:text", "day"), ["7"]),
    ("Appointment", ("actor:Practitioner.family", "day"), ["7"]),
    ("Appointment", ("practitioner.family", "day"), ["7"]),
]


def number(resource_type: str, code: str) -> int:
    found = parameter(resource_type, code)
    assert found is not None
    return found.number


SUBJECT, PATIENT = number("ServiceRequest", "subject"), number("ServiceRequest", "patient")


def finds_everything(store: Store) -> None:
    for kind, query, wanted in SEARCHES:
        assert asked(store, (kind,), query) == wanted, query
        # Tested one by one as well, and not only looked up.
        assert asked(store, (kind,), ("_id", ",".join([*wanted, "5"])), query) == wanted, query


def test_a_search_by_the_wider_parameter_finds_what_the_narrower_has(store: Store) -> None:
    store_all(store, *BODIES)
    finds_everything(store)


def test_references_are_told_by_the_parameters_that_were_asked_for(store: Store) -> None:
    store_all(store, *BODIES)
    with store.read() as view:
        patient = view.current("Patient", "p")
        keys = {
            item["id"]: found.key
            for item in BODIES
            if item["resourceType"] == "ServiceRequest"
            and (found := view.current("ServiceRequest", item["id"]))
        }
        for numbers in ((SUBJECT,), (PATIENT,), (SUBJECT, PATIENT)):
            links = [Link(keys["1"], item, "Patient", "p", "") for item in sorted(numbers)]
            assert sorted(view.links_from([keys["1"]], numbers)) == sorted(links)
            assert view.links_to([("Patient", "p")], numbers, 10)[: len(links)] == sorted(links)
            told = {Reference(item, "Patient", "p", "") for item in numbers}
            assert set(view.references([keys["1"]], numbers)) == told
            (source,) = [view.by_key([keys["1"]])[keys["1"]]]
            assert view.referred([source], numbers) == dict.fromkeys(told, patient)
        group = Link(keys["2"], SUBJECT, "Group", "p", "")
        assert view.links_from([keys["2"]], (SUBJECT, PATIENT)) == [group]


def test_a_change_of_what_is_referred_to_leaves_no_row_behind(store: Store) -> None:
    store_all(store, *BODIES)
    for subject in ({"reference": "Group/p", "display": "Ann"}, ANN, {"reference": "Group/p"}):
        store_all(store, resource("ServiceRequest", "1", status="active", subject=subject))
        is_typed = subject is ANN
        assert ("1" in asked(store, ("ServiceRequest",), ("subject", "Patient/p"))) == is_typed
        assert ("1" in asked(store, ("ServiceRequest",), ("subject", "Group/p"))) != is_typed
        assert "1" in asked(store, ("ServiceRequest",), ("subject:missing", "false"))


def test_a_reference_has_one_row_for_what_both_parameters_find() -> None:
    made = rows(indexed(BODIES[3]), 1)
    assert made["reference"] == {(PATIENT, "p", 1, type_numbers()["Patient"], "", "")}
    assert {row[0] for row in made["string"]} == {PATIENT + TEXT}
    assert PATIENT + IDENTIFIER in {row[0] for row in made["token"]}
    assert SUBJECT + IDENTIFIER not in {row[0] for row in made["token"]}


@pytest.fixture
def old_database(new_database: Callable[[], str]) -> str:
    """A database of the revision before, which has the rows of both parameters."""
    url = new_database()
    engine = filled(url, *BODIES)
    actor = number("Appointment", "actor")
    wider = {PATIENT: SUBJECT}
    wider |= {number("Appointment", code): actor for code in ("patient", "practitioner")}
    columns = {
        "reference": "target_id, key, target_type, url, version",
        "token": "code, key, system",
        "string": "folded, key, value",
    }
    offsets = {"reference": 0, "token": IDENTIFIER, "string": TEXT}
    with engine.begin() as connection:
        for table, listed in columns.items():
            for narrow, wide in wider.items():
                numbers = {"wide": wide + offsets[table], "narrow": narrow + offsets[table]}
                text = (
                    f"INSERT INTO {table} (parameter, {listed})"
                    f" SELECT CAST(:wide AS INTEGER), {listed} FROM {table} WHERE parameter = :narrow"
                )
                connection.execute(sa.text(text), numbers)
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0005'"))
    engine.dispose()
    return url


def count(url: str) -> int:
    engine = sa.create_engine(url)
    with engine.connect() as connection:
        found: int = connection.execute(sa.text("SELECT COUNT(*) FROM reference")).scalar_one()
    engine.dispose()
    return found


def test_the_rows_that_were_there_twice_are_taken_out_by_the_migration(old_database: str) -> None:
    before = count(old_database)
    store = open_store(old_database)
    try:
        finds_everything(store)
        is_sound(store, *BODIES)
    finally:
        store.close()
    assert count(old_database) == before - 4
