"""Chains of a search that lead to few resources, looked up before it: what is left is a search by their ids.

A statement with ids in it can be answered from a projection, and a planner need not guess how many they are.
https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.search_composer import Composer, rank
from fhir_server.store.search_leaves import Sql, numbered
from fhir_server.store.search_plan import flattened

Fetch = Callable[[str, Sequence[Any]], list[Row]]
MOST = 200
_BROAD = 40
NOBODY: frozenset[int] = frozenset()
# So many searches are remembered with what their chains led to, of chains that led to no more than so many.
_REMEMBERED = 1024
_FEW = 8

# The number of a chain and an id that it leads to; of a chain by identifiers one row, if there are such references.
Answer = frozenset[tuple[int, str]]


class _Chains:
    """A part of the conjunction that is nothing but chains, and one question about all of them."""

    __slots__ = ("_questions", "parameters", "parts")

    def __init__(
        self, parts: tuple[x.Chain | x.LogicalChain, ...], parameters: tuple[int, ...]
    ) -> None:
        """parameters: what those that follow references start from."""
        self.parts = parts
        self.parameters = parameters
        self._questions: dict[bool, Sql] = {}

    def question(self, *, shown: bool) -> Sql:
        """Its rows are (key, type's number, id, body, number of the chain, NULL, NULL, NULL).

        Where they are not shown they have the id only; those of a chain by identifiers have an empty one.
        """
        made = self._questions.get(shown)
        if made is None:
            parts = [_question(number, item, shown) for number, item in enumerate(self.parts)]
            text = " UNION ALL ".join([item.text for item in parts])
            made = Sql(text, tuple(value for item in parts for value in item.values))
            self._questions[shown] = made
        return made

    def is_followed(self, follow: frozenset[int]) -> bool:
        """Whether what all of them lead to is asked next."""
        return bool(follow) and follow.issuperset(self.parameters)


class Guess(NamedTuple):
    """What a search came to when it was asked last, and the question that tells whether it still does."""

    where: Expression
    question: Sql
    answer: Answer


# Right or wrong, whichever database the search is asked of: it is only used together with the question.
_LAST: dict[Expression, tuple[Expression, _Chains, Answer]] = {}


def is_chained(where: Expression) -> bool:
    """Whether there is a chain to be looked up."""
    return _chains(where) is not None


def guessed(where: Expression, follow: frozenset[int]) -> Guess | None:
    """The guess of a search with one part of chains, whose targets are asked next; None when there is none."""
    known = _LAST.get(where)
    if known is None:
        return None
    found, chains, answer = known
    return Guess(found, chains.question(shown=True), answer) if chains.is_followed(follow) else None


def answer_of(rows: Iterable[Row]) -> Answer:
    """What the rows of a question tell."""
    return frozenset([(row[4], row[2]) for row in rows])


def resolved(
    where: Expression, fetch: Fetch, follow: frozenset[int] = NOBODY
) -> tuple[Expression, list[Row]]:
    """The same search, with each selective chain of the conjunction as a reference to the ids that it leads to.

    And the rows of what the chains of those parameters have led to.
    """
    chains = _chains(where)
    if chains is None:
        return where, []
    answers: list[Answer] = []
    met: list[Row] = []
    for item in chains:
        if item is None:
            answers.append(frozenset())
            continue
        shown = item.is_followed(follow)
        question = item.question(shown=shown)
        rows = fetch(question.text, question.values)
        if shown:
            met += [row for row in rows if row[0] is not None]
        answers.append(answer_of(rows))
    found = _resolved(where, tuple(answers))
    asked = [(item, answer) for item, answer in zip(chains, answers, strict=True) if item]
    if len(asked) == 1 and len(asked[0][1]) <= _FEW:
        if len(_LAST) >= _REMEMBERED:
            _LAST.clear()
        _LAST[where] = found, *asked[0]
    return found, met


@lru_cache(maxsize=1024)
def _chains(where: Expression) -> tuple[_Chains | None, ...] | None:
    """For each part of the conjunction what it is looked up by, if it is; None when none is."""
    found = tuple(_asked(part) for part in flattened(where))
    return found if any(found) else None


def _asked(part: Expression) -> _Chains | None:
    if not isinstance(part, x.Chain | x.LogicalChain | x.Or):
        return None
    listed = part.parts if isinstance(part, x.Or) else (part,)
    chains = tuple(item for item in listed if isinstance(item, x.Chain | x.LogicalChain))
    followed = [item for item in chains if isinstance(item, x.Chain)]
    if (
        len(chains) < len(listed)
        or len({item.parameters for item in followed}) != 1
        or any(rank(item.inner) >= _BROAD for item in followed)
    ):
        return None
    return _Chains(chains, followed[0].parameters)


def _question(number: int, chain: x.Chain | x.LogicalChain, shown: bool) -> Sql:
    if isinstance(chain, x.LogicalChain):
        named = numbered("parameter", chain.parameters)
        text = (
            f"SELECT NULL, NULL, u.id, NULL, {number}, NULL, NULL, NULL FROM (SELECT '' AS id FROM token"
            f" WHERE {named.text} ORDER BY parameter, code LIMIT 1) AS u"
        )
        return Sql(text, named.values)
    kind = type_numbers().get(chain.target_type, -1)
    keys = Composer().keys(chain.inner, (kind,))
    columns = "r.key AS key, r.type AS type, r.logical_id AS id, v.body AS body"
    told, joined = "u.key, u.type, u.id, u.body", " JOIN version v ON v.seq = r.seq"
    if not shown:
        columns, told, joined = "r.logical_id AS id", "NULL, NULL, u.id, NULL", ""
    text = (
        f"SELECT {told}, {number}, NULL, NULL, NULL FROM (SELECT {columns} FROM resource r{joined}"
        f" WHERE r.key IN ({keys.text}) AND +r.type = ? AND r.deleted = 0 LIMIT ?) AS u"
    )
    return Sql(text, (*keys.values, kind, MOST + 1))


@lru_cache(maxsize=1024)
def _resolved(where: Expression, answers: tuple[Answer, ...]) -> Expression:
    asked = zip(flattened(where), _chains(where) or (), answers, strict=True)
    found = tuple(
        part if chains is None else _replaced(part, chains, answer)
        for part, chains, answer in asked
    )
    return found[0] if len(found) == 1 else x.And(found)


def _replaced(part: Expression, chains: _Chains, answer: Answer) -> Expression:
    """The references that are left of chains; the chains themselves when they lead to many."""
    targets: list[x.Target] = []
    left: list[Expression] = []
    numbers: tuple[int, ...] = ()
    for number, chain in enumerate(chains.parts):
        ids = sorted([logical_id for place, logical_id in answer if place == number])
        if isinstance(chain, x.Chain):
            targets += [x.Target(chain.target_type, logical_id) for logical_id in ids]
            numbers = chain.parameters
        elif ids:
            left.append(chain)
    if len(targets) > MOST:
        return part
    if targets:
        left.append(x.ReferenceMatch(numbers, tuple(targets)))
    return left[0] if len(left) == 1 else x.Or(tuple(left))
