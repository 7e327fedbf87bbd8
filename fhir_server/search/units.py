"""UCUM units and their canonical form, by the library ucumvert (https://hl7.org/fhir/R4/search.html#quantity).

5.4 g and 5400 mg are the same amount: both are indexed, and asked for, as kilograms too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

UCUM = "http://unitsofmeasure.org"
_LONGEST = 50


@dataclass(frozen=True, slots=True)
class Canonical:
    """The base unit of a unit's kind, and how a value is converted to it: value * factor + offset."""

    unit: str
    factor: float
    offset: float

    def convert(self, value: float) -> float:
        """The value in the canonical unit, to 12 digits, so that what is equal compares as equal."""
        return float(f"{value * self.factor + self.offset:.12g}")


@cache
def _registry() -> tuple[Any, tuple[type[Exception], ...]]:
    """The library takes half a second to load, so it is loaded when the first unit is seen."""
    from lark.exceptions import LarkError
    from pint import PintError
    from ucumvert import PintUcumRegistry

    return PintUcumRegistry(), (
        LarkError,
        PintError,
        AttributeError,
        TypeError,
        ValueError,
        OverflowError,
    )


@lru_cache(maxsize=4096)
def canonical(code: str) -> Canonical | None:
    """The canonical form of a UCUM unit; None for what is none, or has none: its values are compared as they are."""
    if not code or len(code) > _LONGEST:
        return None
    registry, failures = _registry()
    try:
        one = registry.from_ucum(code)
        zero, base, double = (
            registry.Quantity(value, one.units).to_base_units() for value in (0.0, 1.0, 2.0)
        )
        first, offset = float(base.magnitude), float(zero.magnitude)
        straight = math.isclose(float(double.magnitude) - first, first - offset, rel_tol=1e-9)
        # A bare number is of no kind: counts, angles and arbitrary units would all be the same.
        if not straight or base.dimensionless:
            return None
        factor = (first - offset) * float(one.magnitude)
        return Canonical(str(base.units), float(f"{factor:.12g}"), float(f"{offset:.12g}"))
    except failures:
        return None
