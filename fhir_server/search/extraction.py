"""All index entries of a resource (https://hl7.org/fhir/R4/searchparameter.html).

Plain paths are followed together, as legs.py has them; an expression that is no plain path is evaluated as FHIRPath.
"""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from fhir_server.fhirpath import Environment, Expression, FhirPathError, compile_expression, root
from fhir_server.search.composites import Composite, composite_entries, composite_of
from fhir_server.search.converters import CONVERTERS, Add, Scope
from fhir_server.search.entries import IndexEntries, IndexEntry, WordsEntry
from fhir_server.search.legs import Aim, Legs, follow, legs_of
from fhir_server.search.parameters import SearchParameter, parameter, parameters, supported
from fhir_server.search.paths import paths
from fhir_server.search.words import content_words, narrative_words
from fhir_server.spec.definitions import is_resource_type

Json = dict[str, Any]

LONDON = ZoneInfo("Europe/London")
# The store keeps these of every resource anyway, so they need no entries; words have a way of their own.
STORED = frozenset({"_id", "_lastUpdated", "_text", "_content"})
_SYSTEM_TYPES = {"System.Boolean": "boolean", "System.String": "string"}


class Evaluated(NamedTuple):
    """A parameter whose values FHIRPath finds."""

    expression: Expression
    parameter: SearchParameter


class Plan(NamedTuple):
    """text and content are the numbers of _text and _content, None for a type that has none."""

    legs: Legs
    evaluated: tuple[Evaluated, ...]
    composites: tuple[Composite, ...]
    text: int | None
    content: int | None


def entries(
    resource: Json,
    *,
    base_urls: tuple[str, ...] = (),
    zone: ZoneInfo = LONDON,
    custom: tuple[SearchParameter, ...] = (),
    content: bool = False,
) -> IndexEntries:
    """What searches find the resource by: entries of every supported parameter of its type, but _id and _lastUpdated.

    base_urls: absolute references below them are to resources of this server; zone: of dates that name none; custom:
    the deployment's own parameters of the type; content: whether _content is offered. Values that cannot be indexed
    are left out; resourceType must be that of a concrete R4 resource (KeyError).
    """
    plan = plan_of(resource["resourceType"], custom)
    found: list[IndexEntry] = []
    scope = Scope(resource, base_urls, zone)
    _find(plan, scope, found.append)
    if plan.text is not None and "text" in resource:
        _add_words(plan.text, narrative_words(resource), found.append)
    if content and plan.content is not None:
        _add_words(plan.content, content_words(resource), found.append)
    return frozenset(found)


def _add_words(number: int, words: set[str], add: Add) -> None:
    if words:
        add(WordsEntry(number, " ".join(sorted(words))))


def parameter_entries(
    resource: Json,
    parameter: SearchParameter,
    *,
    base_urls: tuple[str, ...] = (),
    zone: ZoneInfo = LONDON,
) -> IndexEntries:
    """The entries of one parameter alone."""
    plan = _planned((parameter,))
    found: list[IndexEntry] = []
    _find(plan, Scope(resource, base_urls, zone), found.append)
    return frozenset(found)


def _find(plan: Plan, scope: Scope, add: Add) -> None:
    follow(scope.resource, plan.legs, scope, add)
    for item in plan.evaluated:
        _evaluate(item, scope, add)
    for composite in plan.composites:
        composite_entries(composite, scope, add)


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


@cache
def plan_of(resource_type: str, custom: tuple[SearchParameter, ...] = ()) -> Plan:
    """How to find the entries of a type's resources; KeyError for what is no concrete R4 type."""
    if not is_resource_type(resource_type):
        raise KeyError(resource_type)
    text, content = parameter(resource_type, "_text"), parameter(resource_type, "_content")
    return _planned((*parameters(resource_type), *custom))._replace(
        text=text.number if text else None, content=content.number if content else None
    )


@cache
def _planned(listed: tuple[SearchParameter, ...]) -> Plan:
    aims: list[Aim] = []
    evaluated = []
    composites = []
    for item in listed:
        if not supported(item) or item.code in STORED:
            continue
        plain = paths(item)
        if item.type == "composite":
            composites.append(composite_of(item))
        elif plain is None:
            evaluated.append(Evaluated(compile_expression(item.expression), item))
        else:
            aims += [(path, item) for path in plain]
    return Plan(legs_of(aims), tuple(evaluated), tuple(composites), None, None)
