"""The in-memory predicate of a search expression: what the in-memory store uses, and the oracle of the SQL ones.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cmp_to_key
from typing import Any, Protocol, TypeVar

from fhir_server.search import entries as e
from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Position, Range, SortKey


@dataclass(frozen=True, slots=True)
class Candidate:
    """A current resource as a search sees it; last_updated in microseconds since 1970."""

    key: int
    resource_type: str
    logical_id: str
    last_updated: int
    entries: e.IndexEntries


class World(Protocol):
    """The other resources, for chains and _has."""

    def candidates(self, resource_type: str) -> Iterable[Candidate]:
        """The current resources of a type."""

    def candidate(self, resource_type: str, logical_id: str) -> Candidate | None:
        """One current resource."""


E = TypeVar("E", bound=e.IndexEntry)

_TABLES: dict[str, type[e.IndexEntry]] = {
    "token": e.TokenEntry,
    "string": e.StringEntry,
    "reference": e.ReferenceEntry,
    "date": e.DateEntry,
    "number": e.NumberEntry,
    "quantity": e.QuantityEntry,
    "uri": e.UriEntry,
    "position": e.PositionEntry,
    "words": e.WordsEntry,
    "composite": e.CompositeEntry,
}


def matches(expression: Expression, candidate: Candidate, world: World) -> bool:
    """Whether the expression holds of the candidate."""
    match expression:
        case x.And(parts):
            return all(matches(part, candidate, world) for part in parts)
        case x.Or(parts):
            return any(matches(part, candidate, world) for part in parts)
        case x.Not(part):
            return not matches(part, candidate, world)
        case x.IdIn(ids):
            return candidate.logical_id in ids
        case x.OfType(resource_types):
            return candidate.resource_type in resource_types
        case x.LastUpdated(ranges):
            moment = candidate.last_updated
            return any(compare(item, moment, moment + 1) for item in ranges)
        case x.Chain():
            return _chained(expression, candidate, world)
        case x.LogicalChain():
            return _logically_chained(expression, candidate, world)
        case x.Has():
            return _referred(expression, candidate, world)
        case x.Other(leaf):
            return any(
                entry.parameter in leaf.parameters and not passes(leaf, entry)
                for entry in candidate.entries
            )
        case x.Present(table, parameters):
            return any(True for _ in _of(candidate, _TABLES[table], parameters))
        case x.WordMatch(parameters, words):
            texts = _of(candidate, e.WordsEntry, parameters)
            return any(set(words) <= set(entry.words.split(" ")) for entry in texts)
        case x.CompositeMatch(parameters, parts):
            return any(
                all(passes(part, item) for part, item in zip(parts, entry.parts, strict=True))
                for entry in _of(candidate, e.CompositeEntry, parameters)
            )
        case _:
            return any(
                entry.parameter in expression.parameters and passes(expression, entry)
                for entry in candidate.entries
            )


def _chained(chain: x.Chain, candidate: Candidate, world: World) -> bool:
    for entry in _of(candidate, e.ReferenceEntry, chain.parameters):
        if entry.target_type == chain.target_type:
            target = world.candidate(entry.target_type, entry.target_id)
            if target is not None and matches(chain.inner, target, world):
                return True
    return False


def _logically_chained(chain: x.LogicalChain, candidate: Candidate, world: World) -> bool:
    named = {
        (entry.system, entry.code)
        for entry in _of(candidate, e.TokenEntry, chain.parameters)
        if entry.system
    }
    return bool(named) and any(
        any(
            (entry.system, entry.code) in named
            for entry in _of(target, e.TokenEntry, chain.identifiers)
        )
        and matches(chain.inner, target, world)
        for target in world.candidates(chain.target_type)
    )


def _referred(has: x.Has, candidate: Candidate, world: World) -> bool:
    me = (candidate.resource_type, candidate.logical_id)
    return any(
        any(
            (entry.target_type, entry.target_id) == me
            for entry in _of(source, e.ReferenceEntry, has.parameters)
        )
        and matches(has.inner, source, world)
        for source in world.candidates(has.source_type)
    )


def _of(candidate: Candidate, kind: type[E], parameters: tuple[int, ...]) -> Iterator[E]:
    for entry in candidate.entries:
        if isinstance(entry, kind) and entry.parameter in parameters:
            yield entry


def passes(leaf: x.Leaf, entry: e.IndexEntry) -> bool:
    """Whether an entry passes a leaf, whatever parameter it is of."""
    match leaf, entry:
        case x.TokenMatch(_, tokens), e.TokenEntry():
            return any(
                token.system in (None, entry.system) and token.code in (None, entry.code)
                for token in tokens
            )
        case x.StringMatch(_, mode, values), e.StringEntry():
            return any(_string(mode, value, entry) for value in values)
        case x.ReferenceMatch(_, targets), e.ReferenceEntry():
            return any(_refers(target, entry) for target in targets)
        case x.DateMatch(_, ranges), e.DateEntry():
            return any(compare(item, entry.low, entry.high) for item in ranges)
        case x.DateWindow(_, ranges), e.DateEntry():
            return all(compare(item, entry.low, entry.high) for item in ranges)
        case x.NumberMatch(_, ranges), e.NumberEntry():
            return any(compare(item, entry.low, entry.high) for item in ranges)
        case x.QuantityMatch(_, quantities), e.QuantityEntry():
            return any(_quantity(item, entry) for item in quantities)
        case x.UriMatch(_, mode, values, version), e.UriEntry():
            return version in ("", entry.version) and any(
                _uri(mode, value, entry.value) for value in values
            )
        case x.Near(), e.PositionEntry():
            east, north, up = entry.x - leaf.x, entry.y - leaf.y, entry.z - leaf.z
            return east * east + north * north + up * up <= leaf.chord * leaf.chord
    return False


def _string(mode: str, value: str, entry: e.StringEntry) -> bool:
    folded = entry.folded
    match mode:
        case "exact":
            return entry.value == value
        case "starts":
            return folded.startswith(value)
        case "words":
            return folded.startswith(value) or f" {value}" in folded
        case "equals":
            return folded == value
        case "ends":
            return folded.endswith(value)
    return value in folded


def _refers(target: x.Target, entry: e.ReferenceEntry) -> bool:
    if target.url:
        same = entry.url == target.url
    else:
        same = target.target_id in ("", entry.target_id) and not entry.url
        same = same and target.target_type in (None, entry.target_type)
    return same and target.version in ("", entry.version)


def _quantity(item: x.Quantity, entry: e.QuantityEntry) -> bool:
    if not compare(item.range, entry.low, entry.high):
        return False
    if item.system is not None and item.system != entry.system:
        return False
    if item.code is None:
        return True
    return item.code == entry.code or (item.system is None and item.code == entry.unit)


def _uri(mode: str, value: str, stored: str) -> bool:
    match mode:
        case "below":
            return stored == value or stored.startswith(value.rstrip("/") + "/")
        case "above":
            return stored == value or value.startswith(stored.removesuffix("/") + "/")
    return stored == value


def compare(wanted: Range, low: float, high: float) -> bool:
    """Whether a stored range [low, high) passes the comparison; see Range."""
    match wanted.prefix:
        case "eq":
            return _equal(wanted, low, high)
        case "ne":
            return not _equal(wanted, low, high)
        case "gt":
            return high > wanted.high
        case "lt":
            return low < wanted.low
        case "ge":
            return high > wanted.high or _equal(wanted, low, high)
        case "le":
            return low < wanted.low or _equal(wanted, low, high)
        case "sa":
            return low >= wanted.high
        case "eb":
            return high <= wanted.low
        case "ap":
            return low < wanted.high and high > wanted.low


def _equal(wanted: Range, low: float, high: float) -> bool:
    return wanted.low <= low and high <= wanted.high


def position(candidate: Candidate, sort: tuple[SortKey, ...]) -> Position:
    """The keyset position: a value for each sort key (None when the resource has none), then the internal key."""
    return (*(_sort_value(candidate, item) for item in sort), candidate.key)


def _sort_value(candidate: Candidate, item: SortKey) -> int | float | str | None:
    if item.table == "last-updated":
        return candidate.last_updated
    if item.table == "id":
        return candidate.logical_id
    values: list[Any] = [
        _value(entry, descending=item.descending)
        for entry in _of(candidate, _TABLES[item.table], item.parameters)
    ]
    if not values:
        return None
    best: int | float | str = max(values) if item.descending else min(values)
    return best


def _value(entry: e.IndexEntry, *, descending: bool) -> int | float | str:
    match entry:
        case e.TokenEntry():
            return entry.code
        case e.StringEntry():
            return entry.folded
        case e.ReferenceEntry():
            return entry.url or entry.target_id
        case e.DateEntry() | e.NumberEntry() | e.QuantityEntry():
            return entry.high if descending else entry.low
        case e.UriEntry():
            return entry.value
        case e.PositionEntry() | e.WordsEntry() | e.CompositeEntry() | e.UniqueEntry():
            raise AssertionError(entry)  # nothing sorts by them


def precedes(left: Position, right: Position, sort: tuple[SortKey, ...]) -> bool:
    """Whether left comes before right: missing values last, whichever the direction; then the key.

    The key goes the way of the first sort key, so that an index can be walked either way.
    """
    for item, mine, theirs in zip(sort, left, right, strict=False):
        if mine == theirs:
            continue
        if mine is None or theirs is None:
            return theirs is None
        smaller = mine < theirs  # type: ignore[operator] # one sort key, one type
        return smaller != item.descending
    smaller = left[-1] < right[-1]  # type: ignore[operator] # the keys
    return smaller != (bool(sort) and sort[0].descending and left[-1] != right[-1])


def in_order(sort: tuple[SortKey, ...]) -> Callable[[Position], Any]:
    """What positions are sorted by, so that one that precedes another comes before it."""
    return cmp_to_key(lambda left, right: -1 if precedes(left, right, sort) else 1)
