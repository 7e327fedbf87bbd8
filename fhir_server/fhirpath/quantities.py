"""Quantities: units of UCUM and calendar durations (https://hl7.org/fhirpath/N1/#quantity).

A System.Quantity node's value is {"value", "unit"} for a calendar duration (unit: year, month, ..., singular), and
{"value", "unit", "code", "system"} for a unit of UCUM.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from decimal import Decimal, DecimalException
from fractions import Fraction
from typing import Any

from fhir_server.fhirpath.node import Node
from fhir_server.spec import ucum

CALENDAR = {
    "year": "a", "month": "mo", "week": "wk", "day": "d", "hour": "h", "minute": "min", "second": "s",
    "millisecond": "ms",
}  # fmt: skip
_WORDS = {code: word for word, code in CALENDAR.items()}
_TYPES = frozenset(
    ("System.Quantity", "Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity")
)  # fmt: skip
LARGEST = 100

Dimensions = tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class Amount:
    """value in a unit: a calendar word when calendar, else a code of UCUM, or of the given other system."""

    value: Decimal
    unit: str
    calendar: bool = False
    other: str | None = None

    def canonical(self, *, loose: bool = False) -> tuple[Fraction, Dimensions]:
        """The value in base units and what they measure; amounts compare when they measure the same.

        Years and months of the calendar are no durations of UCUM, unless loose as for ~.
        """
        if self.other is not None:
            return Fraction(self.value), ((f"{self.other}|{self.unit}", 1),)
        unit = CALENDAR[self.unit] if self.calendar else self.unit
        if unit in ("a", "mo") and (loose or self.calendar):
            return Fraction(self.value) * (12 if unit == "a" else 1), (("calendar month", 1),)
        try:
            return ucum.canonical(Fraction(self.value), unit)
        except ucum.NotUcum:
            return Fraction(self.value), ((f"unknown unit {unit}", 1),)

    @property
    def calendar_word(self) -> str | None:
        """The calendar unit to add to a date: its own, or that of a UCUM unit of fixed length."""
        if self.calendar:
            return self.unit
        return None if self.unit in ("a", "mo") else _WORDS.get(self.unit)


def modest(value: Any) -> bool:
    """Whether it is a number of a size that one can calculate with exactly."""
    if isinstance(value, bool):
        return False
    if isinstance(value, int):
        return value.bit_length() < 4 * LARGEST
    if not isinstance(value, Decimal) or not value.is_finite():
        return False
    exponent = value.as_tuple().exponent
    return isinstance(exponent, int) and abs(exponent) <= LARGEST and value.adjusted() <= LARGEST


def is_quantity(kind: str) -> bool:
    """Whether a node type is Quantity or one of its profiles."""
    return kind in _TYPES


def read(node: Node) -> Amount | None:
    """The amount of a quantity; None for anything else, one without a value, and one with a comparator."""
    shown = node.value
    if node.type not in _TYPES or not isinstance(shown, dict) or "comparator" in shown:
        return None
    value = shown.get("value")
    if value is None or not modest(value):
        return None
    return _amount(Decimal(value), shown, node.type == "System.Quantity")


def _amount(value: Decimal, shown: dict[str, Any], system_type: bool) -> Amount:
    code, unit, system = shown.get("code"), shown.get("unit"), shown.get("system")
    if system not in (None, ucum.SYSTEM):
        return Amount(value, str(code or unit), other=str(system))
    if system is None:
        word = singular(unit or "")
        return Amount(value, word, True) if word in CALENDAR else Amount(value, code or unit or "1")
    if not system_type and code in _WORDS:
        # https://hl7.org/fhir/R4/fhirpath.html#quantity: a FHIR Quantity of time counts in calendar units
        return Amount(value, _WORDS[code], True)
    return Amount(value, str(code or unit or "1"))


def singular(word: str) -> str:
    """day for days; other texts as they are."""
    bare = word.removesuffix("s")
    return bare if bare in CALENDAR else word


def make(amount: Amount) -> Node:
    """The System.Quantity of an amount."""
    shown: dict[str, Any] = {"value": amount.value, "unit": amount.unit}
    if not amount.calendar:
        shown |= {"code": amount.unit, "system": amount.other or ucum.SYSTEM}
    return Node(shown, "System.Quantity")


def compare(left: Amount, right: Amount) -> int | None:
    """-1, 0 or 1; None when they do not measure the same."""
    one, what = left.canonical()
    other, that = right.canonical()
    return None if what != that else (one > other) - (one < other)


def equivalent(left: Amount, right: Amount) -> bool:
    """The ~ operator: equal when the finer one is rounded to the precision of the coarser one."""
    one, what = left.canonical(loose=True)
    other, that = right.canonical(loose=True)
    if what != that:
        return False
    coarse, exact = (left, other) if _step(left) >= _step(right) else (right, one)
    zero, unit = _scale(coarse)
    digits = places(coarse.value)
    return _rounded((exact - zero) / unit, digits) == _rounded(Fraction(coarse.value), digits)


def _scale(amount: Amount) -> tuple[Fraction, Fraction]:
    """The value in base units of zero, and the width of one."""
    zero = replace(amount, value=Decimal(0)).canonical(loose=True)[0]
    return zero, replace(amount, value=Decimal(1)).canonical(loose=True)[0] - zero


def _step(amount: Amount) -> Fraction:
    return _scale(amount)[1] / Fraction(10 ** places(amount.value))


def _rounded(value: Fraction, digits: int) -> int:
    return math.floor(value * Fraction(10**digits) + Fraction(1, 2))


def places(value: int | Decimal) -> int:
    """How many digits stand behind the point."""
    exponent = Decimal(value).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def add(left: Amount, right: Amount, sign: int) -> Node | None:
    """The sum or difference in the left one's unit; None when they do not measure the same."""
    if left.unit == right.unit and left.calendar == right.calendar and left.other == right.other:
        return make(replace(left, value=left.value + sign * right.value))
    other, that = right.canonical()
    if left.canonical()[1] != that:
        return None
    _, width = _scale(left)
    return make(replace(left, value=left.value + sign * _decimal(other / width)))


def multiply(left: Amount, right: Amount, sign: int = 1) -> Node | None:
    """The product, or the quotient with sign -1, in base units when both have one; None for division by zero."""
    if sign < 0 and not right.value:
        return None
    for one, other in ((left, right), (right, left)):
        if other.unit == "1" and other.other is None and (sign > 0 or other is right):
            value = one.value * other.value if sign > 0 else one.value / other.value
            return make(replace(one, value=value))
    if left.other or right.other or left.calendar or right.calendar:
        return None
    try:
        unit = ucum.parse_unit(left.unit).times(ucum.parse_unit(right.unit), sign)
        factor = Fraction(left.value) * Fraction(right.value) ** sign * unit.factor
        return make(Amount(_decimal(factor), ucum.write_dimensions(unit.dimensions)))
    except (ucum.NotUcum, DecimalException):
        return None


def _decimal(value: Fraction) -> Decimal:
    return Decimal(value.numerator) / Decimal(value.denominator)
