"""Filters: which codes of a code system a value set takes (https://hl7.org/fhir/R4/valueset-filter-operator.html)."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from fhir_server.spec import ucum
from fhir_server.spec.patterns import BadPattern, compile_pattern
from fhir_server.terminology.algorithmic import Algorithmic
from fhir_server.terminology.code_systems import Concept, System, value_of
from fhir_server.terminology.faults import Unusable

Json = dict[str, Any]
Test = Callable[[Concept], bool]
_HIERARCHY = ("is-a", "descendent-of", "is-not-a", "generalizes")


def chosen_by(system: System, rule: Json) -> Test:
    """Whether a concept of the system passes a filter.

    Raises Unusable for one that is not understood, and for a concept that the system does not have.
    """
    name, operator, value = rule.get("property"), rule.get("op"), rule.get("value")
    if not isinstance(name, str) or not isinstance(operator, str) or not isinstance(value, str):
        raise Unusable("A filter has a property, an op and a value")
    if operator in _HIERARCHY:
        if name not in ("concept", "code"):
            raise Unusable(f"The filter {operator} is of the property concept, not {name}")
        return _by_hierarchy(system, operator, value)
    if (system.url, name, operator) == (ucum.SYSTEM, "canonical", "="):
        units = _canonical_unit(value)
        return lambda concept: _canonical_unit(concept.code) == units
    read = _reader(system, name)
    match operator:
        case "=":
            return lambda concept: value in read(concept)
        case "in":
            wanted = _listed(value)
            return lambda concept: not wanted.isdisjoint(read(concept))
        case "not-in":
            wanted = _listed(value)
            return lambda concept: wanted.isdisjoint(read(concept))
        case "exists":
            there = value == "true"
            return lambda concept: bool(read(concept)) == there
        case "regex":
            try:
                pattern = compile_pattern(value)
            except BadPattern as error:
                raise Unusable(f"The filter's regular expression cannot be read: {error}") from None
            return lambda concept: any(pattern.fullmatch(item) for item in read(concept))
    raise Unusable(f"The filter operator '{operator[:32]}' is not R4's")


def _listed(value: str) -> frozenset[str]:
    return frozenset(item.strip() for item in value.split(","))


def _by_hierarchy(system: System, operator: str, value: str) -> Test:
    found = system.find(value)
    if found is None:
        raise Unusable(f"{system.url} has no code '{value[:64]}', which a filter names")
    code = found.code
    codes = system.above(code) if operator == "generalizes" else system.below(code)
    if operator == "descendent-of":
        codes -= {code}
    if operator == "is-not-a":
        return lambda concept: concept.code not in codes
    return lambda concept: concept.code in codes


def _reader(system: System, name: str) -> Callable[[Concept], tuple[str, ...]]:
    """The texts of a property of a concept."""
    match name:
        case "concept" | "code":
            return lambda concept: (concept.code,)
        case "display":
            return lambda concept: (concept.display,) if concept.display else ()
        case "definition":
            return lambda concept: (concept.definition,) if concept.definition else ()
        case "parent":
            return lambda concept: concept.parents
        case "child":
            children: dict[str, tuple[str, ...]] = {}
            for item in system.concepts():
                for above in item.parents:
                    children[above] = (*children.get(above, ()), item.code)
            return lambda concept: children.get(concept.code, ())
        case "inactive":
            return lambda concept: (_text(concept.inactive),)
        case "notSelectable":
            return lambda concept: (_text(concept.abstract),)
    if isinstance(system, Algorithmic):
        raise Unusable(f"{system.url} has no property {name[:64]}, which a filter names")
    return lambda concept: tuple(
        _text(value_of(item)) for item in concept.properties if item.get("code") == name
    )


def _canonical_unit(code: str) -> str:
    """The base units that a unit is made of (https://hl7.org/fhir/R4/ucum.html)."""
    try:
        return ucum.write_dimensions(ucum.canonical(Fraction(1), code)[1])
    except ucum.NotUcum:
        return ""


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return str(value.get("code", ""))
    return str(value)
