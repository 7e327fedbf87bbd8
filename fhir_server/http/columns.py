"""The columns of a table of resources, and the text of a cell (docs/definitions.md).

A type's columns are those that `_elements` names, else those that capability/tables.json declares, else the elements
of its summary. https://hl7.org/fhir/R4/fhirpath.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from fhir_server.fhirpath import Environment, Expression, Node, compile_expression, root
from fhir_server.spec.definitions import node_type
from fhir_server.spec.json_format import serialise
from fhir_server.spec.published import declared

Json = dict[str, Any]
_NO_COLUMN = frozenset(("meta", "implicitRules", "text", "contained", "extension", "id"))
# A spreadsheet takes a cell that begins so for a formula, and would run it.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
_BETWEEN = "; "


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its heading, and what of a resource stands in it."""

    name: str
    expression: Expression


def columns(resource_type: str, elements: Sequence[str]) -> tuple[Column, ...]:
    """The columns of a table, by the names of elements of the type if there are any."""
    if not elements:
        return _default(resource_type)
    return tuple(_column(name, name) for name in dict.fromkeys(("id", *elements)))


@cache
def _default(resource_type: str) -> tuple[Column, ...]:
    told = [item for item in declared("tables") if item["resourceType"] == resource_type]
    if told:
        return tuple(_column(item["column"], item["expression"]) for item in told)
    properties = node_type(resource_type).properties.values()
    named = [item.element for item in properties if item.summary and item.element not in _NO_COLUMN]
    first = (_column("id", "id"), _column("lastUpdated", "meta.lastUpdated"))
    return (*first, *(_column(name, name) for name in dict.fromkeys(named)))


def _column(name: str, expression: str) -> Column:
    return Column(name, compile_expression(expression))


def row(
    resource: Json, listed: Iterable[Column], resolve: Callable[[str], Json | None]
) -> list[str]:
    """The cells of a resource; resolve gives what a reference is to, where that is at hand."""
    focus = root(resource)
    environment = Environment(resource=focus, root_resource=focus, resolve=resolve)
    return [cell(item.expression.evaluate(focus, environment)) for item in listed]


def cell(nodes: Iterable[Node]) -> str:
    """The text of nodes, one after another; what a spreadsheet would take for a formula begins with an apostrophe."""
    made = _BETWEEN.join(filter(None, map(_text, nodes)))
    return f"'{made}" if made.startswith(_FORMULA) else made


def _text(node: Node) -> str:
    value = node.value
    if isinstance(value, str):
        return value
    if not isinstance(value, dict):
        return "" if value is None else serialise(value).decode()
    shown = _SHOWN.get(node.type)
    return (shown(value) if shown else "") or serialise(value).decode()


def _parts(value: Json, *names: str, between: str = " ") -> str:
    """The values of those elements that are there."""
    found: list[str] = []
    for name in names:
        item = value.get(name, ())
        found += map(str, item if isinstance(item, list) else [item] if item != () else [])
    return between.join(found)


def _first(value: Json, *names: str) -> str:
    return next((str(value[name]) for name in names if value.get(name)), "")


def _identifier(value: Json) -> str:
    return _parts(value, "system", "value", between="|")


def _concept(value: Json) -> str:
    codes = [_first(item, "code", "display") for item in value.get("coding", ())]
    return next(filter(None, codes), "") or _first(value, "text")


def _reference(value: Json) -> str:
    return (
        _first(value, "reference")
        or _identifier(value.get("identifier", {}))
        or _first(value, "display")
    )


def _period(value: Json) -> str:
    return f"{value.get('start', '')}/{value.get('end', '')}"


def _quantity(value: Json) -> str:
    return _parts(value, "comparator", "value") + (
        f" {_first(value, 'unit', 'code')}" if _first(value, "unit", "code") else ""
    )


_SHOWN: dict[str, Callable[[Json], str]] = {
    "Coding": lambda value: _first(value, "code", "display"),
    "CodeableConcept": _concept,
    "Identifier": _identifier,
    "Reference": _reference,
    "Period": _period,
    "Quantity": _quantity,
    "HumanName": lambda value: _first(value, "text") or _parts(value, "given", "family"),
    "ContactPoint": lambda value: _first(value, "value"),
    "Address": lambda value: (
        _first(value, "text")
        or _parts(value, "line", "city", "district", "postalCode", "country", between=", ")
    ),
    "Annotation": lambda value: _first(value, "text"),
}
