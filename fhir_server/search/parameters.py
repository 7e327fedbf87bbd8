"""The search parameters of R4, one for each pair of a concrete resource type and a code.

https://hl7.org/fhir/R4/searchparameter-registry.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from fhir_server.spec.definitions import base_of, member, resource_types

Json = dict[str, Any]
ParameterType = Literal[
    "number", "date", "string", "token", "reference", "composite", "quantity", "uri", "special"
]

# Index entries that a modifier needs have numbers of their own, so that they never answer a search without it.
IDENTIFIER = 10_000
OF_TYPE = 20_000
TEXT = 30_000
CANONICAL = 40_000
# The deployment's own parameters have numbers from here on, given by the store.
CUSTOM = 1_000_000

_HEAD = re.compile(r"\(*([A-Z]\w*)\b")
_RESOLVED = re.compile(r"resolve\(\) is (\w+)")
_ERRATA = {"http://hl7.org/fhir/SearchParameter/DocumentReference-relationship": (1, 0)}


@dataclass(frozen=True, slots=True)
class Component:
    """A part of a composite parameter: the canonical of its definition, and where it is below the composite."""

    definition: str
    expression: str


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """One search parameter of one resource type.

    number: its place among all pairs of type and code, sorted; expression: FHIRPath, only the branches that apply to
    the type, "" when there is none; targets: the types that a reference may be to, sorted.
    """

    number: int
    resource_type: str
    code: str
    type: ParameterType
    url: str
    expression: str
    targets: tuple[str, ...]
    components: tuple[Component, ...]


def parameter(resource_type: str, code: str) -> SearchParameter | None:
    """The parameter of that code, or None; codes are case sensitive. Raises KeyError for an unknown type."""
    return _of_type(resource_type).get(code)


def parameters(resource_type: str) -> tuple[SearchParameter, ...]:
    """All parameters of a type, those of every resource included, by code. Raises KeyError for an unknown type."""
    return tuple(_of_type(resource_type).values())


def by_number(number: int) -> SearchParameter:
    """The parameter with that number; raises IndexError."""
    if number < 0:
        raise IndexError(number)
    resource_type, code = _pairs()[number]
    return _of_type(resource_type)[code]


def supported(item: SearchParameter) -> bool:
    """Whether this server searches by it: of the special parameters by those that have a meaning of their own here."""
    return item.type != "special" or item.code == "near"


@cache
def component_type(url: str) -> ParameterType:
    """The type of the parameter that a component of a composite is defined by; KeyError for an unknown one."""
    return _types_by_url()[url]


@cache
def _types_by_url() -> dict[str, ParameterType]:
    return {item["url"]: item["type"] for item in member("search-parameters.json")}


@cache
def reference_numbers() -> tuple[int, ...]:
    """The numbers of every parameter of type reference."""
    defined = _definitions()
    return tuple(
        number
        for number, (name, code) in enumerate(_pairs())
        if defined[name][code]["type"] == "reference"
    )


@cache
def referring_numbers(target_type: str) -> tuple[int, ...]:
    """The numbers of the reference parameters that may be to that type."""
    found = []
    for number in reference_numbers():
        targets = by_number(number).targets
        if not targets or target_type in targets or "Resource" in targets:
            found.append(number)
    return tuple(found)


@cache
def _definitions() -> dict[str, dict[str, Json]]:
    """Resource type -> code -> its SearchParameter, as defined."""
    by_base: dict[str, dict[str, Json]] = {}
    for item in member("search-parameters.json"):
        for base in item["base"]:
            by_base.setdefault(base, {})[item["code"]] = item
    return {
        name: {
            code: item for base in _lineage(name) for code, item in by_base.get(base, {}).items()
        }
        for name in resource_types()
    }


def _lineage(name: str) -> list[str]:
    """The type and what it specializes, the most general first."""
    found = []
    current: str | None = name
    while current is not None:
        found.append(current)
        current = base_of(current)
    return found[::-1]


@cache
def _pairs() -> tuple[tuple[str, str], ...]:
    return tuple((name, code) for name, listed in _definitions().items() for code in sorted(listed))


@cache
def _starts() -> dict[str, int]:
    """Resource type -> the number of its first parameter."""
    found = {}
    number = 0
    for name, listed in _definitions().items():
        found[name] = number
        number += len(listed)
    return found


@cache
def _of_type(resource_type: str) -> dict[str, SearchParameter]:
    defined = _definitions()[resource_type]
    first = _starts()[resource_type]
    return {
        code: made(first + place, resource_type, defined[code])
        for place, code in enumerate(sorted(defined))
    }


def made(number: int, resource_type: str, item: Json) -> SearchParameter:
    """The parameter that a SearchParameter defines of a type that is among its bases."""
    branches = list(_branches(item.get("expression", ""), resource_type))
    return SearchParameter(
        number=number,
        resource_type=resource_type,
        code=item["code"],
        type=item["type"],
        url=item["url"],
        expression=" | ".join(branches),
        targets=_targets(branches, item.get("target", ())),
        components=_components(item),
    )


def _components(item: Json) -> tuple[Component, ...]:
    """The components; R4 has the expressions of one composite the wrong way round."""
    parts = item.get("component", [])
    order = _ERRATA.get(item["url"], range(len(parts)))
    return tuple(
        Component(part["definition"], parts[place]["expression"])
        for part, place in zip(parts, order, strict=True)
    )


def _branches(expression: str, resource_type: str) -> Iterator[str]:
    """The branches of the union that can apply to the type, in terms of it."""
    lineage = _lineage(resource_type)
    for branch in split_union(expression):
        head = _HEAD.match(branch)
        if head is None:
            yield branch
        elif head[1] in lineage:
            yield branch[: head.start(1)] + resource_type + branch[head.end(1) :]


def split_union(expression: str) -> list[str]:
    """The operands of the outermost `|`."""
    found: list[str] = []
    start = depth = 0
    quoted = False
    for place, character in enumerate(expression):
        if character == "'":
            quoted = not quoted
        elif quoted:
            continue
        elif character in "([":
            depth += 1
        elif character in ")]":
            depth -= 1
        elif character == "|" and depth == 0:
            found.append(expression[start:place].strip())
            start = place + 1
    found.append(expression[start:].strip())
    return [item for item in found if item]


def _targets(branches: list[str], stated: list[str]) -> tuple[str, ...]:
    """The stated targets; those that every branch asks for by `resolve() is`, when every one does."""
    resolved = [_RESOLVED.findall(branch) for branch in branches]
    if resolved and all(resolved):
        return tuple(sorted({name for names in resolved for name in names}))
    return tuple(sorted(stated))
