"""Working days in England: Monday to Friday, bank holidays left out (https://www.gov.uk/bank-holidays)."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from holidays import HolidayBase

_SATURDAY = 5


@cache
def _holidays() -> HolidayBase:
    # Loaded with the first day that is asked for, to start the sooner.
    from holidays import country_holidays

    return country_holidays("GB", subdiv="ENG")


def is_working_day(day: date) -> bool:
    """Whether people are at work."""
    return day.weekday() < _SATURDAY and day not in _holidays()


def after(day: date, count: int) -> date:
    """The working day that is so many working days later."""
    while count:
        day += timedelta(days=1)
        count -= is_working_day(day)
    return day


def due(now: int, count: int, zone: ZoneInfo) -> str:
    """The date so many working days after a moment, microseconds since 1970."""
    today = datetime.fromtimestamp(now // 1_000_000, UTC).astimezone(zone).date()
    return after(today, count).isoformat()
