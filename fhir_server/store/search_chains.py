"""Chains of a search that lead to few resources, looked up before it: what is left is a search by their ids.

A statement with ids in it can be answered from a projection, and a planner need not guess how many they are.
https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.search_composer import Composer, rank
from fhir_server.store.search_leaves import Sql, numbered
from fhir_server.store.search_plan import flattened
from fhir_server.store.sql_parts import COLUMNS

Fetch = Callable[[str, Sequence[Any]], list[Row]]
MOST = 200
_BROAD = 40
# The columns of a row without a version.
_PLAIN = 2


NOBODY: frozenset[int] = frozenset()


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

    def question(self, follow: frozenset[int]) -> Sql:
        """The rows are the number of a chain and an id that it leads to, and its version where all start from follow.

        Those of a chain by identifiers tell that there are references by an identifier at all.
        """
        whole = not follow.isdisjoint(self.parameters) and follow.issuperset(self.parameters)
        made = self._questions.get(whole)
        if made is None:
            parts = [_question(number, item, whole) for number, item in enumerate(self.parts)]
            text = " UNION ALL ".join([item.text for item in parts])
            made = Sql(text, tuple(value for item in parts for value in item.values))
            self._questions[whole] = made
        return made


def is_chained(where: Expression) -> bool:
    """Whether there is a chain to be looked up."""
    return _chains(where) is not None


def resolved(
    where: Expression, fetch: Fetch, follow: frozenset[int] = NOBODY
) -> tuple[Expression, list[Row]]:
    """The same search, with each selective chain of the conjunction as a reference to the ids that it leads to.

    And the versions (COLUMNS) that the chains of those parameters have led to.
    """
    chains = _chains(where)
    if chains is None:
        return where, []
    answers: list[tuple[Row, ...]] = []
    met: list[Row] = []
    for item in chains:
        if item is None:
            answers.append(())
            continue
        question = item.question(follow)
        found = fetch(question.text, question.values)
        if found and len(found[0]) > _PLAIN:
            met += [row[_PLAIN:] for row in found if row[_PLAIN] is not None]
            found = [row[:_PLAIN] for row in found]
        answers.append(tuple(found))
    return _resolved(where, tuple(answers)), met


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


def _question(number: int, chain: x.Chain | x.LogicalChain, whole: bool) -> Sql:
    """whole: with the versions."""
    if isinstance(chain, x.LogicalChain):
        named = numbered("parameter", chain.parameters)
        nothing = ", NULL" * len(COLUMNS.split(",")) if whole else ""
        text = (
            f"SELECT {number} AS n, u.id{nothing} FROM (SELECT '' AS id FROM token WHERE {named.text}"
            " ORDER BY parameter, code LIMIT 1) AS u"
        )
        return Sql(text, named.values)
    kind = type_numbers().get(chain.target_type, -1)
    keys = Composer().keys(chain.inner, (kind,))
    columns, joined = (f", {COLUMNS}", " JOIN version v ON v.seq = r.seq") if whole else ("", "")
    text = (
        f"SELECT {number} AS n, {'u.*' if whole else 'u.id'} FROM (SELECT r.logical_id AS id{columns}"
        f" FROM resource r{joined} WHERE r.key IN ({keys.text}) AND +r.type = ? AND r.deleted = 0 LIMIT ?) AS u"
    )
    return Sql(text, (*keys.values, kind, MOST + 1))


@lru_cache(maxsize=1024)
def _resolved(where: Expression, answers: tuple[tuple[Row, ...], ...]) -> Expression:
    asked = zip(flattened(where), _chains(where) or (), answers, strict=True)
    found = tuple(
        part if chains is None else _replaced(part, chains, answer)
        for part, chains, answer in asked
    )
    return found[0] if len(found) == 1 else x.And(found)


def _replaced(part: Expression, chains: _Chains, answer: tuple[Row, ...]) -> Expression:
    """The references that are left of chains; the chains themselves when they lead to many."""
    targets: list[x.Target] = []
    left: list[Expression] = []
    numbers: tuple[int, ...] = ()
    for number, chain in enumerate(chains.parts):
        ids = [row[1] for row in answer if row[0] == number]
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
