"""Quantities in different units of one kind are one amount (https://hl7.org/fhir/R4/search.html#quantity)."""

from __future__ import annotations

import math

import pytest

from fhir_server.search.units import canonical


@pytest.mark.parametrize(
    ("value", "unit", "other", "its_unit"),
    [
        (5.4, "g", 5400, "mg"),
        (1, "[lb_av]", 453.59237, "g"),
        (1, "[in_i]", 2.54, "cm"),
        (1, "L", 1000, "mL"),
        (1, "mmol/L", 1000, "umol/L"),
        (1, "mmol/L", 1, "umol/mL"),
        (1, "g/dL", 10, "mg/mL"),
        (2, "10*9/L", 2000, "/uL"),
        (1, "[iU]/L", 1, "m[iU]/mL"),
        (60, "/min", 1, "/s"),
        (1, "mm[Hg]", 133.322, "Pa"),
        (1, "kcal", 4184, "J"),
        (37, "Cel", 98.6, "[degF]"),
        (0, "Cel", 273.15, "K"),
        (1, "h", 3600, "s"),
        (1, "wk", 7, "d"),
        (1, "mL/min/{1.73_m2}", 60, "mL/h"),
        (24, "g/(24.h)", 1, "g/h"),
        (1, "kg/m2", 0.1, "g/cm2"),
    ],
)
def test_units_of_one_kind_have_one_canonical_unit(
    value: float, unit: str, other: float, its_unit: str
) -> None:
    left, right = canonical(unit), canonical(its_unit)
    assert left is not None
    assert right is not None
    assert left.unit == right.unit
    assert math.isclose(left.convert(value), right.convert(other), rel_tol=1e-9)


@pytest.mark.parametrize(
    ("left", "right"),
    [("mmol/L", "10*9/L"), ("[iU]/L", "mmol/L"), ("g", "mol"), ("Cel", "m"), ("mg/dL", "mmol/L")],
)
def test_units_of_different_kinds_are_not_comparable(left: str, right: str) -> None:
    one, other = canonical(left), canonical(right)
    assert one is not None
    assert other is not None
    assert one.unit != other.unit


@pytest.mark.parametrize(
    "code", ["", "1", "%", "{score}", "10*3", "tablets", "mg mg", "m" * 60, "10*99999"]
)
def test_what_is_no_unit_or_a_bare_number_is_compared_as_written(code: str) -> None:
    assert canonical(code) is None
