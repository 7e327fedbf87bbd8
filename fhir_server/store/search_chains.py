"""Chains of a search that lead to few resources, looked up before it: what is left is a search by their ids.

A statement with ids in it can be answered from a projection, and a planner need not guess how many they are.
https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.search_composer import Composer, rank
from fhir_server.store.search_leaves import one_of
from fhir_server.store.search_plan import flattened

Fetch = Callable[[str, Sequence[Any]], list[Row]]
MOST = 200
_BROAD = 40


def resolved(where: Expression, fetch: Fetch) -> Expression:
    """The same search, with each selective chain of the conjunction as a reference to the ids that it leads to."""
    parts = flattened(where)
    if not any(isinstance(part, x.Chain | x.Or) for part in parts):
        return where
    found = tuple(_resolved(part, fetch) for part in parts)
    return found[0] if len(found) == 1 else x.And(found)


def _resolved(part: Expression, fetch: Fetch) -> Expression:
    chains = part.parts if isinstance(part, x.Or) else (part,)
    if not chains or not all(isinstance(item, x.Chain | x.LogicalChain) for item in chains):
        return part
    targets: list[x.Target] = []
    left: list[Expression] = []
    numbers: set[tuple[int, ...]] = set()
    for chain in chains:
        if isinstance(chain, x.LogicalChain):
            if _used(chain, fetch):
                left.append(chain)
            continue
        assert isinstance(chain, x.Chain)
        ids = _ids(chain, fetch)
        if ids is None or len(targets) + len(ids) > MOST:
            return part
        targets += [x.Target(chain.target_type, logical_id) for logical_id in ids]
        numbers.add(chain.parameters)
    if len(numbers) != 1:
        return part
    if targets:
        left.append(x.ReferenceMatch(numbers.pop(), tuple(targets)))
    return left[0] if len(left) == 1 else x.Or(tuple(left))


def _used(chain: x.LogicalChain, fetch: Fetch) -> bool:
    """Whether any reference by that parameter is by an identifier at all."""
    named = one_of("parameter", chain.parameters)
    return bool(fetch(f"SELECT 1 FROM token WHERE {named.text} LIMIT 1", named.values))


def _ids(chain: x.Chain, fetch: Fetch) -> list[str] | None:
    """The ids that the inner expression holds for; None when it is not selective, or they are many."""
    number = type_numbers().get(chain.target_type, -1)
    if rank(chain.inner) >= _BROAD:
        return None
    keys = Composer().keys(chain.inner, (number,))
    text = (
        f"SELECT r.logical_id FROM resource r WHERE r.key IN ({keys.text})"
        " AND +r.type = ? AND r.deleted = 0 LIMIT ?"
    )
    found = [row[0] for row in fetch(text, (*keys.values, number, MOST + 1))]
    return found if len(found) <= MOST else None
