"""Every operation of booking has a definition that is valid, published and true.

https://hl7.org/fhir/R4/operationdefinition.html
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_server import validation
from fhir_server.booking import book, find, generate, hold
from fhir_server.booking.operations import operations
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.statuses import transitions

ROOT = Path(__file__).resolve().parents[2]
OPERATIONS = operations(BookingPolicy())
TAKEN = {"find": find.KNOWN, "hold": hold.KNOWN, "book": book.KNOWN, "generate": generate.KNOWN}


def definition(operation):
    (kind,) = operation.resource_types
    path = ROOT / "capability" / "operations" / f"{kind}-{operation.code}.json"
    return json.loads(path.read_text("utf-8"))


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.code)
def test_a_definition_is_valid_and_says_what_the_server_does(operation):
    told = definition(operation)
    assert validation.explain(told, resource_type="OperationDefinition") == ()
    assert told["url"] == operation.definition
    assert (told["code"], told["affectsState"]) == (operation.code, operation.affects_state)
    levels = {level for level in ("system", "type", "instance") if told[level]}
    assert levels == operation.levels
    taken = {item["name"] for item in told["parameter"] if item["use"] == "in"}
    assert taken == TAKEN.get(operation.code, taken)


def test_definitions_are_read_where_the_capability_statement_points(client):
    statement = client.get("metadata").json()
    listed = [
        item["definition"]
        for resource in statement["rest"][0]["resource"]
        for item in resource.get("operation", [])
        if "fhir-server.example.org" in item["definition"]
    ]
    assert {operation.definition for operation in OPERATIONS} <= set(listed)
    for url in listed:
        answer = client.get("OperationDefinition/" + url.rpartition("/")[2])
        assert answer.status_code == 200
        assert answer.json()["url"] == url


@pytest.mark.parametrize("resource_type", ["Appointment", "Slot"])
def test_the_table_of_transitions_names_every_status_of_r4(resource_type):
    table = transitions(resource_type)
    for status, following in table.items():
        assert status not in following
        assert set(following) <= table.keys()
    issues = validation.explain(
        {"resourceType": resource_type, "status": "?"}, resource_type=resource_type
    )
    (told,) = [item.diagnostics for item in issues if "use one of" in item.diagnostics]
    assert set(told.partition("one of ")[2].split(", ")) == table.keys()
