"""Units of measure: UCUM's grammar, its table of units, and conversion (https://ucum.org/ucum).

ucum.json holds the table's facts: code -> name, whether prefixes go with it, kind, factor, unit of the factor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import orjson

SYSTEM = "http://unitsofmeasure.org"
LONGEST = 200
LARGEST_EXPONENT = 99
DEEPEST = 20
_TABLE = Path(__file__).with_name("ucum.json")
_SYMBOL = re.compile(r"10[*^]|(?:[^\[\]{}()./\s0-9+\-]|\[[^\[\]\s]*\])+")
_EXPONENT = re.compile(r"[+-]?\d+")
# To the table a mole is a number, which would make 1 mmol/L comparable with a count of cells in a litre.
_AMOUNT = "mol"
_DIGITS = re.compile(r"\d+")
_ANNOTATION = re.compile(r"\{[!-z|~ ]*\}")


class NotUcum(ValueError):
    """A text that is no unit of UCUM; the message says where."""


@dataclass(frozen=True, slots=True)
class Unit:
    """A value in this unit is (value + offset) * factor in base units; dimensions: base unit and exponent, sorted."""

    factor: Fraction
    dimensions: tuple[tuple[str, int], ...]
    offset: Fraction = Fraction(0)

    def times(self, other: Unit, sign: int = 1) -> Unit:
        """The product, or the quotient with sign -1. Raises NotUcum for units on a scale with an offset."""
        if self.offset or other.offset:
            raise NotUcum("A temperature scale cannot be multiplied")
        exponents = dict(self.dimensions)
        for name, exponent in other.dimensions:
            exponents[name] = exponents.get(name, 0) + sign * exponent
        return Unit(self.factor * _power(other.factor, sign), _sorted(exponents))

    def raised(self, exponent: int) -> Unit:
        """The unit to a power. Raises NotUcum for one that is too large."""
        if abs(exponent) > LARGEST_EXPONENT:
            raise NotUcum(f"The exponent {exponent} is too large")
        if self.offset and exponent != 1:
            raise NotUcum("A temperature scale cannot be raised to a power")
        exponents = {name: count * exponent for name, count in self.dimensions}
        return Unit(_power(self.factor, exponent), _sorted(exponents), self.offset)


def _power(factor: Fraction, exponent: int) -> Fraction:
    raised = factor**exponent
    if raised.numerator.bit_length() + raised.denominator.bit_length() > 20_000:
        raise NotUcum("The unit is too large or too small")
    return Fraction(raised)


def _sorted(exponents: dict[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted(item for item in exponents.items() if item[1]))


@cache
def _table() -> dict[str, Any]:
    table: dict[str, Any] = orjson.loads(_TABLE.read_bytes())
    return table


def names() -> dict[str, str]:
    """Code -> name of the units of the table, without prefixes."""
    return {code: item[0] for code, item in _table()["units"].items()}


ONE = Unit(Fraction(1), ())


@lru_cache(maxsize=4096)
def parse_unit(text: str) -> Unit:
    """The unit that a code of UCUM (case sensitive) stands for. Raises NotUcum."""
    if not text or len(text) > LONGEST:
        raise NotUcum(f"A unit has 1 to {LONGEST} characters")
    reader = _Reader(text)
    unit = reader.term(leading=True)
    if reader.place != len(text):
        raise NotUcum(f"'{text[reader.place]}' at {reader.place} is not expected in a unit")
    return unit


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.place = 0
        self.depth = 0

    def _take(self, pattern: re.Pattern[str]) -> str | None:
        match = pattern.match(self.text, self.place)
        if match is None:
            return None
        self.place = match.end()
        return match[0]

    def _accept(self, character: str) -> bool:
        if self.text.startswith(character, self.place):
            self.place += 1
            return True
        return False

    def term(self, *, leading: bool = False) -> Unit:
        divided = leading and self._accept("/")
        unit = self._component()
        if divided:
            unit = ONE.times(unit, -1)
        while True:
            if self._accept("."):
                unit = unit.times(self._component())
            elif self._accept("/"):
                unit = unit.times(self._component(), -1)
            else:
                return unit

    def _component(self) -> Unit:
        if self._accept("("):
            self.depth += 1
            if self.depth > DEEPEST:
                raise NotUcum("The unit is nested too deep")
            unit = self.term(leading=True)
            if not self._accept(")"):
                raise NotUcum("A bracket is not closed")
            self.depth -= 1
            self._take(_ANNOTATION)
            return unit
        if self._take(_ANNOTATION):
            return ONE
        symbol = self._take(_SYMBOL)
        if symbol is not None:
            unit = _simple(symbol)
            exponent = self._take(_EXPONENT)
            if exponent is not None:
                unit = unit.raised(_count(exponent))
        else:
            digits = self._take(_DIGITS)
            if digits is None:
                raise NotUcum(f"A unit is missing at {self.place}")
            unit = Unit(Fraction(_count(digits)), ())
            if not unit.factor:
                raise NotUcum("A unit has no factor 0")
        self._take(_ANNOTATION)
        return unit


def _count(digits: str) -> int:
    if len(digits) > 20:
        raise NotUcum("A number in a unit has at most 20 digits")
    return int(digits)


@lru_cache(maxsize=2048)
def _simple(symbol: str) -> Unit:
    table = _table()
    if symbol in table["units"]:
        return _atom(symbol)
    for length in (2, 1):
        prefix, rest = symbol[:length], symbol[length:]
        factor = table["prefixes"].get(prefix)
        if factor is not None and rest in table["units"] and table["units"][rest][1]:
            unit = _atom(rest)
            if unit.offset:
                return Unit(unit.factor, (("m" + rest, 1),))
            return Unit(unit.factor * Fraction(factor), unit.dimensions)
    raise NotUcum(f"'{symbol}' is no unit of UCUM")


@cache
def _atom(code: str) -> Unit:
    _, _, kind, factor, unit = _table()["units"][code]
    if kind in ("base", "arbitrary", "special") or code == _AMOUNT:
        return Unit(Fraction(1), ((code, 1),))
    made = parse_unit(unit)
    value = Fraction(factor)
    if kind.startswith("offset "):
        return Unit(made.factor * value, made.dimensions, Fraction(kind.removeprefix("offset ")))
    return Unit(made.factor * value, made.dimensions)


def is_unit(text: str) -> bool:
    """Whether a text is a unit of UCUM."""
    try:
        parse_unit(text)
    except NotUcum:
        return False
    return True


def canonical(value: Fraction, text: str) -> tuple[Fraction, tuple[tuple[str, int], ...]]:
    """A value in base units, with their exponents: two quantities compare when these agree. Raises NotUcum."""
    unit = parse_unit(text)
    return (value + unit.offset) * unit.factor, unit.dimensions


def write_dimensions(dimensions: tuple[tuple[str, int], ...]) -> str:
    """The code of a product of base units: (("g", 1), ("m", -2)) -> "g.m-2"; "1" for none."""
    return ".".join(f"{name}{'' if count == 1 else count}" for name, count in dimensions) or "1"
