"""Invariants of conformance resources whose FHIRPath would look at all elements for each element.

https://hl7.org/fhir/R4/structuredefinition.html#invs
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

Json = dict[str, Any]
Holds = Callable[[Json], bool]


def _paths(view: Json) -> list[str]:
    return [item.get("path", "") for item in view.get("element", ())] or [""]


def _sdf_8(snapshot: Json) -> bool:
    # That the first path is the type is sdf-11.
    first, *rest = _paths(snapshot)
    return all(path.startswith(first + ".") for path in rest)


def _sdf_8a(differential: Json) -> bool:
    first, *rest = _paths(differential)
    root = first.partition(".")[0] + "."
    return all(path.startswith(root) for path in rest)


def differential_is_of_its_type(structure: Json) -> bool:
    """The part of sdf-8a that looks beyond the differential."""
    first = _paths(structure.get("differential", {}))[0]
    return (
        structure.get("kind") == "logical"
        or not first
        or first.startswith(structure.get("type", ""))
    )


def _cpb_7(statement: Json) -> bool:
    pairs = [(item.get("profile"), item.get("mode")) for item in statement.get("document", ())]
    return len(set(pairs)) == len(pairs)


def _ig_1(definition: Json) -> bool:
    groups = {None, *(item.get("id") for item in definition.get("grouping", ()))}
    return all(item.get("groupingId") in groups for item in definition.get("resource", ()))


def _ig_2(guide: Json) -> bool:
    versions = {None, *guide.get("fhirVersion", ())}
    resources = guide.get("definition", {}).get("resource", ())
    return all(versions.issuperset(item.get("fhirVersion", ())) for item in resources)


DEFINITIONAL: Final[Mapping[tuple[str, str], Holds]] = {
    ("CapabilityStatement", "cpb-7"): _cpb_7,
    ("ImplementationGuide", "ig-2"): _ig_2,
    ("ImplementationGuide.definition", "ig-1"): _ig_1,
    ("StructureDefinition.differential", "sdf-8a"): _sdf_8a,
    ("StructureDefinition.snapshot", "sdf-8"): _sdf_8,
}
