"""The plain paths among the FHIRPath expressions of search parameters, resolved against the definitions.

Nearly all of R4's expressions are a path with at most a type or a value to choose by, so they can be followed by
property name, without evaluating FHIRPath. https://hl7.org/fhir/R4/searchparameter.html#expression
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import Literal

from fhir_server.search.parameters import SearchParameter, split_union
from fhir_server.spec.definitions import NodeType, Property, data_types, node_type

_STEP = re.compile(
    r"""\.(?:
      where\(resolve\(\)\ is\ (?P<target>\w+)\)
    | where\((?P<property>\w+)\ ?=\ ?'(?P<value>[^'\\]*)'\)
    | (?:as|ofType)\((?P<type>\w+)\)
    | (?P<name>\w+)(?!\()
    )|\[(?P<index>\d+)\]|\ as\ (?P<cast>\w+)""",
    re.VERBOSE,
)
_HEAD = re.compile(r"[A-Z]\w*")


@dataclass(frozen=True, slots=True)
class Condition:
    """What a value on a path must be: a reference to a type, an object with a property's value, the n-th of all."""

    kind: Literal["target", "value", "index"]
    name: str
    value: str = ""
    index: int = 0


@dataclass(frozen=True, slots=True)
class Step:
    """One JSON property of the path, and the condition on its values."""

    property: Property
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Path:
    """Steps from the resource to the values; type is the node type that they end in."""

    steps: tuple[Step, ...]
    type: str


@cache
def paths(parameter: SearchParameter) -> tuple[Path, ...] | None:
    """The paths that the parameter's values lie on; None when its expression needs FHIRPath."""
    found: list[Path] = []
    for branch in split_union(parameter.expression):
        resolved = _branch(branch, parameter.resource_type)
        if resolved is None:
            return None
        found.extend(item for item in resolved if item not in found)
    return tuple(found)


def resolved(expression: str, node: str) -> tuple[Path, ...]:
    """The paths of an expression from a node of that type; branches that are no plain path are left out."""
    found: list[Path] = []
    for branch in split_union(expression):
        found += _branch(branch, node) or []
    return tuple(found)


@cache
def types(parameter: SearchParameter) -> frozenset[str]:
    """The node types of the parameter's values; empty when they cannot be told from its expression."""
    return frozenset(item.type for item in paths(parameter) or ())


def _branch(text: str, resource_type: str) -> list[Path] | None:
    text = _without_brackets(text)
    head = _HEAD.match(text)
    if head is None:
        # A path without the type in front of it is one from the resource.
        text, start = f".{text}", 0
    else:
        start = head.end()
    found = [Path((), resource_type)]
    while start < len(text):
        step = _STEP.match(text, start)
        if step is None:
            return None
        start = step.end()
        found = _stepped(found, step)
    return found


def _without_brackets(text: str) -> str:
    """The branch without the brackets around its beginning: (A.b as C).d is A.b as C.d."""
    text = text.strip()
    while text.startswith("("):
        depth = 0
        for place, character in enumerate(text):
            depth += (character == "(") - (character == ")")
            if depth == 0:
                text = (text[1:place] + text[place + 1 :]).strip()
                break
        else:
            return text
    return text


def _stepped(found: list[Path], step: re.Match[str]) -> list[Path]:
    if step["name"]:
        return [item for path in found for item in _below(path, step["name"])]
    wanted = step["type"] or step["cast"]
    if wanted:
        return [path for path in found if path.type in (wanted, wanted[0].lower() + wanted[1:])]
    if step["target"]:
        condition = Condition("target", step["target"])
    elif step["property"]:
        condition = Condition("value", step["property"], step["value"])
    else:
        condition = Condition("index", "", index=int(step["index"]))
    return [
        Path((*path.steps[:-1], Step(path.steps[-1].property, condition)), path.type)
        for path in found
        if path.steps
    ]


def _below(path: Path, element: str) -> list[Path]:
    node = _node(path.type)
    if node is None:
        return []
    return [
        Path((*path.steps, Step(item)), item.type)
        for item in node.properties.values()
        if item.element == element
    ]


def _node(name: str) -> NodeType | None:
    if name[0].islower() and name in data_types():
        return None
    try:
        return node_type(name)
    except KeyError:
        return None
