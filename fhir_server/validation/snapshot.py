"""A StructureDefinition's snapshot -> rules: one small builder for each aspect of an ElementDefinition.

https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import cache
from typing import Any

from fhir_server.spec import definitions
from fhir_server.validation.errata import corrected
from fhir_server.validation.rules import Binding, Element, Invariant, Kind, Rules

Json = dict[str, Any]

_SYSTEM = "http://hl7.org/fhirpath/System."
# These hold for every element and every Extension: both forms check them without being told.
_UNIVERSAL = frozenset({"ele-1", "ext-1"})


def compile_structure(structure: Json, key: str) -> Mapping[str, Rules]:
    """The rules of every node of a StructureDefinition with a snapshot; those of its root have this key.

    Nodes below the root are keyed by the key and the rest of their path ("Patient.contact").
    """
    # Slices, and what stands below them, refine what these rules say of every item.
    elements: list[Json] = [item for item in structure["snapshot"] if ":" not in item["id"]]
    root: str = elements[0]["path"]
    children: defaultdict[str, list[Json]] = defaultdict(list)
    for element in elements[1:]:
        children[element["path"].rpartition(".")[0]].append(element)

    def keyed(path: str) -> str:
        return key + path[len(root) :]

    def kind_of(element: Json, item: Json) -> str:
        path: str = element["path"]
        return keyed(path) if path in children else _type_key(element, item)

    found = {}
    for element in elements:
        path: str = element["path"]
        if path not in children:
            continue
        nested = path != root
        type_name = element["type"][0]["code"] if nested else structure["type"]
        node = path if type_name in ("BackboneElement", "Element") else type_name
        found[keyed(path)] = Rules(
            key=keyed(path),
            type=node,
            path=path,
            resource=structure["kind"] == "resource" and not nested,
            elements=tuple(
                Element(
                    name=child["path"].rpartition(".")[2].removesuffix("[x]"),
                    path=child["path"],
                    many=_repeats(child),
                    minimum=child["min"],
                    maximum=None if child["max"] == "*" else int(child["max"]),
                    kinds=_kinds(child, kind_of, keyed),
                    binding=_binding(child),
                    invariants=() if child["path"] in children else _invariants(child, own=True),
                )
                for child in children[path]
            ),
            invariants=_invariants(element, own=False),
        )
    return found


def _repeats(element: Json) -> bool:
    # The JSON form follows the base definition: a profile that allows one item still has an array.
    return element.get("base", element)["max"] not in ("0", "1")


def _kinds(element: Json, kind_of: Any, keyed: Any) -> tuple[Kind, ...]:
    if element["max"] == "0":
        return ()
    name: str = element["path"].rpartition(".")[2]
    reference: str | None = element.get("contentReference")
    if reference is not None:
        return (Kind(name, keyed(reference.rpartition("#")[2]), False, None, False),)
    stem = name.removesuffix("[x]")
    kinds = []
    for item in element.get("type", ()):
        key = kind_of(element, item)
        system = item["code"].startswith(_SYSTEM)
        code = key if system else item["code"]
        kinds.append(
            Kind(
                name=stem + code[0].upper() + code[1:] if name != stem else stem,
                type=key,
                primitive=code[0].islower(),
                targets=_targets(item),
                # Element.id, Resource.id and Extension.url are attributes in XML, and xhtml is no element.
                sibling=not system and code[0].islower() and code != "xhtml",
            )
        )
    return tuple(kinds)


def _type_key(element: Json, item: Json) -> str:
    code: str = item["code"]
    if code.startswith(_SYSTEM):
        # R4 types Resource.id as a string, but its rules are those of the id datatype.
        if element.get("base", element)["path"] == definitions.RESOURCE_ID:
            return "id"
        kind: str = item.get("fhirType") or code.removeprefix(_SYSTEM).lower()
        return kind
    profiles = item.get("profile", ())
    if len(profiles) == 1 and profiles[0] in definitions.structures() and code != "Extension":
        identifier: str = definitions.structures()[profiles[0]]["id"]
        return identifier
    return code


def _targets(item: Json) -> frozenset[str] | None:
    profiles = item.get("targetProfile", ()) if item["code"] == "Reference" else ()
    if any(profile not in definitions.structures() for profile in profiles):
        return None
    types = frozenset(definitions.structures()[profile]["type"] for profile in profiles)
    return None if not types or "Resource" in types else types


def _binding(element: Json) -> Binding | None:
    binding = element.get("binding")
    if binding is None or "valueSet" not in binding:
        return None
    maximum = binding.get("maxValueSet")
    return Binding(
        strength=binding["strength"],
        value_set=binding["valueSet"].partition("|")[0],
        maximum=maximum and maximum.partition("|")[0],
    )


def _invariants(element: Json, *, own: bool) -> tuple[Invariant, ...]:
    found = []
    for item in element.get("constraint", ()):
        # What comes from the type of a leaf is checked with the type's own rules.
        if item["key"] in _UNIVERSAL or (own and "source" in item) or "expression" not in item:
            continue
        invariant = Invariant(
            key=item["key"],
            severity=item["severity"],
            expression=item["expression"],
            path=element["path"],
            best_practice=item.get("bestPractice", False),
        )
        found.append(corrected(invariant))
    return tuple(found)


@cache
def structure_rules(identifier: str) -> Mapping[str, Rules]:
    """The base rules of every node of one of R4's own structures; raises KeyError if it has none of that id."""
    return compile_structure(definitions.structure_by_id(identifier), identifier)


@cache
def rules_of(key: str) -> Rules:
    """The base rules of a resource type, datatype, backbone element's path, or R4's own datatype profile.

    Raises KeyError for what R4 does not define.
    """
    return structure_rules(key.partition(".")[0])[key]
