"""UCUM units and their canonical form (https://hl7.org/fhir/R4/search.html#quantity).

5.4 g and 5400 mg are the same amount: both are indexed, and asked for, in grams too.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from fhir_server.spec import ucum

UCUM = ucum.SYSTEM
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


@lru_cache(maxsize=4096)
def canonical(code: str) -> Canonical | None:
    """The canonical form of a UCUM unit; None for what is none, or has none: its values are compared as they are."""
    if not code or len(code) > _LONGEST:
        return None
    try:
        unit = ucum.parse_unit(code)
        factor, offset = float(unit.factor), float(unit.offset * unit.factor)
    except (ucum.NotUcum, OverflowError):
        return None
    # A bare number is of no kind: counts, shares and annotations would all be the same.
    if not unit.dimensions or not factor:
        return None
    return Canonical(ucum.write_dimensions(unit.dimensions), float(f"{factor:.12g}"), offset)
