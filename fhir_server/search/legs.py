"""The plan by which the values of a type's parameters are found: a tree by JSON property, followed once a resource.

https://hl7.org/fhir/R4/searchparameter.html#expression
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fhir_server.search.converters import (
    CONVERTERS,
    Add,
    Converter,
    Scope,
    family,
    logical_reference,
    own_canonical,
)
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.paths import Condition, Path
from fhir_server.spec.definitions import node_type

Json = dict[str, Any]


class Leg(NamedTuple):
    """What to do with the values of one property that pass the condition: convert them, or go on below them."""

    condition: Condition | None
    primitive: bool
    conversions: tuple[tuple[Converter, int], ...]
    below: dict[str, tuple[Leg, ...]]


Legs = dict[str, tuple[Leg, ...]]
# What tells the type that a Reference is to.
_TELLING = frozenset({"reference", "type"})


def follow(legs: Legs, value: Json, scope: Scope, add: Add) -> None:
    """Convert what lies on the legs below an object."""
    for name, child in value.items():
        if name not in legs:
            continue
        values = child if child.__class__ is list else (child,)
        for condition, primitive, conversions, below in legs[name]:
            chosen = values if condition is None else _chosen(condition, values, scope)
            for item in chosen:
                if not primitive and item.__class__ is not dict:
                    continue
                for convert, number in conversions:
                    convert(item, number, scope, add)
                if below:
                    follow(below, item, scope, add)
            if condition is not None and condition.kind == "target":
                _untyped(values, conversions, add)


def _untyped(
    values: Collection[Any], conversions: Iterable[tuple[Converter, int]], add: Add
) -> None:
    """A Reference that only has an identifier may be to any of the types, so by that it is found under each."""
    for item in values:
        if item.__class__ is dict and "identifier" in item and not item.keys() & _TELLING:
            for _, number in conversions:
                logical_reference(item, number, add)


def nodes(path: Path, value: Json, scope: Scope) -> list[Json]:
    """The objects at the end of a path from an object."""
    found: list[Any] = [value]
    for step in path.steps:
        below: list[Any] = []
        for item in found:
            child = item.get(step.property.name)
            values = child if isinstance(child, list) else [] if child is None else [child]
            below += values if step.condition is None else _chosen(step.condition, values, scope)
        found = [item for item in below if isinstance(item, dict)]
    return found


def _chosen(condition: Condition, values: Collection[Any], scope: Scope) -> list[Any]:
    match condition.kind:
        case "index":
            return list(values)[condition.index : condition.index + 1]
        case "value":
            return [
                item
                for item in values
                if isinstance(item, dict) and item.get(condition.name) == condition.value
            ]
        case "target":
            return [
                item
                for item in values
                if isinstance(item, dict) and scope.type_of(item) == condition.name
            ]


@dataclass(slots=True)
class _Draft:
    """A leg while paths are merged into it."""

    primitive: bool
    conversions: list[tuple[Converter, int]] = field(default_factory=list)
    below: dict[tuple[str, Condition | None], _Draft] = field(default_factory=dict)


Aim = tuple[Path, SearchParameter]


def legs_of(aims: Iterable[Aim]) -> Legs:
    """The tree of paths, each with the parameter that its values are for."""
    start = _Draft(primitive=False)
    for path, parameter in aims:
        convert = _converter(path, parameter)
        if convert is None:
            continue
        draft = start
        for step in path.steps:
            key = (step.property.name, step.condition)
            draft = draft.below.setdefault(key, _Draft(step.property.primitive))
        draft.conversions.append((convert, parameter.number))
    return _finished(start)


def _converter(path: Path, parameter: SearchParameter) -> Converter | None:
    last = path.steps[-1].property
    if parameter.type == "string" and last.path == "HumanName.family":
        return family
    if parameter.type == "uri" and len(path.steps) == 1 and last.name == "url":
        if "version" in node_type(parameter.resource_type).properties:
            return own_canonical
    elif path.type == "Resource":
        return _nested(parameter.targets)
    return CONVERTERS[parameter.type].get(path.type)


def _nested(targets: Collection[str]) -> Converter:
    convert = CONVERTERS["reference"]["Resource"]

    def nested(value: Any, number: int, scope: Scope, add: Add) -> None:
        if value.get("resourceType") in targets:
            convert(value, number, scope, add)

    return nested


def _finished(draft: _Draft) -> Legs:
    found: Legs = {}
    for (name, condition), item in draft.below.items():
        leg = Leg(condition, item.primitive, tuple(item.conversions), _finished(item))
        found[name] = (*found.get(name, ()), leg)
    return found
