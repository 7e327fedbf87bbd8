"""Searches that a projection answers: one walk of its index, in place of several index tables tested row by row.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, SortKey
from fhir_server.search.extent import single
from fhir_server.store.projections import Projection, projections
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import fit, system_number
from fhir_server.store.search_leaves import Sql, compare, join, one_of, within

# More than this and walking each costs more than sorting what all of them find.
_FEW_WALKS = 8


@dataclass(frozen=True, slots=True)
class Projected:
    """A projection that covers parts of a search: the condition on its row p, and the parts that are left to test.

    single: a resource has at most one row that passes. walks: conditions that part the one into few, each of which is
    met by rows that follow one another in the order of the date.
    """

    projection: Projection
    condition: Sql
    rest: tuple[Expression, ...]
    single: bool
    walks: tuple[Sql, ...]

    def sorts(self, sort: Sequence[SortKey]) -> str | None:
        """The column of p that is in the wanted order, if there is one."""
        if len(sort) != 1 or sort[0].table != "date" or sort[0].parameters != (self._date,):
            return None
        return "p.high" if sort[0].descending else "p.low"

    @property
    def _date(self) -> int:
        return self.projection.date.number


def project(resource_types: tuple[str, ...], parts: Sequence[Expression]) -> Projected | None:
    """The first declared projection that has both a value and a date to start from."""
    if len(resource_types) != 1:
        return None
    for item in projections():
        if item.resource_type == resource_types[0]:
            found = _covered(item, parts)
            if found is not None:
                return found
    return None


def _covered(item: Projection, parts: Sequence[Expression]) -> Projected | None:
    named = Sql(f"p.parameter = {item.number}")
    values: list[Sql] = []
    rest = []
    single = True
    # For each value the conditions that it may be parted into.
    taken: dict[str, list[Sql]] = {}
    for part in parts:
        place = _place(item, part, taken)
        found = None if place is None else _value(part, place)
        if place is None or found is None:
            rest.append(part)
            continue
        taken[place] = _apart(part, place, found)
        values.append(found)
        single = single and _single(part)
    dates = [part for part in rest if _dated(item, part)]
    if not dates or ("1" not in taken if item.by else "2" not in taken):
        return None
    common = [] if item.by else [Sql("p.value1 = ''")]
    for part in dates:
        assert isinstance(part, x.DateMatch)
        common += [*within("p", part.ranges[0], item.width), compare("p", part.ranges[0])]
    condition = join([named, *values, *common], " AND ", "")
    left = tuple(part for part in rest if part not in dates)
    # Without the second value its repeats would each be a row.
    single = single and "2" in taken
    walks: tuple[Sql, ...] = (condition,)
    if single and 1 < math.prod(map(len, taken.values())) <= _FEW_WALKS:
        chosen = product(*taken.values())
        walks = tuple(join([named, *each, *common], " AND ", "") for each in chosen)
    return Projected(item, condition, left, single, walks)


def _apart(part: Expression, place: str, found: Sql) -> list[Sql]:
    """A condition for each value, of which a row has one; none when that is not so, or there are many."""
    singles: list[Expression] = []
    match part:
        case x.TokenMatch(_, (_,)) | x.ReferenceMatch(_, (_,)):
            return [found]
        case x.TokenMatch(parameters, tokens) if len({item.code for item in tokens}) == len(tokens):
            singles = [x.TokenMatch(parameters, (item,)) for item in tokens]
        case x.ReferenceMatch(parameters, targets) if len(set(targets)) == len(targets):
            singles = [x.ReferenceMatch(parameters, (item,)) for item in targets]
    if len(singles) > _FEW_WALKS:
        return []
    return [_value(item, place) or Sql("1 = 0") for item in singles]


def _place(item: Projection, part: Expression, taken: Mapping[str, object]) -> str | None:
    """Which value of the projection a part is about; each can be taken once."""
    if not isinstance(part, x.TokenMatch | x.ReferenceMatch):
        return None
    if item.by is not None and part.parameters == (item.by.number,) and "1" not in taken:
        return "1"
    return "2" if part.parameters == (item.also.number,) and "2" not in taken else None


def _value(part: Expression, place: str) -> Sql | None:
    """The condition on a value and its system; None for a part that the projection cannot tell."""
    value, system = f"p.value{place}", f"p.system{place}"
    match part:
        case x.TokenMatch(_, (token,)) if token.code:
            return _named(token, value, system)
        case x.TokenMatch(_, tokens) if tokens and all(token.code for token in tokens):
            codes = tuple(dict.fromkeys(fit(token.code or "") for token in tokens))
            found = [one_of(value, codes)]
            if any(token.system is not None for token in tokens):
                found.append(join([_named(token, value, system) for token in tokens], " OR ", ""))
            return join(found, " AND ", "")
        case x.ReferenceMatch(_, targets) if targets and all(_plain(item) for item in targets):
            ids = tuple(dict.fromkeys(item.target_id for item in targets))
            found = [one_of(value, ids)]
            kinds = {item.target_type for item in targets}
            if len(kinds) > 1:
                return None
            kind = kinds.pop()
            if kind is not None:
                found.append(Sql(f"{system} = ?", (type_numbers().get(kind, -1),)))
            return join(found, " AND ", "")
    return None


def _named(token: x.Token, value: str, system: str) -> Sql:
    code = fit(token.code or "")
    if token.system is None:
        return Sql(f"{value} = ?", (code,))
    return Sql(f"({value} = ? AND {system} = ?)", (code, system_number(token.system)))


def _plain(target: x.Target) -> bool:
    return bool(target.target_id) and not target.url and not target.version


def _single(part: Expression) -> bool:
    """Whether a resource can pass by one of its values only; a code may come from several systems."""
    assert isinstance(part, x.TokenMatch | x.ReferenceMatch)
    if all(single(number) for number in part.parameters):
        return True
    match part:
        case x.ReferenceMatch(_, targets):
            return len(targets) == 1 and targets[0].target_type is not None
        case x.TokenMatch(_, tokens):
            return len(tokens) == 1 and tokens[0].system is not None
    return False


def _dated(item: Projection, part: Expression) -> bool:
    return (
        isinstance(part, x.DateMatch)
        and part.parameters == (item.date.number,)
        and len(part.ranges) == 1
        and part.ranges[0].prefix != "ne"
    )
