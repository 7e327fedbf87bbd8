"""Functions on numbers (https://hl7.org/fhirpath/N1/#math)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal, DecimalException
from typing import Any

from fhir_server.fhirpath import quantities
from fhir_server.fhirpath.boundaries import comparable, high_boundary, low_boundary, precision
from fhir_server.fhirpath.equality import Collection, is_number
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.operators import number, single

MOST_PLACES = 30


def _math(work: Callable[..., Any]) -> Callable[..., Collection]:
    """A function of numbers; nothing where its result is no number."""

    def apply(scope: Any, items: Collection, *arguments: Collection) -> Collection:
        if not items or any(not found for found in arguments):
            return []
        values = [single(found).value for found in (items, *arguments)]
        if not all(is_number(value) for value in values):
            raise FhirPathError("A number is needed")
        if not all(quantities.modest(value) for value in values):
            return []
        try:
            found = work(*values)
        except FhirPathError:
            raise
        except (ValueError, OverflowError, DecimalException, ZeroDivisionError):
            return []
        return [] if found is None else number(found)

    return apply


def _keeping_unit(work: Callable[[Any], Any]) -> Callable[..., Collection]:
    """A function of a number, or of a quantity whose unit stays."""
    plain = _math(work)

    def apply(scope: Any, items: Collection) -> Collection:
        amount = quantities.read(items[0]) if len(items) == 1 else None
        if amount is None:
            return plain(scope, items)
        return [quantities.make(replace(amount, value=Decimal(work(amount.value))))]

    return apply


def _round(value: Any, places: int = 0) -> Any:
    if not isinstance(places, int) or not 0 <= places <= MOST_PLACES:
        raise FhirPathError(f"round() takes a precision of 0 to {MOST_PLACES}")
    if isinstance(value, int):
        return value
    rounded = value.quantize(Decimal(1).scaleb(-places), ROUND_HALF_UP)
    return rounded if places else int(rounded)


def _power(value: Any, exponent: Any) -> Any:
    if abs(exponent) > 1000:
        return None
    if isinstance(exponent, int) or exponent == int(exponent):
        found = Decimal(value) ** int(exponent)
        integral = isinstance(value, int) and isinstance(exponent, int) and exponent >= 0
        return int(found) if integral and abs(found) < 10**20 else found
    return _from_float(float(value) ** float(exponent)) if value >= 0 else None


def _from_float(value: float) -> Decimal | None:
    return Decimal(repr(value)) if math.isfinite(value) else None


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Collection]]] = {
    "abs": (0, 0, _keeping_unit(abs)),
    "ceiling": (0, 0, _math(math.ceil)),
    "floor": (0, 0, _math(math.floor)),
    "truncate": (0, 0, _math(math.trunc)),
    "round": (0, 1, _math(_round)),
    "sqrt": (0, 0, _math(lambda a: Decimal(a).sqrt())),
    "exp": (0, 0, _math(lambda a: _from_float(math.exp(a)))),
    "ln": (0, 0, _math(lambda a: _from_float(math.log(a)))),
    "log": (1, 1, _math(lambda a, b: _from_float(math.log(a, b)))),
    "power": (1, 1, _math(_power)),
    "lowBoundary": (0, 1, low_boundary),
    "highBoundary": (0, 1, high_boundary),
    "precision": (0, 0, precision),
    "comparable": (1, 1, comparable),
}
