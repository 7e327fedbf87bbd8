"""Every resource type through the RESTful API, in JSON and in XML (https://hl7.org/fhir/R4/formats.html)."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import httpx
import pytest
import random_resources

from fhir_server.spec.definitions import resource_types
from fhir_server.spec.json_format import serialise
from fhir_server.validation import validate

JSON = {"Content-Type": "application/fhir+json"}
XML = {"Content-Type": "application/fhir+xml"}


# The rules of these are too many for chance.
STRUCTURE_DEFINITION = (
    b'{"resourceType":"StructureDefinition","url":"http://example.org/p","name":"P","status":"draft",'
    b'"kind":"resource","abstract":false,"type":"Patient","derivation":"constraint",'
    b'"baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient",'
    b'"differential":{"element":[{"id":"Patient","path":"Patient"}]}}'
)
SUBSCRIPTION = (
    b'{"resourceType":"Subscription","status":"off","reason":"r","criteria":"Slot?status=free",'
    b'"channel":{"type":"rest-hook"}}'
)
WRITTEN = {"StructureDefinition": STRUCTURE_DEFINITION, "Subscription": SUBSCRIPTION}


def valid(resource_type: str) -> bytes:
    """A resource of the type that has no fault and no reference by criteria."""
    if resource_type in WRITTEN:
        return WRITTEN[resource_type]
    random = Random(resource_type)
    for _ in range(500):
        made = random_resources.resource(resource_type, random)
        body = serialise(made)
        if not validate(made) and b"?a=b" not in body:
            return body
    raise AssertionError(f"no valid {resource_type} was made")


def data(answer: httpx.Response) -> Any:
    """The content without identity, numbers as they were written."""
    resource = json.loads(answer.content, parse_float=str, parse_int=str)
    return _without_nulls({k: v for k, v in resource.items() if k not in ("id", "meta")})


def _without_nulls(value: Any) -> Any:
    """An array of nulls only, beside one of extensions, says nothing."""
    if isinstance(value, dict):
        return {
            name: _without_nulls(item)
            for name, item in value.items()
            if not (isinstance(item, list) and set(map(repr, item)) == {"None"})
        }
    return [_without_nulls(item) for item in value] if isinstance(value, list) else value


@pytest.mark.rule(58, 59, 89, "formats")
@pytest.mark.parametrize("resource_type", sorted(set(resource_types()) - {"Binary"}))
def test_a_resource_of_every_type_goes_through_create_read_and_update_in_both_formats(
    client: httpx.Client, resource_type: str
) -> None:
    made = client.post(resource_type, content=valid(resource_type), headers=JSON)
    assert made.status_code == 201, made.text
    path = f"{resource_type}/{made.json()['id']}"
    in_xml = client.get(path, headers={"Accept": "application/fhir+xml"})
    assert in_xml.status_code == 200, in_xml.text
    updated = client.put(path, content=in_xml.content, headers=XML)
    assert updated.status_code == 200, updated.text
    assert data(client.get(path)) == data(made)
    assert client.get(f"{path}/_history/1").content == made.content
