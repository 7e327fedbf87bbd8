"""All index entries of a resource (https://hl7.org/fhir/R4/searchparameter.html).

The paths of a type's parameters are merged into one plan, a tree by JSON property, which is followed once for each
resource; an expression that is no plain path is evaluated as FHIRPath.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_server.fhirpath import Environment, Expression, FhirPathError, compile_expression, root
from fhir_server.search.converters import (
    CONVERTERS,
    Add,
    Converter,
    Scope,
    family,
    own_canonical,
)
from fhir_server.search.entries import IndexEntries, IndexEntry
from fhir_server.search.parameters import SearchParameter, parameters, supported
from fhir_server.search.paths import Condition, Path, paths
from fhir_server.spec.definitions import is_resource_type, node_type

Json = dict[str, Any]

LONDON = ZoneInfo("Europe/London")
# The store keeps these of every resource anyway, so they need no entries.
STORED = frozenset({"_id", "_lastUpdated"})
_SYSTEM_TYPES = {"System.Boolean": "boolean", "System.String": "string"}


class Leg(NamedTuple):
    """What to do with the values of one property that pass the condition: convert them, or go on below them."""

    condition: Condition | None
    primitive: bool
    conversions: tuple[tuple[Converter, int], ...]
    below: dict[str, tuple[Leg, ...]]


class Evaluated(NamedTuple):
    """A parameter whose values FHIRPath finds."""

    expression: Expression
    parameter: SearchParameter


class Plan(NamedTuple):
    legs: dict[str, tuple[Leg, ...]]
    evaluated: tuple[Evaluated, ...]


def entries(
    resource: Json, *, base_urls: Collection[str] = (), zone: ZoneInfo = LONDON
) -> IndexEntries:
    """What searches find the resource by: entries of every supported parameter of its type, but _id and _lastUpdated.

    base_urls: absolute references below them are to resources of this server; zone: of dates that name none. Values
    that cannot be indexed are left out; resourceType must be that of a concrete R4 resource (KeyError).
    """
    plan = plan_of(resource["resourceType"])
    found: set[IndexEntry] = set()
    scope = Scope(resource, base_urls, zone)
    _follow(plan.legs, resource, scope, found.add)
    for item in plan.evaluated:
        _evaluate(item, scope, found.add)
    return frozenset(found)


def _follow(legs: dict[str, tuple[Leg, ...]], value: Json, scope: Scope, add: Add) -> None:
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
                    _follow(below, item, scope, add)


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


def _evaluate(item: Evaluated, scope: Scope, add: Add) -> None:
    start = root(scope.resource)
    try:
        nodes = item.expression.evaluate(start, Environment(resource=start))
    except FhirPathError:
        return  # a value that the expression cannot be asked of has no entries
    for node in nodes:
        name = _SYSTEM_TYPES.get(node.type, node.type)
        convert = CONVERTERS[item.parameter.type].get(name)
        if convert is not None:
            convert(node.value, item.parameter.number, scope, add)


@dataclass(slots=True)
class _Draft:
    """A leg while paths are merged into it."""

    primitive: bool
    conversions: list[tuple[Converter, int]] = field(default_factory=list)
    below: dict[tuple[str, Condition | None], _Draft] = field(default_factory=dict)


@cache
def plan_of(resource_type: str) -> Plan:
    """How to find the entries of a type's resources; KeyError for what is no concrete R4 type."""
    if not is_resource_type(resource_type):
        raise KeyError(resource_type)
    start = _Draft(primitive=False)
    evaluated = []
    for parameter in parameters(resource_type):
        if not supported(parameter) or parameter.code in STORED:
            continue
        plain = paths(parameter)
        if plain is None:
            evaluated.append(Evaluated(compile_expression(parameter.expression), parameter))
            continue
        for path in plain:
            _merge(start, path, parameter)
    return Plan(_finished(start), tuple(evaluated))


def _merge(start: _Draft, path: Path, parameter: SearchParameter) -> None:
    convert = _converter(path, parameter)
    if convert is None:
        return
    draft = start
    for step in path.steps:
        name = step.property.name
        draft = draft.below.setdefault((name, step.condition), _Draft(step.property.primitive))
    draft.conversions.append((convert, parameter.number))


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


def _finished(draft: _Draft) -> dict[str, tuple[Leg, ...]]:
    found: dict[str, tuple[Leg, ...]] = {}
    for (name, condition), item in draft.below.items():
        leg = Leg(condition, item.primitive, tuple(item.conversions), _finished(item))
        found[name] = (*found.get(name, ()), leg)
    return found
