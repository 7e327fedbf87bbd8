"""The rules of a type as JSON Schema: its properties, which of them are required, and what their values are.

What a schema cannot say is left to the validator: invariants, references that lead nowhere, resources inside resources,
and that the `_x` of a list is as long as the list. https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.spec.definitions import resource_types
from fhir_server.validation.bindings import enforced
from fhir_server.validation.rules import Element, Kind, Rules
from fhir_server.validation.schemas.codes import bound
from fhir_server.validation.schemas.primitives import SCHEMAS

Json = dict[str, Any]

NULL: Json = {"type": "null"}
SIBLING = "PrimitiveElement"


def reference(name: str) -> Json:
    """A schema that stands elsewhere in the document."""
    return {"$ref": f"#/$defs/{name}"}


def present(kind: Kind) -> Json:
    """That a property, or the sibling that stands for it, is there."""
    told: Json = {"required": [kind.name]}
    return {"anyOf": [told, {"required": ["_" + kind.name]}]} if kind.sibling else told


def primitive_schema(name: str) -> Json:
    """A primitive datatype."""
    return SCHEMAS[name]


def sibling_schema() -> Json:
    """The `_x` beside a primitive: its id and extensions (https://hl7.org/fhir/R4/json.html#primitive)."""
    extensions = {"type": "array", "minItems": 1, "items": reference("Extension")}
    return {
        "type": "object",
        "properties": {"id": reference("string"), "extension": extensions},
        "additionalProperties": False,
        "minProperties": 1,
    }


def resource_schema() -> Json:
    """A resource inside another: what it is, not how it has to be."""
    named = {"enum": list(resource_types())}
    return {"type": "object", "required": ["resourceType"], "properties": {"resourceType": named}}


def type_schema(rules: Rules) -> Json:
    """A resource type, a complex datatype or a backbone element."""
    properties: Json = {}
    required: list[str] = []
    conditions: list[Json] = []
    if rules.resource:
        properties["resourceType"] = {"const": rules.type}
        required.append("resourceType")
    else:
        conditions.append({"not": {"required": ["id"], "maxProperties": 1}})  # ele-1
    for element in rules.elements:
        for kind in element.kinds:
            properties |= _properties(element, kind)
        conditions += _conditions(element, rules.type)
        if element.minimum and len(element.kinds) == 1 and not element.kinds[0].sibling:
            required.append(element.kinds[0].name)
    made: Json = {
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        "minProperties": 1,
    }
    if required:
        made["required"] = required
    if conditions:
        made["allOf"] = conditions
    return made


def _properties(element: Element, kind: Kind) -> Json:
    value = _value(element, kind)
    if not element.many:
        made = {kind.name: value}
        if kind.sibling:
            made["_" + kind.name] = reference(SIBLING)
        return made
    limits: Json = {"type": "array", "minItems": max(1, element.minimum)}
    if element.maximum is not None:
        limits["maxItems"] = element.maximum
    if not kind.sibling:
        return {kind.name: limits | {"items": value}}
    return {
        kind.name: limits | {"items": {"anyOf": [value, NULL]}},
        "_" + kind.name: limits | {"items": {"anyOf": [reference(SIBLING), NULL]}},
    }


def _value(element: Element, kind: Kind) -> Json:
    codes = enforced(element.binding, element.path, kind.type)
    if codes is None or codes.grammar is not None:
        return reference(kind.type)
    if kind.primitive:
        return bound(codes.pairs, kind.type, more=codes.codes)
    return {"allOf": [reference(kind.type), bound(codes.pairs, kind.type)]}


def _conditions(element: Element, owner: str) -> Iterator[Json]:
    kinds = element.kinds
    if len(kinds) > 1:
        absent: Json = {"not": {"anyOf": [present(kind) for kind in kinds]}}
        if owner == "Extension":
            # ext-1: extensions stand for the value.
            absent = {"required": ["extension"]}
        choices = [] if element.minimum else [absent]
        yield {"oneOf": [*choices, *(present(kind) for kind in kinds)]}
        return
    for kind in kinds:
        if kind.sibling and element.minimum:
            yield present(kind)
        if kind.sibling and element.many:
            # A null keeps the place of a value that has only a sibling.
            whole = {kind.name: {"items": {"not": NULL}}}
            yield {"anyOf": [{"required": ["_" + kind.name]}, {"properties": whole}]}
