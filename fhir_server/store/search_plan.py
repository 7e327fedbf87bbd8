"""How a search is answered: from a projection, from its most selective part, or by walking an order.

What is likely selective (an identifier, a reference) is taken at its word; of what may be or not, a bounded number of
rows is looked at before the choice. https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, SortKey
from fhir_server.search.extent import single
from fhir_server.store.rows import Row, type_numbers
from fhir_server.store.search_composer import BROAD, NEVER, VARIES, Composer, rank
from fhir_server.store.search_leaves import Sql
from fhir_server.store.search_projected import Projected, project

Fetch = Callable[[str, Sequence[Any]], list[Row]]
# So many keys are gathered and sorted without a second thought.
FEW = 10_000
# What follows references costs some look-ups a row, so less of it is looked at.
FEW_FOLLOWED = 1_500
_SELECTIVE = BROAD - 10
_PROBES = 2


@dataclass(frozen=True, slots=True, eq=False)
class Plan:
    """types: their numbers; projected or start (or neither): where the keys come from; rest: what is tested.

    walk: neither is selective, so that resources are better read in the wanted order until the page is full.
    """

    types: tuple[int, ...]
    projected: Projected | None
    start: Expression | None
    rest: tuple[Expression, ...]
    walk: bool

    @property
    def steady(self) -> bool:
        """Whether one way to go is the best one whatever the values are."""
        return self.projected is not None or (
            self.start is not None and rank(self.start) < _SELECTIVE
        )


@dataclass(frozen=True, slots=True)
class Probe:
    """A plan that is a good one when that counts fewer than most."""

    count: Sql
    most: int
    plan: Plan


@dataclass(frozen=True, slots=True)
class Plans:
    """What a search may be answered by: the first that a look at the data finds good, or else the last."""

    probes: tuple[Probe, ...]
    otherwise: Plan

    def chosen(self, fetch: Fetch) -> Plan:
        """Look."""
        for probe in self.probes:
            if int(fetch(probe.count.text, probe.count.values)[0][0]) < probe.most:
                return probe.plan
        return self.otherwise


def plan(
    resource_types: tuple[str, ...],
    where: Expression,
    sort: tuple[SortKey, ...] | None,
    fetch: Fetch,
) -> Plan:
    """The plan; sort None: to be counted, so that nothing can be stopped early."""
    return _plans(resource_types, where, sort).chosen(fetch)


@lru_cache(maxsize=1024)
def _plans(
    resource_types: tuple[str, ...], where: Expression, sort: tuple[SortKey, ...] | None
) -> Plans:
    projected = _from_projection(resource_types, where)
    if projected is not None:
        return projected
    types = tuple(type_numbers()[name] for name in dict.fromkeys(resource_types))
    parts = _windows(flattened(where))
    ordered = sorted(parts, key=rank)
    if not ordered or rank(ordered[0]) >= NEVER:
        return Plans((), Plan(types, None, None, parts, walk=True))
    start = ordered[0]
    if rank(start) < _SELECTIVE or sort is None or len(sort) > 1:
        return Plans((), Plan(types, None, start, _without(parts, start), walk=False))
    probes = tuple(
        _probe(part, Plan(types, None, part, _without(parts, part), walk=False))
        for part in ordered[:_PROBES]
        if rank(part) < NEVER
    )
    return Plans(probes, Plan(types, None, None, parts, walk=True))


@lru_cache(maxsize=1024)
def _from_projection(resource_types: tuple[str, ...], where: Expression) -> Plans | None:
    """Whatever the order is, and for a count as well."""
    projected = project(resource_types, flattened(where))
    if projected is None:
        return None
    types = (type_numbers()[resource_types[0]],)
    return Plans((), Plan(types, projected, None, projected.rest, walk=False))


def flattened(expression: Expression) -> tuple[Expression, ...]:
    """The parts of a conjunction, those of conjunctions inside it too."""
    if not isinstance(expression, x.And):
        return (expression,)
    return tuple(inner for part in expression.parts for inner in flattened(part))


def _without(parts: tuple[Expression, ...], start: Expression) -> tuple[Expression, ...]:
    return tuple(part for part in parts if part is not start)


def _windows(parts: tuple[Expression, ...]) -> tuple[Expression, ...]:
    """Comparisons of a date that a resource has once are of one value: together they are a window in its index."""
    found: list[Expression] = []
    windows: dict[tuple[int, ...], list[x.Range]] = {}
    for part in parts:
        if (
            isinstance(part, x.DateMatch)
            and len(part.ranges) == 1
            and all(single(number) for number in part.parameters)
        ):
            windows.setdefault(part.parameters, []).extend(part.ranges)
        else:
            found.append(part)
    found += [x.DateWindow(numbers, tuple(ranges)) for numbers, ranges in windows.items()]
    return tuple(found)


def _probe(part: Expression, plan: Plan) -> Probe:
    """Whether that part leaves few."""
    keys = Composer().keys(part, plan.types)
    followed = isinstance(part, x.Chain | x.LogicalChain | x.Has | x.Or)
    most = FEW_FOLLOWED if followed else FEW
    text = f"{VARIES if followed else ''}SELECT COUNT(*) FROM (SELECT 1 FROM ({keys.text}) AS k LIMIT ?) AS few"
    return Probe(Sql(text, (*keys.values, most)), most, plan)
