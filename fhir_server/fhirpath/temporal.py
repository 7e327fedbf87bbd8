"""Dates and times with their precision: comparison is empty where precision does not tell.

https://hl7.org/fhirpath/N1/#datetime-equality
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from fhir_server.fhirpath.lexer import FhirPathError

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d))?)?"
    r"(T(?:(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?)?)?(Z|[+-]\d\d:\d\d)?"
)
_TIME = re.compile(r"T?(\d\d)(?::(\d\d)(?::(\d\d)(?:\.(\d+))?)?)?")


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
        if match is None:
            return None
        hour, minute, second, fraction = match.groups()
        return Temporal("Time", _parts(hour, minute, _seconds(second, fraction)), None, text)
    match = _DATE.fullmatch(text)
    if match is None:
        return None
    year, month, day, clock, hour, minute, second, fraction, offset = match.groups()
    if clock is None and kind != "DateTime":
        return Temporal("Date", _parts(year, month, day), None, text)
    parts = _parts(year, month, day, hour, minute, _seconds(second, fraction))
    return Temporal("DateTime", parts, _offset(offset), text)


def _seconds(second: str | None, fraction: str | None) -> str | None:
    return second if second is None or fraction is None else f"{second}.{fraction}"


def _parts(*texts: str | None) -> tuple[int | Decimal, ...]:
    found: list[int | Decimal] = []
    for text in texts:
        if text is None:
            break
        found.append(Decimal(text) if "." in text else int(text))
    return tuple(found)


def _offset(text: str | None) -> int | None:
    if text is None:
        return None
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
    if (
        len(left.parts) > 3
        and len(right.parts) > 3
        and (left.offset is None) != (right.offset is None)
    ):
        return None
    mine, theirs = _in_utc(left), _in_utc(right)
    for one, other in zip(mine, theirs, strict=False):
        if one != other:
            return -1 if one < other else 1
    return 0 if len(mine) == len(theirs) else None


_STEPS = ("year", "month", "day", "hour", "minute", "second", "millisecond")


def add(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    """A date or time some calendar units later (or earlier). Raises FhirPathError for a unit that does not fit."""
    unit = {"week": "day"}.get(unit, unit) if unit != "week" else "day"
    if unit not in _STEPS:
        raise FhirPathError(f"'{unit}' cannot be added to a date or time")
    count = int(amount)
    if value.kind == "Time":
        return _add_to_time(value, amount, unit)
    parts = list(value.parts)
    year, month, day = (int(item) for item in [*parts, 1, 1][:3])
    if unit in ("year", "month"):
        months = year * 12 + month - 1 + (count * 12 if unit == "year" else count)
        year, month = divmod(months, 12)
        month += 1
        if not 1 <= year <= 9999:
            raise FhirPathError("The result is beyond the calendar")
        day = min(day, _length(year, month))
        return _rebuilt(value, [year, month, day, *parts[3:]])
    hour, minute = (int(item) for item in [*parts[3:5], 0, 0][:2])
    base = datetime(year, month, day, hour, minute, tzinfo=UTC)
    seconds = Decimal(parts[5]) if len(parts) > 5 else Decimal(0)
    spans = {
        "day": Decimal(86400),
        "hour": Decimal(3600),
        "minute": Decimal(60),
        "second": Decimal(1),
        "millisecond": Decimal("0.001"),
    }
    whole = amount if unit in ("second", "millisecond") else Decimal(count)
    total = seconds + whole * spans[unit]
    carry, rest = divmod(total, 60)
    try:
        moved = base + timedelta(minutes=int(carry) - (1 if rest < 0 else 0))
    except OverflowError:
        raise FhirPathError("The result is beyond the calendar") from None
    rest = rest + 60 if rest < 0 else rest
    fresh: list[int | Decimal] = [
        moved.year,
        moved.month,
        moved.day,
        moved.hour,
        moved.minute,
        _plain(rest),
    ]
    return _rebuilt(value, fresh)


def _add_to_time(value: Temporal, amount: Decimal, unit: str) -> Temporal:
    spans = {
        "hour": Decimal(3600),
        "minute": Decimal(60),
        "second": Decimal(1),
        "millisecond": Decimal("0.001"),
    }
    if unit not in spans:
        raise FhirPathError(f"'{unit}' cannot be added to a time")
    hour, minute, second = [*value.parts, 0, 0][:3]
    total = (
        Decimal(hour) * 3600 + Decimal(minute) * 60 + Decimal(second) + amount * spans[unit]
    ) % 86400
    total = total + 86400 if total < 0 else total
    minutes, rest = divmod(total, 60)
    hours, minutes = divmod(minutes, 60)
    fresh: list[int | Decimal] = [int(hours), int(minutes), _plain(rest)]
    return _rebuilt(value, fresh)


def _plain(value: Decimal) -> int | Decimal:
    return int(value) if value == value.to_integral_value() else value


def _length(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1) if (year, month) != (9999, 12) else None
    return 31 if following is None else (following - timedelta(days=1)).day


def _rebuilt(value: Temporal, parts: list[int | Decimal]) -> Temporal:
    kept = tuple(parts[: len(value.parts)])
    return Temporal(value.kind, kept, value.offset, _text(value, kept))


def _text(value: Temporal, parts: tuple[int | Decimal, ...]) -> str:
    shown = [f"{item:02d}" if isinstance(item, int) else f"{item:06.3f}" for item in parts]
    if value.kind == "Time":
        return ":".join(shown)
    shown[0] = f"{int(parts[0]):04d}"
    text = "-".join(shown[:3])
    if value.kind == "DateTime" and len(shown) > 3:
        text += "T" + ":".join(shown[3:])
        if value.offset is not None:
            hours, minutes = divmod(abs(value.offset), 60)
            sign = "-" if value.offset < 0 else "+"
            text += "Z" if value.offset == 0 else f"{sign}{hours:02d}:{minutes:02d}"
    return text
