"""lowBoundary(), highBoundary() and precision() (https://hl7.org/fhirpath/#lowboundaryprecision-integer-decimal--date--datetime--time)."""

from __future__ import annotations

import calendar
from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, DecimalException, localcontext
from typing import Any

from fhir_server.fhirpath import quantities
from fhir_server.fhirpath.equality import Collection, is_number, temporal
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.operators import integer, single
from fhir_server.fhirpath.temporal import Temporal, write

MOST_PLACES = 31
# Digits written -> how many parts they are
_DATE_PARTS = {4: 1, 6: 2, 8: 3, 10: 4, 12: 5, 14: 6, 17: 7}
_TIME_PARTS = {2: 1, 4: 2, 6: 3, 9: 4}
_EARLIEST_ZONE, _LATEST_ZONE = 14 * 60, -12 * 60


def low_boundary(scope: Any, items: Collection, precision: Collection | None = None) -> Collection:
    """The least value that a less precise one may stand for."""
    return _boundary(items, precision, high=False)


def high_boundary(scope: Any, items: Collection, precision: Collection | None = None) -> Collection:
    """The greatest value that a less precise one may stand for."""
    return _boundary(items, precision, high=True)


def _boundary(items: Collection, precision: Collection | None, *, high: bool) -> Collection:
    if not items or precision == []:
        return []
    node = single(items)
    digits = integer(precision) if precision else None
    moment = temporal(node)
    if moment is not None:
        text = _temporal_boundary(moment, digits, high)
        return [] if text is None else [Node(text, node.type)]
    amount = quantities.read(node)
    if amount is not None:
        value = _decimal_boundary(amount.value, digits, high)
        return [] if value is None else [quantities.make(replace(amount, value=value))]
    if not is_number(node.value):
        raise FhirPathError("A number, a quantity, a date or a time has boundaries")
    value = _decimal_boundary(node.value, digits, high)
    return [] if value is None else [Node(value, "System.Decimal")]


def _decimal_boundary(value: int | Decimal, digits: int | None, high: bool) -> Decimal | None:
    digits = 8 if digits is None else digits
    if not 0 <= digits <= MOST_PLACES or not quantities.modest(value):
        return None
    with localcontext(prec=300):
        half = Decimal(5).scaleb(-quantities.places(value) - 1)
        edge = Decimal(value) + half if high else Decimal(value) - half
        try:
            return edge.quantize(Decimal(1).scaleb(-digits), ROUND_CEILING if high else ROUND_FLOOR)
        except DecimalException:
            return None


def _temporal_boundary(value: Temporal, digits: int | None, high: bool) -> str | None:
    clock = value.kind == "Time"
    counts = _TIME_PARTS if clock else _DATE_PARTS
    digits = {"Time": 9, "Date": 8, "DateTime": 17}[value.kind] if digits is None else digits
    wanted = counts.get(digits)
    if wanted is None or (value.kind == "Date" and wanted > 3):
        return None
    parts = _filled(value.parts, 3 if clock else 0, high)
    whole = len(parts)
    if wanted > whole:  # the last part is the fraction of the second
        kept = parts
    else:
        kept = parts[:wanted]
        if wanted == whole:
            kept = (*kept[:-1], int(kept[-1]))
    offset = value.offset
    if offset is None and value.kind == "DateTime":
        offset = _LATEST_ZONE if high else _EARLIEST_ZONE
    return write(value.kind, kept, offset)


def _filled(parts: tuple[int | Decimal, ...], first: int, high: bool) -> tuple[int | Decimal, ...]:
    """All parts down to milliseconds, those not written at their least or greatest."""
    found = list(parts)
    for place in range(first + len(parts), 6):
        low, top = ((1, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 59))[place]
        if place == 2:
            top = calendar.monthrange(int(found[0]) or 4, int(found[1]))[1]
        found.append(top if high else low)
    second = Decimal(found[-1])
    places = quantities.places(second)
    if places < 3:
        rest = Decimal(10) ** -places - Decimal("0.001") if high else Decimal(0)
        found[-1] = (second + rest).quantize(Decimal("0.001"))
    return tuple(found)


def precision(scope: Any, items: Collection) -> Collection:
    """How many digits a decimal has behind the point, or a date or time in all."""
    if not items:
        return []
    node = single(items)
    moment = temporal(node)
    if moment is None:
        if not is_number(node.value):
            raise FhirPathError("A number, a date or a time has a precision")
        return [Node(quantities.places(node.value), "System.Integer")]
    counts = _TIME_PARTS if moment.kind == "Time" else _DATE_PARTS
    count = len(moment.parts) + isinstance(moment.parts[-1], Decimal)
    found = next(digits for digits, parts in counts.items() if parts == count)
    return [Node(found, "System.Integer")]


def comparable(scope: Any, items: Collection, other: Collection) -> Collection:
    """Whether two quantities measure the same."""
    if not items or not other:
        return []
    left, right = quantities.read(single(items)), quantities.read(single(other))
    if left is None or right is None:
        raise FhirPathError("Two quantities are comparable or not")
    return [Node(left.canonical()[1] == right.canonical()[1], "System.Boolean")]
