"""memberOf(), subsumes() and subsumedBy() for FHIRPath (https://hl7.org/fhir/R4/fhirpath.html#functions)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.terminology.service import Terminology

Json = dict[str, Any]


def member_of(terminology: Terminology) -> Callable[[Node, str], bool | None]:
    """Environment.member_of: whether a code, Coding or CodeableConcept is in a value set; None if in doubt."""

    def check(node: Node, value_set: str) -> bool | None:
        if isinstance(node.value, str):
            return terminology.contains(value_set, None, node.value)
        if not isinstance(node.value, dict):
            return None
        codings = node.value.get("coding", ()) if node.type == "CodeableConcept" else [node.value]
        answers = [
            terminology.contains(value_set, coding.get("system"), coding["code"])
            for coding in codings
            if isinstance(coding, dict)
            and isinstance(coding.get("code"), str)
            and isinstance(coding.get("system"), str | None)
        ]
        return True if True in answers else (None if None in answers else False)

    return check


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
    return [item for item in listed if isinstance(item, dict) and "code" in item]


def _subsumes(terminology: Terminology, one: Json, other: Json) -> bool | None:
    if one["code"] == other["code"]:
        return True
    below = terminology.below(one.get("system", ""), one["code"])
    return None if below is None else (one.get("system"), other["code"]) in below
