"""The interval of time that a date, dateTime, instant or partial date covers.

https://hl7.org/fhir/R4/search.html#date
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EARLIEST = -(2**62)
LATEST = 2**62
DAY = 86_400_000_000

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = date(1970, 1, 1).toordinal()
# The wall-clock time that ends year 9999 is beyond datetime: it has the offset of the moment before.
_LAST_WALL = (date.max.toordinal() - _EPOCH_DAY + 1) * DAY - 1
_LONGEST_REMEMBERED = 40
_LONDON = ZoneInfo("Europe/London")
_PATTERN = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


def interval(text: str, zone: ZoneInfo = _LONDON) -> tuple[int, int]:
    """[low, high) in microseconds since 1970-01-01T00:00Z; a value without a zone is read in the given one.

    The width is that of the precision written: a year, month, day, minute, second or fraction of one (at least a
    microsecond). Second 60 is read as the first of the next minute. Raises ValueError for anything else.
    """
    return (_read if len(text) > _LONGEST_REMEMBERED else _remembered)(text, zone)


def _read(text: str, zone: ZoneInfo) -> tuple[int, int]:
    found = _common(text)
    if found is not None:
        return found
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:64]!r} is not a date")
    year, month, day, hour, minute, second, fraction, offset = match.groups()
    if hour is None:
        return _days(int(year), month, day, zone)
    if int(hour) > 23 or int(minute) > 59 or int(second or 0) > 60:
        raise ValueError(f"{text[:64]!r} is not a time of day")
    clock = (int(hour) * 3600 + int(minute) * 60 + int(second or 0)) * 1_000_000
    midnight = date(int(year), int(month), int(day)).toordinal() - _EPOCH_DAY
    low = midnight * DAY + clock
    width = 60_000_000 if second is None else 1_000_000
    if fraction is not None:
        low += int(fraction[:6].ljust(6, "0"))
        width = max(1, 10 ** (6 - len(fraction))) if len(fraction) <= 6 else 1
    low -= _local_offset(low, zone) if offset is None else _offset(offset)
    return low, low + width


# The rules about a resource ask for its times before they are indexed, and resources written together tell the same.
_remembered = lru_cache(maxsize=256)(_read)


def _common(text: str) -> tuple[int, int] | None:
    """The usual shapes with a zone (seconds or milliseconds and Z, seconds and an offset), read by the C parser.

    None leaves the text to the grammar: another shape, second 60, or not a date at all.
    """
    match len(text):
        case 20:
            width = 1_000_000 if text[19] == "Z" else 0
        case 24:
            width = 1_000 if text[19] == "." and text[23] == "Z" else 0
        case 25:
            width = 1_000_000 if text[22] == ":" and text[20:22] < "14" else 0
        case _:
            return None
    if not width or text[4:11:3] != "--T" or text[13] != ":" or text[11:13] > "23":
        return None
    try:
        gap = datetime.fromisoformat(text) - _EPOCH
    except ValueError:
        return None
    low = (gap.days * 86_400 + gap.seconds) * 1_000_000 + gap.microseconds
    return low, low + width


@lru_cache(maxsize=256)
def _offset(text: str) -> int:
    if text == "Z":
        return 0
    hours, minutes = int(text[1:3]), int(text[4:6])
    if hours > 14 or minutes > 59 or (hours == 14 and minutes):
        raise ValueError(f"{text} is not an offset")
    value = (hours * 60 + minutes) * 60_000_000
    return -value if text[0] == "-" else value


def _local_offset(wall: int, zone: ZoneInfo) -> int:
    """The zone's offset at a wall-clock time, in microseconds; the first of two when a clock goes back."""
    naive = datetime(1970, 1, 1) + timedelta(microseconds=wall)  # noqa: DTZ001 - the zone is put on next
    offset = naive.replace(tzinfo=zone).utcoffset()
    assert offset is not None
    return offset // timedelta(microseconds=1)


def _days(year: int, month: str | None, day: str | None, zone: ZoneInfo) -> tuple[int, int]:
    first = date(year, int(month or 1), int(day or 1))
    return _midnight(first.toordinal(), zone), _midnight(_next(first, month, day), zone)


def _next(first: date, month: str | None, day: str | None) -> int:
    """The ordinal of the day after the year, month or day."""
    if day is not None:
        return first.toordinal() + 1
    if month is None or first.month == 12:
        return date(first.year, 12, 31).toordinal() + 1
    return date(first.year, first.month + 1, 1).toordinal()


@lru_cache(maxsize=4096)
def _midnight(ordinal: int, zone: ZoneInfo) -> int:
    wall = (ordinal - _EPOCH_DAY) * DAY
    return wall - _local_offset(min(wall, _LAST_WALL), zone)
