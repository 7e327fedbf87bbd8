"""FHIRPath's operators on collections of nodes (https://hl7.org/fhirpath/N1/#operations)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import Any

from fhir_server.fhirpath import quantities
from fhir_server.fhirpath.equality import (
    Collection,
    contains,
    distinct,
    is_number,
    loose_temporal,
    temporal,
)
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.temporal import add, compare

SYSTEM_TYPES = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"}
)
LARGEST_INTEGER = 2**63 - 1
LONGEST_STRING = 1_048_576
MOST_ITEMS = 100_000
_DAY = len("2026-03-05")


def single(found: Collection) -> Node:
    """The one node. Raises FhirPathError when there are several."""
    if len(found) != 1:
        raise FhirPathError(f"One item is needed, there are {len(found)}")
    return found[0]


def truth(found: Collection) -> bool | None:
    """A collection as a condition: None when empty, a single item that is no boolean is true."""
    if not found:
        return None
    value = single(found).value
    return value if isinstance(value, bool) else True


def integer(found: Collection) -> int | None:
    """The integer of a collection, None when empty."""
    if not found:
        return None
    value = single(found).value
    if isinstance(value, bool) or not isinstance(value, int):
        raise FhirPathError("An integer is needed")
    return value


def text(found: Collection) -> str | None:
    """The string of a collection, None when empty."""
    if not found:
        return None
    node = single(found)
    if node.value is None:
        return None
    if not isinstance(node.value, str):
        raise FhirPathError("A string is needed")
    return node.value


def bounded_text(value: str) -> Node:
    """A string's node. Raises FhirPathError for one that is too long."""
    if len(value) > LONGEST_STRING:
        raise FhirPathError(f"A string of {len(value)} characters is too long")
    return Node(value, "System.String")


def bounded(found: Collection) -> Collection:
    """The collection itself. Raises FhirPathError for one with too many items."""
    if len(found) > MOST_ITEMS:
        raise FhirPathError(f"A collection has more than {MOST_ITEMS} items")
    return found


def order(left: Collection, right: Collection) -> int | None:
    """-1, 0 or 1 for the ordering operators; None where they are empty. Raises FhirPathError for what has no order."""
    if not left or not right:
        return None
    return order_of(single(left), single(right))


def order_of(one: Node, other: Node) -> int | None:
    """The order of two nodes, as order() gives it for two collections of one."""
    if one.type in _WRITTEN_IN_ORDER and other.type == one.type:
        a, b = one.value, other.value
        if isinstance(a, str) and isinstance(b, str) and _alike(a, b):
            return (a > b) - (a < b)
    mine, theirs = temporal(one), temporal(other)
    if mine is not None or theirs is not None:
        mine, theirs = mine or loose_temporal(one), theirs or loose_temporal(other)
        if mine is None or theirs is None:
            raise FhirPathError("A date cannot be compared with something else")
        return compare(mine, theirs)
    a, b = one.value, other.value
    if a is None or b is None:
        return None
    if (is_number(a) and is_number(b)) or (isinstance(a, str) and isinstance(b, str)):
        return int(a > b) - int(a < b)
    if not all(is_number(node.value) or quantities.is_quantity(node.type) for node in (one, other)):
        raise FhirPathError("These two have no order")
    first, second = _amount(one), _amount(other)
    return None if first is None or second is None else quantities.compare(first, second)


# Dates and times of one form, and in UTC, are in the order of their texts.
_WRITTEN_IN_ORDER = frozenset({"date", "dateTime", "instant"})


def _alike(one: str, other: str) -> bool:
    if len(one) != len(other):
        return False
    return len(one) <= _DAY or (one[-1] == "Z" == other[-1] and one[_DAY] == "T" == other[_DAY])


def _amount(node: Node) -> quantities.Amount | None:
    """A quantity; a number counts as one of the unit 1."""
    if isinstance(node.value, dict):
        return quantities.read(node)
    if is_number(node.value) and quantities.modest(node.value):
        return quantities.Amount(Decimal(node.value), "1")
    return None


def union(left: Collection, right: Collection) -> Collection:
    """The | operator."""
    if not right and len(left) < 2:
        return left
    if not left and len(right) < 2:
        return right
    return distinct(bounded(left + right))


def member_of(item: Collection, found: Collection) -> Collection:
    """The in operator."""
    if not item:
        return []
    return [Node(contains(found, single(item)), "System.Boolean")]


def number(value: int | Decimal) -> Collection:
    """A number's node; nothing for one beyond what can be represented."""
    if isinstance(value, int):
        return [Node(value, "System.Integer")] if abs(value) <= LARGEST_INTEGER else []
    return [Node(value, "System.Decimal")] if quantities.modest(value) else []


def _numbers(left: Collection, right: Collection) -> tuple[Any, Any] | None:
    if not left or not right:
        return None
    one, other = single(left).value, single(right).value
    if not is_number(one) or not is_number(other):
        raise FhirPathError("A number is needed")
    if not quantities.modest(one) or not quantities.modest(other):
        return None
    return one, other


def _sum(sign: int) -> Callable[[Collection, Collection], Collection]:
    def apply(left: Collection, right: Collection) -> Collection:
        if not left or not right:
            return []
        one, other = single(left), single(right)
        if sign > 0 and isinstance(one.value, str) and isinstance(other.value, str):
            if temporal(one) is None and temporal(other) is None:
                return [bounded_text(one.value + other.value)]
        elif isinstance(other.value, dict):
            return _quantity_sum(one, other, sign)
        numbers = _numbers(left, right)
        return [] if numbers is None else number(numbers[0] + sign * numbers[1])

    return apply


def _quantity_sum(one: Node, other: Node, sign: int) -> Collection:
    amount, moment = quantities.read(other), temporal(one)
    if amount is None:
        return []
    if moment is not None:
        unit = amount.calendar_word
        if unit is None:
            raise FhirPathError(
                f"'{amount.unit}' cannot be added to a date or time; "
                "write a calendar unit, as 1 month"
            )
        return [Node(add(moment, amount.value * sign, unit).text, one.type)]
    first = _amount(one)
    if first is None:
        raise FhirPathError("A quantity is added to a quantity, a date or a time")
    found = quantities.add(first, amount, sign)
    return [] if found is None else [found]


def _product(sign: int) -> Callable[[Collection, Collection], Collection]:
    def apply(left: Collection, right: Collection) -> Collection:
        if not left or not right:
            return []
        one, other = single(left), single(right)
        if isinstance(one.value, dict) or isinstance(other.value, dict):
            first, second = _amount(one), _amount(other)
            if first is None or second is None:
                raise FhirPathError("A number or a quantity is needed")
            found = quantities.multiply(first, second, sign)
            return [] if found is None else [found]
        numbers = _numbers(left, right)
        if numbers is None:
            return []
        if sign > 0:
            return number(numbers[0] * numbers[1])
        return number(Decimal(numbers[0]) / Decimal(numbers[1])) if numbers[1] else []

    return apply


def _whole(left: Collection, right: Collection) -> Collection:
    numbers = _numbers(left, right)
    if numbers is None or not numbers[1]:
        return []
    try:
        return number(int(Decimal(numbers[0]) / Decimal(numbers[1])))
    except DecimalException:
        return []


def _rest(left: Collection, right: Collection) -> Collection:
    numbers = _numbers(left, right)
    if numbers is None or not numbers[1]:
        return []
    try:
        value = Decimal(numbers[0]) % Decimal(numbers[1])
    except DecimalException:
        return []
    integers = isinstance(numbers[0], int) and isinstance(numbers[1], int)
    return number(int(value) if integers else value)


def _concatenate(left: Collection, right: Collection) -> Collection:
    return [bounded_text((text(left) or "") + (text(right) or ""))]


ARITHMETIC: dict[str, Callable[[Collection, Collection], Collection]] = {
    "+": _sum(1), "-": _sum(-1), "*": _product(1), "/": _product(-1), "div": _whole, "mod": _rest,
    "&": _concatenate,
}  # fmt: skip
