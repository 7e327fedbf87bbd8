"""Functions on strings and numbers, and conversions (https://hl7.org/fhirpath/N1/#string-manipulation)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import Any

from fhir_server.fhirpath import operators
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.temporal import read_temporal
from fhir_server.spec.narrative import narrative_faults

Collection = list[Node]
LONGEST_MATCHED = 20_000
_NESTED = re.compile(r"[+*}]\)[+*{]|[+*]\?*\)\+|\(\?[^:=!<]")


def _string(value: str) -> Collection:
    return [Node(value, "System.String")]


def _integer(value: int) -> Collection:
    return [Node(value, "System.Integer")]


def _boolean(value: bool) -> Collection:
    return [Node(value, "System.Boolean")]


def _on_text(work: Callable[..., Collection], *kinds: str) -> Callable[..., Collection]:
    """A function of a string: empty for no string or an absent argument."""

    def apply(scope: Any, items: Collection, *arguments: Collection) -> Collection:
        del scope
        subject = operators.text(items)
        if subject is None:
            return []
        values = [
            operators.text(found) if kind == "text" else operators.integer(found)
            for kind, found in zip(kinds, arguments, strict=False)
        ]
        if any(value is None for value in values):
            return []
        return work(subject, *values)

    return apply


@lru_cache(maxsize=512)
def _pattern(text: str) -> re.Pattern[str]:
    """A regular expression that cannot run away. Raises FhirPathError for one with nested repetition."""
    if len(text) > 2000 or _NESTED.search(text):
        raise FhirPathError(
            "The regular expression repeats a repetition, or is too long; write a simpler one"
        )
    try:
        return re.compile(text, re.DOTALL)
    except (re.error, OverflowError, RecursionError) as error:
        raise FhirPathError(f"The regular expression cannot be read: {error}") from None


def _bounded(subject: str) -> str:
    if len(subject) > LONGEST_MATCHED:
        raise FhirPathError(f"A string of {len(subject)} characters is too long to match")
    return subject


def _replace_matches(subject: str, pattern: str, replacement: str) -> Collection:
    if not pattern:
        return _string(subject)
    template = re.sub(r"\$(\d+)", r"\\\1", replacement)
    return _string(_pattern(pattern).sub(template, _bounded(subject)))


def _substring(subject: str, start: int, length: int | None = None) -> Collection:
    if not 0 <= start < len(subject):
        return []
    return _string(subject[start:] if length is None else subject[start : start + max(length, 0)])


def _html_checks(scope: Any, items: Collection) -> Collection:
    del scope
    subject = operators.text(items)
    return [] if subject is None else _boolean(not narrative_faults(subject))


def _join(scope: Any, items: Collection, separator: Collection | None = None) -> Collection:
    del scope
    between = operators.text(separator) or "" if separator else ""
    return _string(between.join(str(node.value) for node in items))


def show(node: Node) -> str | None:
    """A node as toString() writes it, or None."""
    value = node.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, str)):
        return str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    found = operators.quantity(node)
    if found is None:
        return None
    unit = value.get("unit") or value.get("code") or "1"
    calendar = value.get("system") is None and unit in operators._CALENDAR  # noqa: SLF001
    return f"{format(found[0], 'f')} {unit}" if calendar else f"{format(found[0], 'f')} '{unit}'"


_BOOLEANS = dict.fromkeys(("true", "t", "yes", "y", "1", "1.0"), True) | dict.fromkeys(
    ("false", "f", "no", "n", "0", "0.0"), False
)


def _to_boolean(node: Node) -> Any:
    value = node.value
    if isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _BOOLEANS.get(value.lower())
    return value == 1 if isinstance(value, (int, Decimal)) and value in (0, 1) else None


def _to_integer(node: Node) -> Any:
    value = node.value
    if isinstance(value, int):
        return int(value)
    return int(value) if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,40}", value) else None


def _to_decimal(node: Node) -> Any:
    value = node.value
    if isinstance(value, (bool, int, Decimal)):
        return Decimal(value)
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,60}(\.\d{1,60})?", value):
        return Decimal(value)
    return None


def _to_quantity(node: Node) -> Any:
    if operators.quantity(node) is not None:
        return node.value
    value = node.value
    if isinstance(value, (int, Decimal)):
        return {"value": Decimal(value), "unit": "1", "code": "1", "system": operators.UCUM}
    match = (
        re.fullmatch(r"([+-]?\d{1,60}(?:\.\d{1,60})?)(?:\s*(?:'([^']+)'|([a-z]+)))?", value)
        if isinstance(value, str)
        else None
    )
    if match is None or (match[3] and match[3].removesuffix("s") not in operators._CALENDAR):  # noqa: SLF001
        return None
    unit = match[2] or (match[3] or "1").removesuffix("s")
    try:
        return {"value": Decimal(match[1]), "unit": unit}
    except InvalidOperation:
        return None


def _to_temporal(kind: str) -> Callable[[Node], Any]:
    def convert(node: Node) -> Any:
        if not isinstance(node.value, str):
            return None
        found = read_temporal(node.value, "Time" if kind == "Time" else None)
        if found is None:
            return None
        if kind == "Date":
            return node.value.partition("T")[0]
        return node.value

    return convert


def _conversion(convert: Callable[[Node], Any], kind: str) -> Callable[..., Collection]:
    def apply(scope: Any, items: Collection) -> Collection:
        del scope
        if not items:
            return []
        found = convert(operators.single(items))
        return [] if found is None else [Node(found, f"System.{kind}")]

    return apply


def _convertible(convert: Callable[[Node], Any]) -> Callable[..., Collection]:
    def apply(scope: Any, items: Collection) -> Collection:
        del scope
        return _boolean(convert(operators.single(items)) is not None) if items else []

    return apply


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


def _math(work: Callable[..., Any]) -> Callable[..., Collection]:
    def apply(scope: Any, items: Collection, *arguments: Collection) -> Collection:
        del scope
        if not items or any(not found for found in arguments):
            return []
        values = [operators.single(found).value for found in (items, *arguments)]
        if any(
            isinstance(value, bool) or not isinstance(value, (int, Decimal)) for value in values
        ):
            raise FhirPathError("A number is needed")
        try:
            found = work(*values)
        except (ValueError, OverflowError, InvalidOperation, ZeroDivisionError):
            return []
        return (
            []
            if found is None
            else [Node(found, "System.Integer" if isinstance(found, int) else "System.Decimal")]
        )

    return apply


def _round(value: Any, places: int = 0) -> Any:
    if places < 0:
        raise FhirPathError("round() takes a precision that is not negative")
    return (
        round(Decimal(value), places)
        if places
        else int(Decimal(value).to_integral_value(rounding="ROUND_HALF_UP"))
    )


def _power(value: Any, exponent: Any) -> Any:
    if abs(exponent) > 1000:
        raise OverflowError
    if isinstance(value, int) and isinstance(exponent, int) and exponent >= 0:
        return value**exponent
    return (
        Decimal(str(float(value) ** float(exponent)))
        if value >= 0 or exponent == int(exponent)
        else None
    )


def _now(scope: Any, items: Collection) -> Collection:
    del items
    moment = scope.environment.now or datetime.now(UTC)
    return [Node(moment.isoformat(timespec="milliseconds"), "System.DateTime")]


def _today(scope: Any, items: Collection) -> Collection:
    del items
    moment = scope.environment.now or datetime.now(UTC)
    return [Node(moment.date().isoformat(), "System.Date")]


def _time_of_day(scope: Any, items: Collection) -> Collection:
    del items
    moment = scope.environment.now or datetime.now(UTC)
    return [Node(moment.time().isoformat(timespec="milliseconds"), "System.Time")]


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Collection]]] = {
    "startsWith": (1, 1, _on_text(lambda a, b: _boolean(a.startswith(b)), "text")),
    "endsWith": (1, 1, _on_text(lambda a, b: _boolean(a.endswith(b)), "text")),
    "contains": (1, 1, _on_text(lambda a, b: _boolean(b in a), "text")),
    "indexOf": (1, 1, _on_text(lambda a, b: _integer(a.find(b)), "text")),
    "length": (0, 0, _on_text(lambda a: _integer(len(a)))),
    "upper": (0, 0, _on_text(lambda a: _string(a.upper()))),
    "lower": (0, 0, _on_text(lambda a: _string(a.lower()))),
    "trim": (0, 0, _on_text(lambda a: _string(a.strip()))),
    "split": (1, 1, _on_text(lambda a, b: [Node(x, "System.String") for x in (a.split(b) if b else list(a))], "text")),
    "toChars": (0, 0, _on_text(lambda a: [Node(x, "System.String") for x in a])),
    "substring": (1, 2, _on_text(_substring, "integer", "integer")),
    "replace": (2, 2, _on_text(lambda a, b, c: _string(a.replace(b, c)), "text", "text")),
    "matches": (1, 1, _on_text(lambda a, b: _boolean(_pattern(b).search(_bounded(a)) is not None), "text")),
    "matchesFull": (1, 1, _on_text(lambda a, b: _boolean(_pattern(b).fullmatch(_bounded(a)) is not None), "text")),
    "replaceMatches": (2, 2, _on_text(_replace_matches, "text", "text")),
    "join": (0, 1, _join),
    "htmlChecks": (0, 0, _html_checks),
    "abs": (0, 0, _math(abs)),
    "ceiling": (0, 0, _math(math.ceil)),
    "floor": (0, 0, _math(math.floor)),
    "truncate": (0, 0, _math(math.trunc)),
    "round": (0, 1, _math(_round)),
    "sqrt": (0, 0, _math(lambda a: Decimal(a).sqrt())),
    "exp": (0, 0, _math(lambda a: Decimal(str(math.exp(a))))),
    "ln": (0, 0, _math(lambda a: Decimal(str(math.log(a))))),
    "log": (1, 1, _math(lambda a, b: Decimal(str(math.log(a, b))))),
    "power": (1, 1, _math(_power)),
    "now": (0, 0, _now),
    "today": (0, 0, _today),
    "timeOfDay": (0, 0, _time_of_day),
    **{f"to{kind}": (0, 0, _conversion(convert, kind)) for kind, convert in _CONVERSIONS.items()},
    **{f"convertsTo{kind}": (0, 0, _convertible(convert)) for kind, convert in _CONVERSIONS.items()},
}  # fmt: skip
