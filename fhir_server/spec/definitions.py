"""The R4 4.0.1 definitions, read lazily from the archive that tools/build_definitions.py makes.

https://hl7.org/fhir/R4/structuredefinition.html
"""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

import orjson

Json = dict[str, Any]

STRUCTURE = "http://hl7.org/fhir/StructureDefinition/"
ARCHIVE = Path(__file__).with_name("definitions.zip")
RESOURCE_ID = "Resource.id"
# What is asked about names that callers may have made up is not remembered for good.
_MOST_NAMES = 1024


@dataclass(frozen=True, slots=True)
class Property:
    """One JSON property that values of a node type may have; a choice element has one for each of its types.

    name: the JSON property (valueQuantity); element: the element's name (value); path: the path of its
    ElementDefinition (Observation.value[x]); type: the name of the node type of its values.
    """

    name: str
    element: str
    path: str
    type: str
    primitive: bool
    many: bool
    minimum: int
    maximum: int | None
    summary: bool
    modifier: bool
    xml_attribute: bool
    choice: bool


@dataclass(frozen=True, slots=True)
class NodeType:
    """A resource, a datatype or a backbone element with its properties in the order of the definition.

    name: "Patient", "HumanName", "code", or a backbone element's path ("Patient.contact").
    """

    name: str
    base: str | None
    kind: Literal["resource", "complex-type", "primitive-type", "backbone"]
    abstract: bool
    properties: Mapping[str, Property]


@cache
def _archive() -> zipfile.ZipFile:
    return zipfile.ZipFile(ARCHIVE)


def member(name: str) -> Any:
    """One parsed member of the archive, for example "search-parameters.json"."""
    return orjson.loads(_archive().read(name))


@cache
def structures() -> dict[str, Json]:
    """Canonical url -> {id, kind, abstract, type, baseDefinition, derivation} of every R4 StructureDefinition."""
    found: dict[str, Json] = member("structures.json")
    return found


@cache
def structure_by_id(identifier: str) -> Json:
    """A StructureDefinition's facts: its head, `snapshot` (and, when it constrains, `differential`) as element lists.

    Raises KeyError when R4 has none of that id.
    """
    found: Json = member(f"structure/{identifier}.json")
    return found


def terminology_urls(resource_type: str) -> tuple[str, ...]:
    """The canonical urls of R4's own CodeSystems, ValueSets or ConceptMaps."""
    return tuple(_terminology_index().get(resource_type, ()))


@cache
def resource_types() -> tuple[str, ...]:
    """The 146 concrete resource types, sorted."""
    return tuple(sorted(_named("resource")))


@cache
def data_types() -> frozenset[str]:
    """The names of the primitive and complex datatypes."""
    return frozenset(_named("primitive-type")) | frozenset(_named("complex-type"))


def _named(kind: str) -> list[str]:
    return [
        item["id"]
        for item in structures().values()
        if item["kind"] == kind
        and not item["abstract"]
        and item.get("derivation", "specialization") == "specialization"
    ]


@lru_cache(maxsize=_MOST_NAMES)
def is_resource_type(name: str) -> bool:
    """Whether it names a concrete R4 resource type."""
    return name in frozenset(resource_types())


@lru_cache(maxsize=_MOST_NAMES)
def base_of(name: str) -> str | None:
    """The type that it specializes: "Patient" -> "DomainResource"; None for Element, Resource, an unknown name."""
    head = structures().get(STRUCTURE + name)
    base = head.get("baseDefinition") if head else None
    return base.removeprefix(STRUCTURE) if base else None


@lru_cache(maxsize=_MOST_NAMES)
def is_a(name: str, ancestor: str) -> bool:
    """Whether a type is, or specializes, another; a backbone element's path is a BackboneElement or Element."""
    current: str | None = name
    while current is not None:
        if current == ancestor:
            return True
        current = node_type(current).base if "." in current else base_of(current)
    return False


@cache
@cache
def node_type(name: str) -> NodeType:
    """The node type of a resource type, a datatype or a backbone element's path; raises KeyError if unknown."""
    root = name.split(".", 1)[0]
    try:
        return _node_types(root)[name]
    except KeyError:
        raise KeyError(f"R4 defines no type {name}") from None


@cache
def element_definitions(root: str) -> Mapping[str, Json]:
    """Path -> ElementDefinition facts of a type's or resource's snapshot, in order."""
    return {item["path"]: item for item in structure_by_id(root)["snapshot"]}


@cache
def _node_types(root: str) -> Mapping[str, NodeType]:
    structure = structure_by_id(root)
    elements = element_definitions(root)
    children: dict[str, list[Json]] = {path: [] for path in elements}
    for path, element in elements.items():
        if "." in path:
            children[path.rpartition(".")[0]].append(element)
    found = {
        root: NodeType(
            root,
            base_of(root),
            structure["kind"],
            structure["abstract"],
            _properties(children[root]),
        )
    }
    for path, members in children.items():
        if members and path != root:
            base = elements[path]["type"][0]["code"]
            found[path] = NodeType(path, base, "backbone", False, _properties(members))
    return found


def _properties(elements: list[Json]) -> Mapping[str, Property]:
    return {item.name: item for element in elements for item in _choices(element)}


def _choices(element: Json) -> list[Property]:
    path: str = element["path"]
    name = path.rpartition(".")[2]
    choice = name.endswith("[x]")
    stem = name.removesuffix("[x]")
    maximum = None if element["max"] == "*" else int(element["max"])
    repeats = element.get("base", element)["max"] not in ("0", "1")
    return [
        Property(
            name=stem + kind[0].upper() + kind[1:] if choice else stem,
            element=stem,
            path=path,
            type=kind,
            primitive=kind[0].islower(),
            many=repeats,
            minimum=element["min"],
            maximum=maximum,
            summary=element.get("isSummary", False),
            modifier=element.get("isModifier", False),
            xml_attribute="xmlAttr" in element.get("representation", ()),
            choice=choice,
        )
        for kind in _type_names(element)
    ]


def _type_names(element: Json) -> list[str]:
    if "contentReference" in element:
        return [element["contentReference"].rpartition("#")[2]]
    names = []
    for item in element.get("type", ()):
        code = item["code"]
        if code in ("BackboneElement", "Element"):
            names.append(element["path"])
        elif code.startswith("http://hl7.org/fhirpath/"):
            names.append(_system_type(element, item))
        else:
            names.append(code)
    return names


def _system_type(element: Json, item: Json) -> str:
    # R4 types Resource.id as a string, but its rules are those of the id datatype.
    if element.get("base", {}).get("path", element["path"]) == RESOURCE_ID:
        return "id"
    kind: str = item.get("fhirType") or item["code"].rpartition(".")[2].lower()
    return kind


@cache
def _terminology() -> zipfile.ZipFile:
    return zipfile.ZipFile(ARCHIVE.with_name("terminology.zip"))


@cache
def _terminology_index() -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = orjson.loads(_terminology().read("index.json"))
    return found


def terminology(resource_type: str, url: str) -> Json | None:
    """R4's own CodeSystem, ValueSet or ConceptMap with that canonical url; None when it has none."""
    identifier = _terminology_index().get(resource_type, {}).get(url)
    if identifier is None:
        return None
    found: Json = orjson.loads(_terminology().read(f"{resource_type}/{identifier}.json"))
    return found
