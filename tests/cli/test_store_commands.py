"""fhir-server migrate, check-store and capability."""

import json
import re

import apsw
import psycopg
import pytest
from sqlalchemy import create_engine, text
from typer.testing import CliRunner

from fhir_server.cli import application
from fhir_server.spec.definitions import resource_types
from fhir_server.spec.published import own_definitions
from fhir_server.store.schema import INDEX_COLUMNS

UNIQUE = "https://example.org/unique"


@pytest.fixture
def filled(run, tmp_path, monkeypatch):
    """The database with resources that have rows in every index table."""
    monkeypatch.setenv("FHIR_UNIQUE_IDENTIFIERS", f"Patient|{UNIQUE}")
    resources = [
        {
            "resourceType": "Patient",
            "id": "a",
            "text": {
                "status": "generated",
                "div": '<div xmlns="http://www.w3.org/1999/xhtml">Jones</div>',
            },
            "identifier": [{"system": UNIQUE, "value": "1"}],
            "active": True,
            "name": [{"family": "Jones"}],
            "birthDate": "1984-02-29",
            "generalPractitioner": [{"reference": "Practitioner/x"}],
        },
        {
            "resourceType": "Observation",
            "id": "b",
            "status": "final",
            "code": {"text": "weight"},
            "valueQuantity": {"value": 70.5, "unit": "kg"},
        },
        {
            "resourceType": "RiskAssessment",
            "id": "c",
            "status": "final",
            "subject": {"reference": "Patient/a"},
            "prediction": [{"probabilityDecimal": 0.5}],
        },
        {"resourceType": "Questionnaire", "id": "d", "status": "draft", "url": "http://x.org/q"},
        {
            "resourceType": "Location",
            "id": "e",
            "position": {"longitude": -0.1, "latitude": 51.5},
        },
        {
            "resourceType": "Slot",
            "id": "f",
            "schedule": {"reference": "Schedule/s"},
            "status": "free",
            "start": "2026-03-02T09:00:00Z",
            "end": "2026-03-02T09:20:00Z",
        },
    ]
    file = tmp_path / "filled.ndjson"
    file.write_text("\n".join(map(json.dumps, resources)))
    assert run("load", file).exit_code == 0


def change(database, statement):
    """Damage the database behind the server's back."""
    engine = create_engine(database)
    with engine.begin() as connection:
        rows = connection.execute(text(statement)).rowcount
    engine.dispose()
    assert rows > 0, statement


def test_a_sound_store_has_no_differences(run, filled):
    done = run("check-store")
    checked = 6 + len(own_definitions())
    assert done.exit_code == 0
    assert done.stdout == f"{checked} resources checked, 0 with differences\n"
    assert done.stderr == ""


def told(done):
    """What check-store says: resource -> (rows missing, rows too many)."""
    lines = re.findall(r"(\S+): (\d+) index rows missing, (\d+) too many\n", done.stderr)
    return {identity: (int(missing), int(surplus)) for identity, missing, surplus in lines}


def test_a_row_that_is_missing_is_found_in_every_index_table(run, filled, database):
    chosen = "ctid" if database.startswith("postgresql") else "key, parameter"
    before = 0
    for table in sorted(INDEX_COLUMNS):
        one = f"SELECT {chosen} FROM {table} LIMIT 1"
        change(database, f"DELETE FROM {table} WHERE ({chosen}) = ({one})")
        done = run("check-store")
        assert done.exit_code == 1
        missing = sum(missing for missing, _ in told(done).values())
        assert missing > before, table
        before = missing
        others = done.stderr.count("full-text index")
        assert others == (table == "words" and database.startswith("sqlite"))
        assert f"{len(told(done)) + others} with differences\n" in done.stdout


@pytest.mark.parametrize(
    "damage",
    [
        "INSERT INTO words_found (words_found, rowid, listed) SELECT 'delete', key, listed FROM words",
        "INSERT INTO words_found (rowid, listed) VALUES (999999, 'x')",
    ],
)
def test_words_that_are_not_as_they_are_indexed_are_found_and_mended(run, filled, database, damage):
    if not database.startswith("sqlite"):
        pytest.skip("PostgreSQL keeps its indexes by itself")
    connection = apsw.Connection(database.removeprefix("sqlite:///"))
    connection.execute(damage)
    connection.close()
    done = run("check-store")
    assert done.exit_code == 1
    assert "reindex makes it anew" in done.stderr
    assert run("reindex").exit_code == 0
    assert (done := run("check-store")).exit_code == 0, done.stderr


def test_a_row_that_was_changed_is_found_and_its_resource_named(run, filled, database):
    patient = "(SELECT key FROM resource WHERE logical_id = 'a')"
    one = "(SELECT MIN(parameter) FROM string WHERE value = 'Jones')"
    for number, damage in enumerate(
        [
            f"UPDATE string SET value = 'Smith' WHERE value = 'Jones' AND parameter = {one}",
            f"UPDATE reference SET target_id = 'y' WHERE target_id = 'x' AND key = {patient}",
            f"UPDATE date SET low = low + 1 WHERE key = {patient}",
            f"UPDATE token SET code = 'false' WHERE code = 'true' AND key = {patient}",
        ],
        1,
    ):
        change(database, damage)
        done = run("check-store")
        assert (done.exit_code, told(done)) == (1, {"Patient/a": (number, number)})


def test_rows_of_a_deleted_resource_are_found(run, filled, database):
    change(database, "UPDATE resource SET deleted = 1 WHERE logical_id = 'c'")
    done = run("check-store")
    assert done.exit_code == 1
    assert done.stderr.startswith("RiskAssessment/c: 0 index rows missing, ")


def test_rows_of_what_never_was_are_found(run, filled, database):
    change(
        database,
        "INSERT INTO uri (parameter, value, key, version) VALUES (1, 'http://x.org', 999999, '')",
    )
    done = run("check-store")
    assert done.exit_code == 1
    assert done.stderr == "unknown/999999: 0 index rows missing, 1 too many\n"


def test_migrate_makes_the_schema_and_can_be_repeated(run, database):
    for _ in range(2):
        done = run("migrate")
        assert (done.exit_code, done.stdout) == (0, "The schema is up to date\n")
    assert run("check-store").stdout == "0 resources checked, 0 with differences\n"


@pytest.mark.parametrize("name", ["migrate", "check-store"])
def test_a_schema_that_is_newer_is_refused(run, database, name):
    run("migrate")
    change(database, "UPDATE alembic_version SET version_num = '9999'")
    done = run(name)
    assert done.exit_code == 3
    assert "newer" in done.stderr


def test_a_database_that_forgets_is_refused(run, database):
    if not database.startswith("postgresql"):
        pytest.skip("only PostgreSQL can be set so")
    plain = database.replace("+psycopg", "")
    with psycopg.connect(plain, autocommit=True) as connection:
        name = connection.info.dbname
        connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = off")
    done = run("migrate")
    assert done.exit_code == 3
    assert "synchronous_commit" in done.stderr


def test_capability_prints_the_statement():
    done = CliRunner().invoke(application, ["capability", "--base-url", "https://a.example/fhir"])
    statement = json.loads(done.stdout)
    assert done.exit_code == 0
    assert statement["implementation"]["url"] == "https://a.example/fhir"
    assert len(statement["rest"][0]["resource"]) == len(resource_types())


REFERRAL = {
    "resourceType": "ServiceRequest",
    "id": "r",
    "status": "active",
    "intent": "order",
    "identifier": [{"system": "https://fhir.nhs.uk/Id/UBRN", "value": "000000000018"}],
    "subject": {"display": "Somebody"},
}


def test_a_referral_that_is_loaded_after_its_appointment_has_the_state_that_follows(run, tmp_path):
    appointment = {
        "resourceType": "Appointment",
        "status": "booked",
        "start": "2026-03-02T09:00:00Z",
        "end": "2026-03-02T09:20:00Z",
        "basedOn": [{"reference": "ServiceRequest/r"}],
        "participant": [{"actor": {"display": "Somebody"}, "status": "accepted"}],
    }
    file = tmp_path / "late.ndjson"
    file.write_text("\n".join(map(json.dumps, [appointment | {"id": "a"}, REFERRAL])))
    assert run("load", file).exit_code == 0
    done = run("check-store")
    assert (done.exit_code, done.stderr) == (0, "")


def test_a_referral_in_a_state_that_does_not_follow_is_found(run, tmp_path, database):
    file = tmp_path / "referral.json"
    file.write_text(json.dumps(REFERRAL))
    assert run("load", file).exit_code == 0
    assert run("check-store").exit_code == 0
    body = (
        "convert_to(replace(convert_from(body, 'UTF8'), 'NOT_BOOKED', 'BOOKED'), 'UTF8')"
        if database.startswith("postgresql")
        else "CAST(replace(CAST(body AS TEXT), 'NOT_BOOKED', 'BOOKED') AS BLOB)"
    )
    change(database, f"UPDATE version SET body = {body} WHERE logical_id = 'r'")
    done = run("check-store")
    assert done.exit_code == 1
    assert "ServiceRequest/r carries the state BOOKED, but NOT_BOOKED follows\n" in done.stderr
