"""How each type's JSON properties and XML elements correspond, compiled once from the definitions.

https://hl7.org/fhir/R4/xml.html, https://hl7.org/fhir/R4/json.html#primitive
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal

from fhir_server.spec.definitions import Property, node_type, resource_types

FHIR = "http://hl7.org/fhir"
XHTML = "http://www.w3.org/1999/xhtml"

Kind = Literal["primitive", "complex", "container", "resource", "xhtml"]


@dataclass(frozen=True, slots=True)
class Slot:
    """One JSON property and its XML element; the two have the same name, that of a choice included.

    position: the element's place in the definition, shared by the types of a choice. sibling: the JSON property that
    holds a primitive's id and extensions; extra: this slot is that sibling. kind "container" is an element that holds
    one resource (contained), "resource" the resource in it. type: the name of the node type of the values. single: this
    is the value of a primitive that may be there once, the most frequent kind.
    """

    position: int
    name: str
    sibling: str
    element: str
    many: bool
    kind: Kind
    type: str
    extra: bool = False
    single: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    """The slots of one node type: by element name in expat's form (namespace, blank, name) and by JSON property."""

    elements: Mapping[str, Slot]
    properties: Mapping[str, Slot]
    attributes: tuple[str, ...]


@cache
def plan_of(name: str) -> Plan:
    """The plan of a resource type, datatype or backbone element's path; KeyError when R4 has no such type."""
    kind = node_type(name)
    order = {element: index for index, element in enumerate(_elements(kind.properties))}
    elements: dict[str, Slot] = {}
    properties: dict[str, Slot] = {}
    for item in kind.properties.values():
        if item.xml_attribute:
            continue
        slot = _slot(item, order[item.element])
        elements[f"{XHTML if slot.kind == 'xhtml' else FHIR} {slot.name}"] = slot
        properties[slot.name] = slot
        if slot.kind == "primitive":
            properties[slot.sibling] = _slot(item, order[item.element], extra=True)
    attributes = tuple(item.name for item in kind.properties.values() if item.xml_attribute)
    return Plan(elements, properties, attributes)


def _elements(properties: Mapping[str, Property]) -> dict[str, None]:
    return dict.fromkeys(item.element for item in properties.values())


def _slot(item: Property, position: int, *, extra: bool = False) -> Slot:
    kind: Kind = "primitive" if item.primitive else "complex"
    if item.type == "xhtml":
        kind = "xhtml"
    elif item.type == "Resource":
        kind = "container"
    return Slot(
        position,
        item.name,
        "_" + item.name,
        item.element,
        item.many,
        kind,
        item.type,
        extra,
        single=kind == "primitive" and not item.many and not extra,
    )


@cache
def primitive_content() -> Plan:
    """What the element of a primitive may hold: extensions."""
    extension = plan_of("Element").properties["extension"]
    return Plan({f"{FHIR} extension": extension}, {"extension": extension}, ("id",))


@cache
def container_content() -> Plan:
    """What an element that holds a resource may hold: the element of one resource type, as may a document."""
    slots = {
        name: Slot(0, name, "", name, many=False, kind="resource", type=name)
        for name in resource_types()
    }
    return Plan({f"{FHIR} {name}": slot for name, slot in slots.items()}, {}, ())
