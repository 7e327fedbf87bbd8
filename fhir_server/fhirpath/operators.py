"""FHIRPath's operators on collections of nodes (https://hl7.org/fhirpath/N1/#operations)."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal, DecimalException
from typing import Any

from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.temporal import Temporal, add, compare, read_temporal

Collection = list[Node]
UCUM = "http://unitsofmeasure.org"
SYSTEM_TYPES = frozenset(
    {"Boolean", "String", "Integer", "Decimal", "Date", "DateTime", "Time", "Quantity"}
)
TEMPORAL = {
    "System.Date": "Date", "System.DateTime": "DateTime", "System.Time": "Time",
    "date": "Date", "dateTime": "DateTime", "instant": "DateTime", "time": "Time",
}  # fmt: skip
_QUANTITIES = frozenset(
    {
        "System.Quantity",
        "Quantity",
        "Age",
        "Count",
        "Distance",
        "Duration",
        "SimpleQuantity",
        "MoneyQuantity",
    }
)
_CALENDAR = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
    "millisecond": "ms",
}  # fmt: skip
_SECONDS = {"wk": 604800, "d": 86400, "h": 3600, "min": 60, "s": 1, "ms": Decimal("0.001")}
_METRES = {"km": 1000, "m": 1, "dm": Decimal("0.1"), "cm": Decimal("0.01"), "mm": Decimal("0.001")}
_GRAMS = {"kg": 1000, "g": 1, "mg": Decimal("0.001"), "ug": Decimal("0.000001")}
_SCALES: tuple[dict[str, Any], ...] = (_SECONDS, _METRES, _GRAMS)


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


def temporal(node: Node) -> Temporal | None:
    """The date or time of a node, or None."""
    kind = TEMPORAL.get(node.type)
    if kind is None or not isinstance(node.value, str):
        return None
    return read_temporal(node.value, kind)


def quantity(node: Node) -> tuple[Decimal, str] | None:
    """The value and unit of a quantity or number, calendar units as their UCUM codes; None for anything else."""
    if node.type in _QUANTITIES and isinstance(node.value, dict):
        value = node.value.get("value")
        if value is None or isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            return None
        unit = node.value.get("code") or node.value.get("unit") or "1"
        return Decimal(value), _CALENDAR.get(unit, _CALENDAR.get(unit.removesuffix("s"), unit))
    return None


def _scaled(
    value: tuple[Decimal, str], other: tuple[Decimal, str]
) -> tuple[Decimal, Decimal] | None:
    if value[1] == other[1]:
        return value[0], other[0]
    for scale in _SCALES:
        if value[1] in scale and other[1] in scale:
            return value[0] * scale[value[1]], other[0] * scale[other[1]]
    return None


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
        mine, theirs = temporal(one) or _loose(one), temporal(other) or _loose(other)
        if mine is not None and theirs is not None:
            if (mine.kind == "Time") != (theirs.kind == "Time"):
                return False
            found = compare(mine, theirs)
            return None if found is None else found == 0
        return False
    if one.type in _QUANTITIES and other.type in _QUANTITIES:
        first, second = quantity(one), quantity(other)
        if first is not None and second is not None:
            scaled = _scaled(first, second)
            return None if scaled is None else scaled[0] == scaled[1]
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, (int, Decimal)) and isinstance(right, (int, Decimal)):
        return left == right
    return type(left) is type(right) and bool(left == right)


def _loose(node: Node) -> Temporal | None:
    return read_temporal(node.value) if isinstance(node.value, str) else None


def equivalent(left: Collection, right: Collection) -> bool:
    """The ~ operator: order does not matter, nor does the case of strings."""
    if len(left) != len(right):
        return False
    rest = list(right)
    for one in left:
        match = next((item for item in rest if _equivalent(one, item)), None)
        if match is None:
            return False
        rest.remove(match)
    return True


def _equivalent(one: Node, other: Node) -> bool:
    left, right = one.value, other.value
    mine, theirs = temporal(one), temporal(other)
    if mine is not None and theirs is not None:
        return len(mine.parts) == len(theirs.parts) and compare(mine, theirs) == 0
    if isinstance(left, str) and isinstance(right, str):
        return " ".join(left.lower().split()) == " ".join(right.lower().split())
    if (
        isinstance(left, (int, Decimal))
        and isinstance(right, (int, Decimal))
        and not isinstance(left, bool)
    ):
        places = min(_places(left), _places(right))
        return round(Decimal(left), places) == round(Decimal(right), places)
    if isinstance(left, dict) and isinstance(right, dict) and one.type not in _QUANTITIES:
        names = {child for node in (one, other) for child in node.value if child != "id"}
        return all(equivalent(one.children(name), other.children(name)) for name in names)
    return _equal(one, other) is True


def _places(value: int | Decimal) -> int:
    exponent = Decimal(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def order(left: Collection, right: Collection) -> int | None:
    """-1, 0 or 1 for the ordering operators; None where they are empty. Raises FhirPathError for what has no order."""
    if not left or not right:
        return None
    one, other = single(left), single(right)
    mine, theirs = temporal(one), temporal(other)
    if mine is not None or theirs is not None:
        mine, theirs = mine or _loose(one), theirs or _loose(other)
        if mine is None or theirs is None:
            raise FhirPathError("A date cannot be compared with something else")
        return compare(mine, theirs)
    first, second = quantity(one), quantity(other)
    if first is not None and second is not None:
        scaled = _scaled(first, second)
        if scaled is None:
            return None
        return _sign(scaled[0], scaled[1])
    a, b = one.value, other.value
    if a is None or b is None:
        return None
    numbers = all(
        isinstance(item, (int, Decimal)) and not isinstance(item, bool) for item in (a, b)
    )
    if numbers or (isinstance(a, str) and isinstance(b, str)):
        return _sign(a, b)
    raise FhirPathError("These two have no order")


def _sign(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)


def contains(found: Collection, node: Node) -> bool:
    """Whether a collection has an equal item."""
    return any(_equal(item, node) is True for item in found)


def distinct(found: Collection) -> Collection:
    """Without repeats, in the order of the first ones."""
    kept: Collection = []
    seen: set[object] = set()
    for node in found:
        if isinstance(node.value, (str, int, Decimal)) and node.type not in TEMPORAL:
            mark = (isinstance(node.value, bool), node.value)
            if mark in seen:
                continue
            seen.add(mark)
            kept.append(node)
        elif not contains(kept, node):
            kept.append(node)
    return kept


def union(left: Collection, right: Collection) -> Collection:
    """The | operator."""
    if not right and len(left) < 2:
        return left
    if not left and len(right) < 2:
        return right
    return distinct(left + right)


def member_of(item: Collection, found: Collection) -> Collection:
    """The in operator."""
    if not item:
        return []
    return [Node(contains(found, single(item)), "System.Boolean")]


def _numbers(left: Collection, right: Collection) -> tuple[Any, Any, str] | None:
    if not left or not right:
        return None
    one, other = single(left), single(right)
    for node in (one, other):
        if isinstance(node.value, bool) or not isinstance(node.value, (int, Decimal)):
            raise FhirPathError("A number is needed")
    kind = (
        "System.Integer"
        if isinstance(one.value, int) and isinstance(other.value, int)
        else "System.Decimal"
    )
    return one.value, other.value, kind


def _plus(left: Collection, right: Collection) -> Collection:
    if not left or not right:
        return []
    one, other = single(left), single(right)
    moved = _moved(one, other, 1)
    if moved is not None:
        return [moved]
    if isinstance(one.value, str) and isinstance(other.value, str):
        return [Node(one.value + other.value, "System.String")]
    found = _quantities(one, other, lambda a, b: a + b)
    if found is not None:
        return found
    numbers = _numbers(left, right)
    assert numbers is not None
    return [Node(numbers[0] + numbers[1], numbers[2])]


def _minus(left: Collection, right: Collection) -> Collection:
    if not left or not right:
        return []
    one, other = single(left), single(right)
    moved = _moved(one, other, -1)
    if moved is not None:
        return [moved]
    found = _quantities(one, other, lambda a, b: a - b)
    if found is not None:
        return found
    numbers = _numbers(left, right)
    assert numbers is not None
    return [Node(numbers[0] - numbers[1], numbers[2])]


def _quantities(
    one: Node, other: Node, work: Callable[[Decimal, Decimal], Decimal]
) -> Collection | None:
    first, second = quantity(one), quantity(other)
    if first is None or second is None:
        return None
    if first[1] != second[1]:
        return []
    return [Node(one.value | {"value": work(first[0], second[0])}, "System.Quantity")]


_WORDS = {code: word for word, code in _CALENDAR.items()}


def _moved(one: Node, other: Node, sign: int) -> Node | None:
    value, amount = temporal(one), quantity(other)
    if value is None or amount is None:
        return None
    if other.value.get("code") in ("a", "mo") and value.kind != "Date":
        raise FhirPathError("Add calendar years and months, not those of UCUM, to a date and time")
    unit = _WORDS.get(amount[1])
    if unit is None:
        raise FhirPathError(f"'{amount[1]}' cannot be added to a date or time")
    count = amount[0] * (7 if unit == "week" else 1) * sign
    return Node(add(value, count, "day" if unit == "week" else unit).text, one.type)


def _multiply(left: Collection, right: Collection) -> Collection:
    if left and right and (found := _quantities_times(single(left), single(right))) is not None:
        return found
    numbers = _numbers(left, right)
    return [] if numbers is None else [Node(numbers[0] * numbers[1], numbers[2])]


def _quantities_times(one: Node, other: Node) -> Collection | None:
    for quantity_node, number in ((one, other), (other, one)):
        found = quantity(quantity_node)
        if found is not None and isinstance(number.value, (int, Decimal)):
            return [
                Node(quantity_node.value | {"value": found[0] * number.value}, "System.Quantity")
            ]
    return None


def _divide(left: Collection, right: Collection) -> Collection:
    numbers = _numbers(left, right)
    if numbers is None or numbers[1] == 0:
        return []
    return [Node(Decimal(numbers[0]) / Decimal(numbers[1]), "System.Decimal")]


def _whole(left: Collection, right: Collection) -> Collection:
    numbers = _numbers(left, right)
    if numbers is None or numbers[1] == 0:
        return []
    try:
        return [Node(int(Decimal(numbers[0]) / Decimal(numbers[1])), "System.Integer")]
    except DecimalException:
        return []


def _rest(left: Collection, right: Collection) -> Collection:
    numbers = _numbers(left, right)
    if numbers is None or numbers[1] == 0:
        return []
    value = Decimal(numbers[0]) % Decimal(numbers[1])
    return [Node(int(value) if numbers[2] == "System.Integer" else value, numbers[2])]


def _concatenate(left: Collection, right: Collection) -> Collection:
    return [Node((text(left) or "") + (text(right) or ""), "System.String")]


ARITHMETIC: dict[str, Callable[[Collection, Collection], Collection]] = {
    "+": _plus, "-": _minus, "*": _multiply, "/": _divide, "div": _whole, "mod": _rest, "&": _concatenate,
}  # fmt: skip
