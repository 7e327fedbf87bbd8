"""Every operation of the directory has a definition that is valid, published and true; profiles fit what is written.

https://hl7.org/fhir/R4/operationdefinition.html
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fhir_server import validation
from fhir_server.directory import asked
from fhir_server.directory.operations import DIRECTORY_OPERATIONS

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("operation", DIRECTORY_OPERATIONS, ids=lambda item: item.code)
def test_a_definition_is_valid_and_says_what_the_server_does(operation):
    (kind,) = operation.resource_types
    path = ROOT / "capability" / "operations" / f"{kind}-{operation.code}.json"
    told = json.loads(path.read_text("utf-8"))
    assert validation.explain(told, resource_type="OperationDefinition") == ()
    assert told["url"] == operation.definition
    assert (told["code"], told["affectsState"]) == (operation.code, operation.affects_state)
    levels = {level for level in ("system", "type", "instance") if told[level]}
    assert levels == operation.levels
    taken = {item["name"] for item in told["parameter"] if item["use"] == "in"}
    if operation.code == "find-for-referral":
        assert taken == asked.KNOWN


def test_definitions_are_read_where_the_capability_statement_points(client):
    resources = client.get("metadata").json()["rest"][0]["resource"]
    listed = {
        item["definition"] for resource in resources for item in resource.get("operation", [])
    }
    for operation in DIRECTORY_OPERATIONS:
        assert operation.definition in listed
        answer = client.get("OperationDefinition/" + operation.definition.rpartition("/")[2])
        assert answer.json()["url"] == operation.definition
