"""Parameters as the stores know them: each type has numbers of its own (docs/decisions/0005)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fhir_server.search import expression as x
from fhir_server.search.entries import IndexEntry
from fhir_server.search.expression import Expression, Query

# Beyond those that R4 and a deployment define.
_STEP = 1_000_000


def of_type(resource_type: str, number: int) -> int:
    """The number of a type's parameter."""
    return number + _STEP * (1 + sum(resource_type.encode()))


def entries_of(resource_type: str, entries: Iterable[IndexEntry]) -> frozenset[IndexEntry]:
    """The entries of a resource of that type."""
    return frozenset(
        item._replace(parameter=of_type(resource_type, item.parameter)) for item in entries
    )


def _numbers(types: tuple[str, ...], numbers: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(of_type(name, number) for name in dict.fromkeys(types) for number in numbers)


def aimed(expression: Expression, types: tuple[str, ...]) -> Expression:
    """The expression, asked of resources of those types."""
    match expression:
        case x.And(parts) | x.Or(parts):
            return replace(expression, parts=tuple(aimed(part, types) for part in parts))
        case x.Not(part):
            return x.Not(aimed(part, types))
        case x.Chain(parameters, target, inner):
            return x.Chain(_numbers(types, parameters), target, aimed(inner, (target,)))
        case x.Has(source, parameters, inner):
            return x.Has(source, _numbers((source,), parameters), aimed(inner, (source,)))
        case x.IdIn() | x.LastUpdated():
            return expression
    leaf: Any = expression
    moved: Expression = replace(leaf, parameters=_numbers(types, leaf.parameters))
    return moved


def aimed_query(query: Query) -> Query:
    """The query, its expression and order asked of its types."""
    types = query.resource_types
    sort = tuple(replace(key, parameters=_numbers(types, key.parameters)) for key in query.sort)
    return replace(query, where=aimed(query.where, types), sort=sort)
