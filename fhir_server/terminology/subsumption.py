"""subsumes() and subsumedBy() for FHIRPath (https://hl7.org/fhir/R4/fhirpath.html#functions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.terminology.service import Terminology

Json = dict[str, Any]


def subsumes(terminology: Terminology) -> Callable[[Node, Node], bool | None]:
    """Environment.subsumes: whether one Coding is, or is above, another; None if in doubt."""

    def check(one: Node, other: Node) -> bool | None:
        answers = [
            _subsumes(terminology, mine, theirs)
            for mine in _codings(one)
            for theirs in _codings(other)
            if mine.get("system") == theirs.get("system")
        ]
        return True if True in answers else (None if None in answers else False)

    return check


def _codings(node: Node) -> list[Json]:
    if not isinstance(node.value, dict):
        return []
    listed = node.value.get("coding", []) if node.type == "CodeableConcept" else [node.value]
    return [
        item
        for item in listed
        if isinstance(item, dict)
        and isinstance(item.get("code"), str)
        and isinstance(item.get("system"), str | None)
    ]


def _subsumes(terminology: Terminology, one: Json, other: Json) -> bool | None:
    if one["code"] == other["code"]:
        return True
    below = terminology.below(one.get("system") or "", one["code"])
    return None if below is None else (one.get("system"), other["code"]) in below
