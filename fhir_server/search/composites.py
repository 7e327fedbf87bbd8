"""The index entries of composite parameters: the parts of each repeat of the element belong together.

https://hl7.org/fhir/R4/search.html#composite
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import NamedTuple

from fhir_server.search.converters import Add, Scope
from fhir_server.search.entries import (
    CompositeEntry,
    IndexEntry,
    QuantityEntry,
    SimpleEntry,
    UniqueEntry,
    WordsEntry,
)
from fhir_server.search.legs import Aim, Legs, follow, legs_of, nodes
from fhir_server.search.parameters import CANONICAL, SearchParameter, component_type
from fhir_server.search.paths import Path, paths, resolved

_RESOURCE = "%resource."
_MOST = 500


class Part(NamedTuple):
    """One component: its legs from the repeat, or from the resource when the expression starts there."""

    legs: Legs
    from_resource: bool


class Composite(NamedTuple):
    """A composite parameter: where its repeats are, and the parts of each."""

    number: int
    repeats: tuple[tuple[Path, tuple[Part, ...]], ...]


def composite_of(parameter: SearchParameter) -> Composite:
    """How to find the entries of a composite parameter."""
    return Composite(
        parameter.number,
        tuple((path, _parts(parameter, path.type)) for path in paths(parameter) or ()),
    )


def _parts(parameter: SearchParameter, node: str) -> tuple[Part, ...]:
    found = []
    for component in parameter.components:
        above = component.expression.startswith(_RESOURCE)
        start = parameter.resource_type if above else node
        expression = component.expression.removeprefix(_RESOURCE)
        # Numbers 0 and CANONICAL tell a value from its canonical form; the composite's own number is put on later.
        part = replace(parameter, number=0, type=component_type(component.definition))
        aims: list[Aim] = [(path, part) for path in resolved(expression, start)]
        found.append(Part(legs_of(aims), above))
    return tuple(found)


def composite_entries(composite: Composite, scope: Scope, add: Add) -> None:
    """Add an entry for each combination of part values of each repeat."""
    for path, parts in composite.repeats:
        for node in nodes(path, scope.resource, scope):
            values = [
                _values(part, scope.resource if part.from_resource else node, scope)
                for part in parts
            ]
            for number, combined in enumerate(product(*values)):
                if number >= _MOST:
                    break
                add(_entry(composite.number, combined))


def _values(part: Part, start: dict[str, object], scope: Scope) -> list[SimpleEntry]:
    found: list[IndexEntry] = []
    follow(start, part.legs, scope, found.append)
    return [
        item
        for item in found
        if not isinstance(item, WordsEntry | CompositeEntry | UniqueEntry)
        and item.parameter in (0, CANONICAL)
    ]


def _entry(number: int, combined: tuple[SimpleEntry, ...]) -> CompositeEntry:
    canonical = any(isinstance(item, QuantityEntry) and item.parameter for item in combined)
    parts = tuple(item._replace(parameter=0) for item in combined)
    return CompositeEntry(number + CANONICAL if canonical else number, parts)
