"""Instants as this server writes them: microseconds since 1970 inside, ISO 8601 and HTTP dates outside.

https://hl7.org/fhir/R4/datatypes.html#instant
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import lru_cache

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
SECOND = 1_000_000
MILLISECOND = 1_000


@lru_cache(maxsize=256)
def _second(seconds: int) -> str:
    return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)
def write_instant(microseconds: int) -> str:
    """ "2026-03-01T10:00:00.123Z", to the millisecond."""
    seconds, rest = divmod(microseconds, SECOND)
    return f"{_second(seconds)}.{rest // MILLISECOND:03d}Z"


@lru_cache(maxsize=256)
def _http_second(seconds: int) -> str:
    return format_datetime(_EPOCH + timedelta(seconds=seconds), usegmt=True)


def write_http_date(microseconds: int) -> str:
    """ "Sun, 01 Mar 2026 10:00:00 GMT" (RFC 7231 7.1.1.1)."""
    return _http_second(microseconds // SECOND)


def read_http_date(text: str) -> int | None:
    """Seconds since 1970, or None for what is not an HTTP date."""
    try:
        parsed = parsedate_to_datetime(text)
    except (ValueError, TypeError, OverflowError):
        return None
    if parsed.tzinfo is None:
        parsed = parsed.replace(tzinfo=UTC)
    return int((parsed - _EPOCH).total_seconds())
