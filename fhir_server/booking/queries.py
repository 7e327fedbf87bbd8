"""Searches that booking makes itself, as expressions: nothing of them has to be read from text.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from fhir_server.search.expression import (
    Chain,
    DateMatch,
    Expression,
    Query,
    Range,
    ReferenceMatch,
    SortKey,
    Target,
    Token,
    TokenMatch,
)
from fhir_server.search.parameters import parameter
from fhir_server.spec.instants import MILLISECOND
from fhir_server.store.contract import Match, ReadTransaction


@cache
def number(resource_type: str, code: str) -> int:
    """The number of a search parameter that R4 has."""
    found = parameter(resource_type, code)
    assert found is not None
    return found.number


@cache
def coded(resource_type: str, code: str, *values: str) -> Expression:
    """A token parameter has one of those codes, of any system."""
    return having(resource_type, code, tuple(Token(None, value) for value in values))


def having(resource_type: str, code: str, tokens: tuple[Token, ...]) -> Expression:
    """A token parameter has one of those values."""
    return TokenMatch((number(resource_type, code),), tokens)


def referring(resource_type: str, code: str, targets: Iterable[str]) -> Expression:
    """A reference parameter names one of those resources of this server, each as Type/id."""
    named = tuple(Target(*item.split("/", 1)) for item in targets)
    return ReferenceMatch((number(resource_type, code),), named)


def leading(resource_type: str, code: str, target_type: str, inner: Expression) -> Expression:
    """A reference parameter names a resource of that type for which inner holds."""
    return Chain((number(resource_type, code),), target_type, inner)


def within(resource_type: str, code: str, low: int, high: int) -> tuple[Expression, Expression]:
    """A date parameter lies at or after low and before high, in microseconds since 1970."""
    numbers = (number(resource_type, code),)
    return (
        DateMatch(numbers, (Range("ge", low, low + MILLISECOND),)),
        DateMatch(numbers, (Range("lt", high, high + MILLISECOND),)),
    )


def by_date(resource_type: str, code: str) -> tuple[SortKey, ...]:
    """Soonest first."""
    return (SortKey("date", (number(resource_type, code),), descending=False),)


def found(
    resource_type: str, where: Expression, transaction: ReadTransaction, limit: int
) -> list[Match]:
    """At most so many resources for which it holds."""
    return transaction.page(Query((resource_type,), where, limit=limit))
