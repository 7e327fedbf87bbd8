"""Dates and times with their precision: comparison is empty where precision does not tell.

https://hl7.org/fhirpath/N1/#datetime-equality
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from fhir_server.fhirpath.lexer import FhirPathError

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
    r"(T(?:(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d{1,30})?))?)?)?)?(Z|[+-]\d\d:\d\d)?",
    re.ASCII,
)
_TIME = re.compile(r"T?(\d\d)(?::(\d\d)(?::(\d\d(?:\.\d{1,30})?))?)?", re.ASCII)
_BOUNDS = ((0, 9999), (1, 12), (1, 31), (0, 23), (0, 59), (0, 60))


@dataclass(frozen=True, slots=True)
class Temporal:
    """kind: Date, DateTime or Time; parts: the components written, seconds with their fraction; offset in minutes."""

    kind: str
    parts: tuple[int | Decimal, ...]
    offset: int | None
    text: str


def read_temporal(text: str, kind: str | None = None) -> Temporal | None:
    """The value of a literal without @, or of a FHIR date, dateTime, instant or time; None for anything else."""
    if kind == "Time" or (kind is None and text.startswith("T")):
        match = _TIME.fullmatch(text)
        parts = None if match is None else _parts(match.groups(), 3)
        return None if parts is None else Temporal("Time", parts, None, text)
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, clock, hour, minute, second, zone = match.groups()
    if zone is not None and hour is None:
        return None
    parts = _parts((year, month, day, hour, minute, second), 0)
    if parts is None:
        return None
    if clock is None and kind != "DateTime":
        return Temporal("Date", parts, None, text)
    return Temporal("DateTime", parts, None if zone is None else _offset(zone), text)


def _parts(texts: tuple[str | None, ...], first: int) -> tuple[int | Decimal, ...] | None:
    """The components as numbers; None for a day or time that does not exist."""
    found: list[int | Decimal] = []
    for place, text in enumerate(texts, first):
        if text is None:
            break
        number = Decimal(text) if "." in text else int(text)
        low, high = _BOUNDS[place]
        if not low <= number <= high:
            return None
        found.append(number)
    if first == 0 and len(found) > 2:
        year, month, day = (int(item) for item in found[:3])
        if day > _length(year, month):
            return None
    return tuple(found)


def _offset(text: str) -> int:
    if text == "Z":
        return 0
    minutes = int(text[1:3]) * 60 + int(text[4:6])
    return -minutes if text[0] == "-" else minutes


def _in_utc(value: Temporal) -> tuple[int | Decimal, ...]:
    """The parts moved to UTC, at the precision they have."""
    if value.offset in (None, 0) or len(value.parts) < 4:
        return value.parts
    assert value.offset is not None
    padded = [*value.parts, 0, 0][:6]
    year, month, day, hour, minute = (int(item) for item in padded[:5])
    try:
        moment = datetime(year, month, day, hour, minute, tzinfo=UTC) - timedelta(
            minutes=value.offset
        )
    except (ValueError, OverflowError):
        return value.parts
    moved = (moment.year, moment.month, moment.day, moment.hour, moment.minute, padded[5])
    return moved[: len(value.parts)]


def compare(left: Temporal, right: Temporal) -> int | None:
    """-1, 0 or 1, or None where the precision (or a missing zone) does not tell."""
    if (left.kind == "Time") != (right.kind == "Time"):
        raise FhirPathError("A time and a date cannot be compared")
    mine, theirs = left.parts, right.parts
    if left.kind != "Time" and len(mine) > 3 and len(theirs) > 3:
        if (left.offset is None) != (right.offset is None):
            return None
        mine, theirs = _in_utc(left), _in_utc(right)
    for one, other in zip(mine, theirs, strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(mine) == len(theirs) else None


def instant_key(value: Temporal) -> Hashable:
    """Equal for two dates or times when they compare as equal."""
    if value.kind == "Time":
        return "time", value.parts
    return "date", value.offset is None and len(value.parts) > 3, _in_utc(value)


_STEPS = ("year", "month", "day", "hour", "minute", "second", "millisecond")
# https://hl7.org/fhirpath/N1/#datetime-arithmetic: how many of a unit make one of the next larger
_FACTORS = {"millisecond": 1000, "second": 60, "minute": 60, "hour": 24, "day": 30, "month": 12}
_SECONDS = {"day": 86400, "hour": 3600, "minute": 60, "second": 1}


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    """A date or time some calendar units later (or earlier). Raises FhirPathError for a unit that does not fit.

    Parts of a unit count for seconds only; a unit finer than the value's precision is first turned into that.
    """
    if unit == "week":
        amount, unit = amount * 7, "day"
    if unit == "millisecond":
        amount, unit = amount / 1000, "second"
    if unit not in _STEPS or (value.kind == "Time" and unit in ("year", "month", "day")):
        raise FhirPathError(f"'{unit}' cannot be added to a {value.kind}")
    precision = _STEPS[(3 if value.kind == "Time" else 0) + len(value.parts) - 1]
    if _STEPS.index(unit) > _STEPS.index(precision):
        amount, unit = _coarser(amount, unit, precision), precision
    if unit != "second":
        amount = Decimal(int(amount))
    if value.kind == "Time":
        return _rebuilt(value, _moved_clock(value.parts, amount * _SECONDS[unit])[1])
    if unit in ("year", "month"):
        return _rebuilt(value, _moved_months(value, int(amount) * (12 if unit == "year" else 1)))
    days, clock = _moved_clock(value.parts[3:], amount * _SECONDS[unit])
    year, month, day = (int(item) for item in value.parts[:3])
    try:
        moved = datetime(year, month, day, tzinfo=UTC) + timedelta(days=days)
    except (OverflowError, ValueError):
        raise FhirPathError("The result is beyond the calendar") from None
    return _rebuilt(value, [moved.year, moved.month, moved.day, *clock])


def _coarser(amount: Decimal, unit: str, precision: str) -> Decimal:
    if precision == "year" and unit != "month":
        return _coarser(amount, unit, "day") / 365 if unit != "day" else amount / 365
    while unit != precision:
        amount = amount / _FACTORS[unit]
        unit = _STEPS[_STEPS.index(unit) - 1]
    return amount


def _moved_months(value: Temporal, count: int) -> list[int | Decimal]:
    year, month = (int(item) for item in [*value.parts, 1][:2])
    year, month = divmod(year * 12 + month - 1 + count, 12)
    if not 1 <= year <= 9999:
        raise FhirPathError("The result is beyond the calendar")
    day = min(int(value.parts[2]), _length(year, month + 1)) if len(value.parts) > 2 else 1
    return [year, month + 1, day, *value.parts[3:]]


def _moved_clock(
    parts: tuple[int | Decimal, ...], seconds: Decimal
) -> tuple[int, list[int | Decimal]]:
    """The days that were passed, and hour, minute and second."""
    hour, minute, second = [*parts, 0, 0, 0][:3]
    if abs(seconds) > 10**12:
        raise FhirPathError("The result is beyond the calendar")
    total = Decimal(hour * 3600 + minute * 60) + second + seconds
    days = int((total / 86400).to_integral_value("ROUND_FLOOR"))
    whole, rest = divmod(total - days * 86400, 60)
    hours, minutes = divmod(int(whole), 60)
    digits = max(_digits(second), 3 if rest != rest.to_integral_value() else 0)
    written: int | Decimal = round(rest, digits) if digits else int(rest)
    return days, [hours, minutes, written]


def _digits(second: int | Decimal) -> int:
    exponent = Decimal(second).as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _length(year: int, month: int) -> int:
    return calendar.monthrange(year, month)[1] if year else 31


def _rebuilt(value: Temporal, parts: list[int | Decimal]) -> Temporal:
    kept = tuple(parts[: len(value.parts)])
    return Temporal(value.kind, kept, value.offset, write(value.kind, kept, value.offset))


def write(kind: str, parts: tuple[int | Decimal, ...], offset: int | None) -> str:
    """The text of a date or time, as FHIR writes it."""
    shown = [_two_digits(item) for item in parts]
    if kind == "Time":
        return ":".join(shown)
    shown[0] = f"{int(parts[0]):04d}"
    text = "-".join(shown[:3])
    if kind == "DateTime" and len(shown) > 3:
        text += "T" + ":".join(shown[3:])
        if offset is not None:
            hours, minutes = divmod(abs(offset), 60)
            text += "Z" if offset == 0 else f"{'-' if offset < 0 else '+'}{hours:02d}:{minutes:02d}"
    return text


def _two_digits(item: int | Decimal) -> str:
    if isinstance(item, int):
        return f"{item:02d}"
    whole, _, fraction = f"{item:f}".partition(".")
    return f"{whole:0>2}.{fraction}" if fraction else f"{whole:0>2}"
