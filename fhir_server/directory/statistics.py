"""Median and percentiles of waits, between neighbours in proportion: what spreadsheets call inclusive.

https://docs.python.org/3/library/statistics.html#statistics.quantiles (method inclusive)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from fhir_server.spec.json_format import FhirDecimal

_TENTH = Decimal("0.1")


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which that share (0 to 1) of the ascending values lies; at least one value."""
    place = (len(ordered) - 1) * share
    below = int(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def median(ordered: Sequence[float]) -> float:
    """The middle of the ascending values; at least one value."""
    return quantile(ordered, 0.5)


def percentile_92(ordered: Sequence[float]) -> float:
    """The 92nd percentile of the ascending values; at least one value."""
    return quantile(ordered, 0.92)


def written(value: float) -> FhirDecimal:
    """The value to one decimal place, as FHIR writes it."""
    return FhirDecimal(str(Decimal(value).quantize(_TENTH)))
