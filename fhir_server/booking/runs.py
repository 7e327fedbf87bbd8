"""From free slots to appointments: adjacent slots make a duration, several calendars agree on a time.

https://hl7.org/fhir/R4/datatypes.html#Timing
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any

import orjson

from fhir_server.booking import facts, queries, statuses
from fhir_server.booking.inputs import Inputs
from fhir_server.booking.proposals import Slots
from fhir_server.interactions.call import Context
from fhir_server.search.expression import And
from fhir_server.spec import errors
from fhir_server.spec.dates import DAY
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Span = tuple[int, int]

_MINUTE = 60_000_000
_MOST_MINUTES = 100_000
_UNITS = {"s": 1 / 60, "min": 1, "h": 60, "d": 1440}
_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WINDOW = re.compile(
    r"(?:((?:mon|tue|wed|thu|fri|sat|sun)(?:,(?:mon|tue|wed|thu|fri|sat|sun))*) )?"
    r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-4]):([0-5]\d)"
)


@dataclass(frozen=True, slots=True)
class Window:
    """Days of the week (0 is Monday) and minutes of the local day that an appointment must lie within."""

    days: frozenset[int]
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class RunShape:
    """minutes: how long the appointment shall be, None: one slot, however long; windows: none means any time."""

    minutes: float | None
    windows: tuple[Window, ...]

    @property
    def plain(self) -> bool:
        """Whether any single slot will do."""
        return self.minutes is None and not self.windows


def read_shape(inputs: Inputs, context: Context) -> RunShape:
    """From duration (minutes), window ("mon,wed 09:00-12:00", repeats are alternatives) and timing (a Timing)."""
    del context
    minutes: float | None = inputs.number("duration", 1, 24 * 60)
    windows = [_window(text) for text in inputs.texts("window")]
    timing = inputs.one("timing")
    if isinstance(timing, str):
        try:
            timing = orjson.loads(timing)
        except orjson.JSONDecodeError:
            raise errors.invalid("timing must be a Timing", "Parameters.parameter") from None
    if timing is not None:
        repeat = timing.get("repeat", {}) if isinstance(timing, dict) else None
        if not isinstance(repeat, dict):
            raise errors.invalid("timing must be a Timing", "Parameters.parameter")
        if "duration" in repeat:
            unit = repeat.get("durationUnit")
            if unit not in _UNITS:
                raise errors.invalid(
                    f"timing.repeat.durationUnit must be one of {', '.join(_UNITS)}",
                    "Parameters.parameter",
                )
            minutes = _number(repeat["duration"]) * _UNITS[unit]
        windows += _windows_of(repeat)
    return RunShape(minutes, tuple(windows))


def _number(value: Any) -> float:
    try:
        found = float(value)
    except (TypeError, ValueError):
        found = math.nan
    if not 0 < found < _MOST_MINUTES:
        raise errors.invalid("timing.repeat.duration must be a number", "Parameters.parameter")
    return found


def _window(text: str) -> Window:
    match = _WINDOW.fullmatch(text.lower())
    if match is None:
        raise errors.invalid(
            "window is written as 09:00-12:30, or with days as mon,wed 09:00-12:30",
            "Parameters.parameter",
        )
    days = match[1].split(",") if match[1] else _DAYS
    first, last = int(match[2]) * 60 + int(match[3]), int(match[4]) * 60 + int(match[5])
    return Window(frozenset(_DAYS.index(day) for day in days), first, last)


def _windows_of(repeat: Json) -> list[Window]:
    """The days and times of day of a Timing; an appointment begins at such a time."""
    days = repeat.get("dayOfWeek", [])
    times = repeat.get("timeOfDay", [])
    if not days and not times:
        return []
    try:
        numbers = frozenset(_DAYS.index(day) for day in days) or frozenset(range(7))
        starts = [time.fromisoformat(item) for item in times]
    except (ValueError, TypeError):
        raise errors.invalid(
            "timing.repeat has a dayOfWeek or timeOfDay that cannot be read", "Parameters.parameter"
        ) from None
    if not starts:
        return [Window(numbers, 0, 24 * 60)]
    return [
        Window(numbers, item.hour * 60 + item.minute, -1) for item in starts
    ]  # -1: only the start counts


def proposals(
    slots: Sequence[Json],
    shape: RunShape,
    kinds: list[set[str]],
    engaged: list[Span],
    context: Context,
) -> list[Slots]:
    """Every appointment that the slots (by start) make, soonest first.

    kinds: for each kind of actor the schedules that have one; where no schedule has all, slots of several schedules
    with the same times are put together. engaged: times that are taken for the patients.
    """
    by_schedule: dict[str, list[Json]] = {}
    for slot in slots:
        targets = facts.targets([slot.get("schedule", {})], context)
        schedule = next((target[1] for _, target in targets), "")
        by_schedule.setdefault(schedule, []).append(slot)
    spans: dict[Span, dict[str, Slots]] = {}
    for schedule, listed in by_schedule.items():
        for number in range(len(listed)):
            run = _run(listed, number, shape)
            if run is not None:
                span = facts.moment(run[0]["start"]), facts.moment(run[-1]["end"])
                spans.setdefault(span, {}).setdefault(schedule, run)
    found = []
    for span in sorted(spans):
        if any(low < span[1] and span[0] < high for low, high in engaged):
            continue
        if shape.windows and not any(_inside(span, item, context) for item in shape.windows):
            continue
        found += _together(spans[span], kinds)
    return found


def _run(listed: Sequence[Json], number: int, shape: RunShape) -> Slots | None:
    """The slot and as many that follow it without a gap as the duration needs."""
    first = listed[number]
    if shape.minutes is None:
        return (first,)
    start = facts.moment(first["start"])
    run, end = [first], facts.moment(first["end"])
    for slot in listed[number + 1 :]:
        if end - start >= shape.minutes * _MINUTE:
            break
        if facts.moment(slot["start"]) == end:
            run.append(slot)
            end = facts.moment(slot["end"])
    return tuple(run) if end - start >= shape.minutes * _MINUTE else None


def _together(runs: dict[str, Slots], kinds: list[set[str]]) -> list[Slots]:
    """Proposals for one time: a schedule that has an actor of every kind, else the first of each kind."""
    if not kinds:
        return list(runs.values())
    found = []
    for schedule, run in runs.items():
        if schedule not in kinds[0]:
            continue
        slots, complete = list(run), True
        for kind in kinds[1:]:
            if schedule in kind or any(
                slot in slots for other in kind for slot in runs.get(other, ())
            ):
                continue
            other_run = next((runs[other] for other in sorted(kind) if other in runs), None)
            complete = complete and other_run is not None
            slots += other_run or ()
        if complete:
            found.append(tuple(slots))
    return found


def _inside(span: Span, window: Window, context: Context) -> bool:
    zone = context.policy.zone
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    start = (epoch + timedelta(microseconds=span[0])).astimezone(zone)
    minutes = start.hour * 60 + start.minute
    if start.weekday() not in window.days or minutes < window.first:
        return False
    if window.last < 0:
        return minutes == window.first
    end = (epoch + timedelta(microseconds=span[1])).astimezone(zone)
    days = (end.date() - start.date()).days
    return days * 24 * 60 + end.hour * 60 + end.minute <= window.last


def engaged(
    patients: Sequence[str], low: int, high: int, context: Context, transaction: ReadTransaction
) -> list[Span]:
    """When one of the patients has a live appointment already."""
    if not patients:
        return []
    named = facts.targets([{"reference": item} for item in patients], context)
    local = ["/".join(target) for _, target in named]
    where = And(
        (
            queries.referring("Appointment", "patient", local),
            *queries.within("Appointment", "date", low - DAY, high),
        )
    )
    found = []
    for version in queries.found("Appointment", where, transaction, 1000):
        appointment = parse_stored(version.body)
        if statuses.is_live(appointment) and "end" in appointment:
            start, end = facts.moment(appointment["start"]), facts.moment(appointment["end"])
            found.append((start, end))
    return found
