"""Equality and equivalence of nodes and collections (https://hl7.org/fhirpath/N1/#equality)."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

from fhir_server.fhirpath import quantities
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.temporal import Temporal, compare, instant_key, read_temporal

Collection = list[Node]
MOST_COMPARED = 1_000_000
TEMPORAL = {
    "System.Date": "Date", "System.DateTime": "DateTime", "System.Time": "Time",
    "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
}  # fmt: skip


def is_number(value: Any) -> bool:
    """Whether it is an integer or a decimal, and no boolean."""
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def temporal(node: Node) -> Temporal | None:
    """The date or time of a node, or None."""
    kind = TEMPORAL.get(node.type)
    if kind is None or not isinstance(node.value, str):
        return None
    return read_temporal(node.value, kind)


def loose_temporal(node: Node) -> Temporal | None:
    """The date or time that a string spells, or None."""
    return read_temporal(node.value) if isinstance(node.value, str) else None


def equal(left: Collection, right: Collection) -> bool | None:
    """The = operator: None where it is empty."""
    if not left or not right:
        return None
    if len(left) != len(right):
        return False
    result: bool | None = True
    for one, other in zip(left, right, strict=True):
        found = _equal(one, other)
        if found is False:
            return False
        result = None if found is None else result
    return result


def _equal(one: Node, other: Node) -> bool | None:
    left, right = one.value, other.value
    if one.type in TEMPORAL or other.type in TEMPORAL:
        mine, theirs = temporal(one), temporal(other)
        mine, theirs = mine or loose_temporal(one), theirs or loose_temporal(other)
        if mine is None or theirs is None:
            return left == right and type(left) is type(right)
        if (mine.kind == "Time") != (theirs.kind == "Time"):
            return False
        order = compare(mine, theirs)
        return None if order is None else order == 0
    if isinstance(left, dict) or isinstance(right, dict):
        first, second = quantities.read(one), quantities.read(other)
        if first is not None and second is not None:
            found = quantities.compare(first, second)
            return None if found is None else found == 0
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if is_number(left) and is_number(right):
        return bool(left == right)
    return type(left) is type(right) and bool(left == right)


def equivalent(left: Collection, right: Collection) -> bool:
    """The ~ operator: order does not matter, nor do case and the amount of space in strings.

    Raises FhirPathError for collections too large to compare.
    """
    if len(left) != len(right):
        return False
    if len(left) ** 2 > MOST_COMPARED:
        raise FhirPathError(f"{len(left)} items are too many to compare by ~")
    rest = list(right)
    for one in left:
        place = next((at for at, item in enumerate(rest) if _equivalent(one, item)), None)
        if place is None:
            return False
        del rest[place]
    return True


def _equivalent(one: Node, other: Node) -> bool:
    left, right = one.value, other.value
    mine, theirs = temporal(one), temporal(other)
    if mine is not None and theirs is not None:
        return (mine.kind == "Time") == (theirs.kind == "Time") and compare(mine, theirs) == 0
    if isinstance(left, str) and isinstance(right, str):
        return " ".join(left.lower().split()) == " ".join(right.lower().split())
    if is_number(left) and is_number(right):
        return _rounded_alike(left, right)
    if isinstance(left, dict) and isinstance(right, dict):
        first, second = quantities.read(one), quantities.read(other)
        if first is not None and second is not None:
            return quantities.equivalent(first, second)
        names = {child for node in (one, other) for child in node.value if child != "id"}
        return all(equivalent(one.children(name), other.children(name)) for name in names)
    return _equal(one, other) is True


def _rounded_alike(left: Any, right: Any) -> bool:
    if not (quantities.modest(left) and quantities.modest(right)):
        return bool(left == right)
    step = Decimal(1).scaleb(-min(quantities.places(left), quantities.places(right)))
    try:
        one, other = (Decimal(item).quantize(step, ROUND_HALF_UP) for item in (left, right))
    except DecimalException:
        return bool(left == right)
    return one == other


def mark(node: Node) -> Hashable:
    """Equal for two nodes when they are equal as values: for sets of nodes."""
    value = node.value
    if node.type in TEMPORAL:
        found = temporal(node)
        if found is not None:
            return instant_key(found)
    if isinstance(value, dict):
        amount = quantities.read(node)
        return _frozen(value) if amount is None else ("quantity", amount.canonical())
    if value is None:
        return ("none", _frozen(node.extra))
    return (type(value) if isinstance(value, (bool, str)) else "number", value)


def _frozen(value: Any) -> Hashable:
    if isinstance(value, dict):
        return tuple(sorted((name, _frozen(item)) for name, item in value.items()))
    if isinstance(value, list):
        return ("list", *map(_frozen, value))
    return (type(value).__name__ if isinstance(value, (bool, str)) else "number", value)


def marks(found: Iterable[Node]) -> set[Hashable]:
    """The marks of several nodes."""
    return {mark(node) for node in found}


def contains(found: Collection, node: Node) -> bool:
    """Whether a collection has an equal item."""
    return any(_equal(item, node) is True for item in found)


def distinct(found: Collection) -> Collection:
    """Without repeats, in the order of the first ones."""
    if len(found) < 2:
        return found
    kept: dict[Hashable, Node] = {}
    for node in found:
        kept.setdefault(mark(node), node)
    return list(kept.values())
