"""`fhir-server load` is a door like any other, and `check-store` computes the claims again.

https://hl7.org/fhir/R4/slot.html
"""

from __future__ import annotations

import json
import sqlite3
import subprocess

import psycopg
import pytest

from tools.serving import ROOT, command

START, END = "2040-01-01T09:00:00Z", "2040-01-01T09:20:00Z"
PAST = {"start": "2020-01-01T09:00:00Z", "end": "2020-01-01T09:20:00Z"}


def slot(name, status="free", **more):
    return {"resourceType": "Slot", "id": name, "schedule": {"reference": "Schedule/s"}, "status": status,
            "start": START, "end": END} | more  # fmt: skip


def appointment(name, of, status="booked", **more):
    return {"resourceType": "Appointment", "id": name, "status": status, "start": START, "end": END,
            "slot": [{"reference": f"Slot/{of}"}],
            "participant": [{"actor": {"display": "x"}, "status": "accepted"}]} | more  # fmt: skip


def run(*arguments):
    return subprocess.run(
        command(*arguments), cwd=ROOT, capture_output=True, text=True, check=False
    )


@pytest.fixture
def loaded(new_database, tmp_path):
    url, file = new_database(), tmp_path / "clinic.ndjson"

    def load(*resources):
        file.write_text("\n".join(map(json.dumps, resources)))
        return run("load", str(file), "--database", url, "--quiet")

    return url, load


def test_a_clinic_with_its_history_is_loaded_in_any_order(loaded):
    url, load = loaded
    done = load(
        appointment("a", "late"),
        slot("late", "busy"),
        slot("marked", "busy"),
        appointment("b", "marked"),
        slot("gone", "busy", **PAST),
        appointment("c", "gone", "booked", **PAST),
        slot("free"),
    )
    assert done.returncode == 0, done.stderr
    checked = run("check-store", "--database", url)
    assert checked.returncode == 0, checked.stderr


def test_the_second_appointment_of_a_slot_is_refused_and_the_rest_is_loaded(loaded):
    url, load = loaded
    done = load(slot("x"), appointment("a", "x"), appointment("b", "x"), slot("y"))
    assert done.returncode == 1
    assert "3 stored, 1 refused" in done.stdout
    assert "conflict at Appointment.slot[0]" in done.stderr
    assert run("check-store", "--database", url).returncode == 0


def test_check_store_finds_a_claim_that_is_missing_and_one_too_many(loaded):
    url, load = loaded
    load(slot("x"), appointment("a", "x"), slot("y"))
    change = "UPDATE slot_claim SET slot_id = 'y' WHERE slot_id = 'x'"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as connection:
            connection.execute(change)
        connection.close()
    else:
        with psycopg.connect(url.replace("+psycopg", "", 1)) as connection:
            connection.execute(change)
    checked = run("check-store", "--database", url)
    assert checked.returncode == 1
    assert "Appointment/a is live, but has no seat in Slot/x" in checked.stderr
    assert "Slot/y is claimed for Appointment/a, which names other slots" in checked.stderr
    assert "Slot/y is free, but its claims make it busy" in checked.stderr
