"""fixed[x], pattern[x], minValue[x] and maxValue[x] of an ElementDefinition, asked of values.

https://hl7.org/fhir/R4/elementdefinition.html#ElementDefinition.fixed_x_
"""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from typing import Any

from fhir_server.spec.dates import interval
from fhir_server.spec.ucum import NotUcum, canonical

Json = dict[str, Any]
UCUM = "http://unitsofmeasure.org"


def same(value: Any, fixed: Any) -> bool:
    """Whether a value is exactly the fixed one: no property more, arrays in order, numbers by their value."""
    if isinstance(fixed, dict):
        return (
            isinstance(value, dict)
            and value.keys() == fixed.keys()
            and all(same(value[name], item) for name, item in fixed.items())
        )
    if isinstance(fixed, list):
        return isinstance(value, list) and len(value) == len(fixed) and all(map(same, value, fixed))
    return _equal(value, fixed)


def fits(value: Any, pattern: Any) -> bool:
    """Whether a value has at least what the pattern has; each item of an array in the pattern is among the items."""
    if isinstance(pattern, dict):
        return isinstance(value, dict) and all(
            name in value and fits(value[name], item) for name, item in pattern.items()
        )
    if isinstance(pattern, list):
        return isinstance(value, list) and all(
            any(fits(item, wanted) for item in value) for wanted in pattern
        )
    return _equal(value, pattern)


def _equal(value: Any, other: Any) -> bool:
    if isinstance(value, bool) or isinstance(other, bool):
        return value is other
    left, right = number(value), number(other)
    if left is not None and right is not None:
        return left == right
    return bool(value == other) and type(value) is type(other)


def number(value: Any) -> Decimal | None:
    """The value of a JSON number, None for anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float, Decimal)):
        return None
    return Decimal(str(value))


def missing_from(value: Any, pattern: Any, path: str = "") -> str | None:
    """The first property of a pattern that a value does not have, as a sentence; None when it fits."""
    if isinstance(pattern, dict):
        if not isinstance(value, dict):
            return f"{path or 'it'} is no object"
        for name, item in pattern.items():
            where = f"{path}.{name}" if path else name
            if name not in value:
                return f"{where} is missing"
            found = missing_from(value[name], item, where)
            if found is not None:
                return found
        return None
    if isinstance(pattern, list):
        return None if fits(value, pattern) else f"{path} has no item of the kind"
    return None if fits(value, pattern) else f"{path or 'it'} is another"


def below(value: Any, other: Any) -> bool:
    """Whether a value is certainly less than another: numbers, dates and times, Quantities of one unit."""
    if isinstance(value, dict) and isinstance(other, dict):
        if any(value.get(name) != other.get(name) for name in ("system", "code")):
            return _below_in_base_units(value, other)
        value, other = value.get("value"), other.get("value")
    left, right = number(value), number(other)
    if left is not None and right is not None:
        return left < right
    if isinstance(value, str) and isinstance(other, str):
        if value[2:3] == ":":  # times of day
            return value < other
        return interval(value)[1] <= interval(other)[0]
    return False


def _below_in_base_units(quantity: Json, other: Json) -> bool:
    """Whether a quantity is certainly less than one in another unit of UCUM."""
    if any(item.get("system") != UCUM for item in (quantity, other)):
        return False
    amounts = []
    for item in (quantity, other):
        amount, code = number(item.get("value")), item.get("code")
        if amount is None or not isinstance(code, str):
            return False
        try:
            amounts.append(canonical(Fraction(amount), code))
        except NotUcum:
            return False
    (one, units), (two, other_units) = amounts
    return units == other_units and one < two
