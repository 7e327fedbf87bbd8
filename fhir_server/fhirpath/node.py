"""Nodes: a value of a resource with its declared type (https://hl7.org/fhir/R4/fhirpath.html#types)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from typing import Any

from fhir_server.spec.definitions import (
    Property,
    data_types,
    is_a,
    is_resource_type,
    node_type,
)

Json = dict[str, Any]
Place = tuple[Json, Property, int | None]
FEW = 4


class Node:
    """A value and its type: value is raw JSON (None for a primitive with extensions only), type a node type's name
    ("Patient", "Patient.contact", "code") or a System type ("System.Boolean"), extra the `_x` sibling of a primitive.

    place: where it stands in its resource (the object that holds it, its property, its index in a list), or None.
    """

    __slots__ = ("extra", "place", "type", "value")

    def __init__(
        self,
        value: Any,
        type: str,  # noqa: A002 - FHIRPath's word
        extra: Json | None = None,
        place: Place | None = None,
    ) -> None:
        self.value = value
        self.type = type
        self.extra = extra
        self.place = place

    def __repr__(self) -> str:
        return f"Node({self.value!r}, {self.type!r})"

    def children(self, name: str) -> list[Node]:
        """The child nodes of that element name; a choice goes by its stem (value, not valueQuantity)."""
        holder = self.value if isinstance(self.value, dict) else self.extra
        if not isinstance(holder, dict):
            return []
        if self.type == "System.TypeInfo":
            return [Node(holder[name], "System.String")] if name in holder else []
        items = _by_element(self.type).get(name)
        if items is None:
            return []
        found: list[Node] = []
        if len(items) == 1:
            (item,) = items
            value = holder.get(item.name)
            plain = not item.primitive or "_" + item.name not in holder
            if plain and not isinstance(value, list) and item.type != "Resource":
                return [] if value is None else [Node(value, item.type, None, (holder, item, None))]
        if len(items) > FEW and len(holder) < len(items):
            items = _written(holder, _by_name(self.type))
            items = tuple(item for item in items if item.element == name)
        for item in items:
            _collect(holder, item, found)
        return found

    def all_children(self) -> Iterator[Node]:
        """Every child node, in the order of the definition."""
        holder = self.value if isinstance(self.value, dict) else self.extra
        if isinstance(holder, dict):
            found: list[Node] = []
            for items in _by_element(self.type).values():
                for item in items:
                    _collect(holder, item, found)
            yield from found


def _written(holder: Json, properties: Mapping[str, Property]) -> tuple[Property, ...]:
    """The properties that an object has, so that a choice of fifty types need not be tried one by one."""
    names = dict.fromkeys(name.removeprefix("_") for name in holder)
    return tuple(properties[name] for name in names if name in properties)


def _collect(holder: Json, item: Property, found: list[Node]) -> None:
    name = item.name
    value = holder.get(name)
    if not item.primitive:
        if value is None:
            return
        extra = None
    else:
        extra = holder.get("_" + name)
        if value is None and extra is None:
            return
    if not isinstance(value, list) and not isinstance(extra, list):
        found.append(_made(value, item.type, extra, (holder, item, None)))
        return
    values = value if isinstance(value, list) else []
    extras = extra if isinstance(extra, list) else []
    for place in range(max(len(values), len(extras))):
        one = values[place] if place < len(values) else None
        other = extras[place] if place < len(extras) else None
        if one is not None or other is not None:
            found.append(_made(one, item.type, other, (holder, item, place)))


def _made(value: Any, kind: str, extra: Any, place: Place) -> Node:
    if kind == "Resource" and isinstance(value, dict):
        kind = value.get("resourceType", kind)
    return Node(value, kind, extra if isinstance(extra, dict) else None, place)


@cache
def _by_element(kind: str) -> Mapping[str, tuple[Property, ...]]:
    """Element name -> its properties, several for a choice; empty for a type that R4 does not define."""
    try:
        properties = node_type(kind).properties
    except KeyError:
        return {}
    found: dict[str, tuple[Property, ...]] = {}
    for item in properties.values():
        if not (item.element == "value" and kind[0].islower()):
            found[item.element] = (*found.get(item.element, ()), item)
    return found


@cache
def _by_name(kind: str) -> Mapping[str, Property]:
    return {item.name: item for items in _by_element(kind).values() for item in items}


def properties_of(kind: str, name: str) -> tuple[Property, ...]:
    """The properties behind an element name of a type: several for a choice, none for an unknown name."""
    return _by_element(kind).get(name, ())


def _elements(kind: str) -> tuple[str, ...]:
    return tuple(_by_element(kind))


def root(resource: Json) -> Node:
    """The node of a whole resource."""
    return Node(resource, resource["resourceType"])


def type_is(kind: str, name: str) -> bool:
    """Whether a node's type is, or specializes, a FHIR type, or is a System type by its name."""
    if kind == name:
        return True
    if kind.startswith("System.") or name.startswith("System."):
        return False
    try:
        return is_a(kind, name)
    except KeyError:
        return False


_ABSTRACT = ("Resource", "DomainResource", "Element", "BackboneElement")


@lru_cache(maxsize=1024)
def is_type(name: str) -> bool:
    """Whether R4 defines a type of that name."""
    return name in _ABSTRACT or is_resource_type(name) or name in data_types()
