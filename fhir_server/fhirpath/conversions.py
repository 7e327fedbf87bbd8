"""Conversions: toString(), toInteger(), convertsToDate() ... (https://hl7.org/fhirpath/N1/#conversion)."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any

from fhir_server.fhirpath import quantities
from fhir_server.fhirpath.equality import Collection, is_number, temporal
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.operators import single
from fhir_server.fhirpath.temporal import read_temporal, write
from fhir_server.spec import ucum

_INTEGER = re.compile(r"[+-]?\d{1,18}", re.ASCII)
_DECIMAL = re.compile(r"[+-]?\d{1,60}(\.\d{1,60})?", re.ASCII)
_QUANTITY = re.compile(
    r"([+-]?\d{1,60}(?:\.\d{1,60})?)(?:\s*(?:'([^']{1,200})'|([a-z]+)))?", re.ASCII
)


def show(node: Node) -> str | None:
    """A node as toString() writes it, or None."""
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return value
    if is_number(value):
        if not quantities.modest(value):
            return None
        return str(value) if isinstance(value, int) else format(value, "f")
    amount = quantities.read(node)
    if amount is None:
        return None
    shown = format(amount.value, "f")
    return f"{shown} {amount.unit}" if amount.calendar else f"{shown} '{amount.unit}'"


_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0", "0.0"), False
)


def _to_boolean(node: Node) -> Any:
    value = node.value
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _BOOLEANS.get(value.lower())
    return value == 1 if is_number(value) and value in (0, 1) else None


def _to_integer(node: Node) -> Any:
    value = node.value
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and _INTEGER.fullmatch(value) else None


def _to_decimal(node: Node) -> Any:
    value = node.value
    if isinstance(value, bool) or (is_number(value) and quantities.modest(value)):
        return Decimal(value)
    return Decimal(value) if isinstance(value, str) and _DECIMAL.fullmatch(value) else None


def _to_quantity(node: Node) -> Any:
    value = node.value
    if isinstance(value, dict):
        amount = quantities.read(node)
        return None if amount is None else quantities.make(amount).value
    number = _to_decimal(node) if not isinstance(value, str) else None
    if number is not None:
        return quantities.make(quantities.Amount(number, "1")).value
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return None
    word = quantities.singular(match[3] or "")
    if match[3] and word not in quantities.CALENDAR:
        return None
    if match[2] and not ucum.is_unit(match[2]):
        return None
    amount = quantities.Amount(Decimal(match[1]), match[2] or word or "1", calendar=bool(match[3]))
    return quantities.make(amount).value


def _to_temporal(kind: str) -> Callable[[Node], Any]:
    def convert(node: Node) -> Any:
        if not isinstance(node.value, str):
            return None
        found = temporal(node) or read_temporal(node.value, "Time" if kind == "Time" else None)
        if found is None or (found.kind == "Time") != (kind == "Time"):
            return None
        parts = found.parts[:3] if kind == "Date" else found.parts
        return write(kind, parts, found.offset)

    return convert


_CONVERSIONS: dict[str, Callable[[Node], Any]] = {
    "Boolean": _to_boolean,
    "Integer": _to_integer,
    "Decimal": _to_decimal,
    "String": show,
    "Quantity": _to_quantity,
    "Date": _to_temporal("Date"),
    "DateTime": _to_temporal("DateTime"),
    "Time": _to_temporal("Time"),
}


def _conversion(convert: Callable[[Node], Any], kind: str) -> Callable[..., Collection]:
    def apply(scope: Any, items: Collection, unit: Collection | None = None) -> Collection:
        if not items:
            return []
        found = convert(single(items))
        if found is None:
            return []
        made = [Node(found, f"System.{kind}")]
        return made if unit is None else _in_unit(made[0], unit)

    return apply


def _in_unit(node: Node, unit: Collection) -> Collection:
    """A quantity turned into another unit; nothing when that measures something else."""
    amount = quantities.read(node)
    wanted = single(unit).value if unit else None
    if amount is None or not isinstance(wanted, str):
        return []
    word = quantities.singular(wanted)
    target = quantities.Amount(Decimal(0), word, calendar=word in quantities.CALENDAR)
    found = quantities.add(target, amount, 1)
    return [] if found is None else [found]


def _convertible(convert: Callable[[Node], Any], kind: str) -> Callable[..., Collection]:
    work = _conversion(convert, kind)

    def apply(scope: Any, items: Collection, unit: Collection | None = None) -> Collection:
        return [Node(bool(work(scope, items, unit)), "System.Boolean")] if items else []

    return apply


def _arity(kind: str) -> tuple[int, int]:
    return (0, 1) if kind == "Quantity" else (0, 0)


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Collection]]] = {
    **{f"to{k}": (*_arity(k), _conversion(convert, k)) for k, convert in _CONVERSIONS.items()},
    **{
        f"convertsTo{k}": (*_arity(k), _convertible(convert, k))
        for k, convert in _CONVERSIONS.items()
    },
}
