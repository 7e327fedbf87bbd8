"""What a required binding asks, as JSON Schema (https://hl7.org/fhir/R4/terminologies.html#required)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]
Pair = tuple[str, str]


def bound(pairs: Iterable[Pair], kind: str, *, more: Iterable[str] = ()) -> Json:
    """The values of a type that have one of those (system, code); more: codes that a primitive may be besides."""
    listed = sorted(pairs)
    if kind == "CodeableConcept":
        contains: Json = {"coding": {"contains": _coding(listed)}}
        return {"required": ["coding"], "properties": contains}
    if kind == "Coding":
        return _coding(listed)
    return {"enum": sorted({code for _, code in listed} | set(more))}


def _coding(pairs: list[Pair]) -> Json:
    by_system: dict[str, list[str]] = {}
    for system, code in pairs:
        by_system.setdefault(system, []).append(code)
    choices: list[Json] = [
        {"properties": {"system": {"const": system}, "code": {"enum": codes}}}
        for system, codes in by_system.items()
    ]
    return {"required": ["system", "code"], "anyOf": choices}
