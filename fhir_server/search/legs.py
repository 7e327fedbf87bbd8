"""The plan by which the values of a type's parameters are found: a tree by JSON property, followed once a resource.

https://hl7.org/fhir/R4/searchparameter.html#expression
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from fhir_server.search.converters import (
    CONVERTERS,
    Add,
    Converter,
    References,
    Scope,
    add_reference,
    family,
    own_canonical,
    reference,
)
from fhir_server.search.parameters import SearchParameter
from fhir_server.search.paths import Condition, Path, Step
from fhir_server.spec.definitions import node_type

Json = dict[str, Any]


class Leg(NamedTuple):
    """What to do with the values of one property, and with those of them alone that pass a condition."""

    primitive: bool
    acts: tuple[Act, ...]
    conditional: tuple[tuple[Condition, Legs], ...]


Legs = dict[str, Leg]
# What is done with a value, and for what: a converter for a parameter's number, add_reference for the numbers of
# several parameters, follow for the legs below.
Act = tuple[Callable[[Any, Any, Scope, Add], None], int | References | Legs]


def follow(value: Json, legs: Legs, scope: Scope, add: Add) -> None:
    """Convert what lies on the legs below an object."""
    for name, child in value.items():
        if name not in legs:
            continue
        primitive, acts, conditional = legs[name]
        if child.__class__ is list:
            for item in child:
                if primitive or item.__class__ is dict:
                    for act, argument in acts:
                        act(item, argument, scope, add)
        elif primitive or child.__class__ is dict:
            for act, argument in acts:
                act(child, argument, scope, add)
        if conditional:
            values = child if child.__class__ is list else (child,)
            for condition, chosen in conditional:
                follow({name: _chosen(condition, values, scope)}, chosen, scope, add)


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
    """A leg while paths are merged into it; references: the type that each must be to, "" for any, and for whom."""

    primitive: bool
    conversions: list[tuple[Converter, int]] = field(default_factory=list)
    references: list[tuple[str, int]] = field(default_factory=list)
    below: dict[tuple[str, Condition | None], _Draft] = field(default_factory=dict)

    def at(self, step: Step) -> _Draft:
        key = (step.property.name, step.condition)
        return self.below.setdefault(key, _Draft(step.property.primitive))


Aim = tuple[Path, SearchParameter]


def legs_of(aims: Iterable[Aim]) -> Legs:
    """The tree of paths, each with the parameter that its values are for."""
    start = _Draft(primitive=False)
    for path, parameter in aims:
        convert = _converter(path, parameter)
        if convert is None:
            continue
        draft = start
        *above, last = path.steps
        for step in above:
            draft = draft.at(step)
        condition = last.condition
        if convert is not reference or (condition and condition.kind != "target"):
            draft.at(last).conversions.append((convert, parameter.number))
        else:
            # Whatever type each asks for: a Reference is read once, for all of its parameters.
            wanted = condition.name if condition else ""
            draft.at(Step(last.property)).references.append((wanted, parameter.number))
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
    conditional: dict[str, list[tuple[Condition, Legs]]] = {}
    for (name, condition), item in draft.below.items():
        leg = Leg(item.primitive, tuple(_acts(item)), ())
        if condition is None:
            found[name] = leg
        else:
            conditional.setdefault(name, []).append((condition, {name: leg}))
    for name, listed in conditional.items():
        leg = found.get(name, Leg(primitive=True, acts=(), conditional=()))
        found[name] = leg._replace(conditional=tuple(listed))
    return found


def _acts(draft: _Draft) -> Iterator[Act]:
    yield from draft.conversions
    if draft.references:
        yield add_reference, _references(draft.references)
    if draft.below:
        yield follow, _finished(draft)


def _references(listed: list[tuple[str, int]]) -> References:
    always = tuple(number for target_type, number in listed if not target_type)
    by_type = {
        wanted: (*always, *(number for target_type, number in listed if target_type == wanted))
        for wanted, _ in listed
        if wanted
    }
    return References(always, by_type, tuple(number for _, number in listed))
