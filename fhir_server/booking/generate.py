"""Schedule/[id]/$generate: the slots of a clinic that recurs, at the same local time when the clocks change.

https://hl7.org/fhir/R4/schedule.html, https://datatracker.ietf.org/doc/html/rfc5545#section-3.3.10
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fhir_server.booking import publish
from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import CAPACITY, OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
GENERATED = f"{OURS}/Id/generated-slot"
KNOWN = frozenset({"start", "rrule", "slot-minutes", "session-minutes", "time-zone", "capacity"})
_PLACE = "Parameters.parameter"
_LOCAL = re.compile(r"(19|20|21)\d\d-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
_UNTIL = re.compile(r"(\d{8}T\d{6})Z")
_MOST_YEARS = 10
_COPIED = ("serviceCategory", "serviceType", "specialty")


@dataclass(frozen=True)
class Generate:
    """$generate at the instance level."""

    code: str = "generate"
    definition: str = f"{OURS}/OperationDefinition/Schedule-generate"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"Schedule"})
    affects_state: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a Bundle that has an answer for each slot; asking again makes no slot twice."""
        writing = writable(transaction)
        inputs = read_inputs(call, KNOWN)
        version = transaction.current("Schedule", call.logical_id or "")
        if version is None or version.deleted:
            raise errors.not_found("There is no such Schedule")
        slots = list(_slots(parse_stored(version.body), inputs, context))
        return publish.publish(slots, context, writing)


def _slots(schedule: Json, inputs: Inputs, context: Context) -> Iterator[Json]:
    minutes = inputs.number("slot-minutes", 1, 24 * 60)
    if minutes is None:
        raise errors.required("Send slot-minutes, the length of a slot", _PLACE)
    session = inputs.number("session-minutes", minutes, 24 * 60) or minutes
    capacity = inputs.number("capacity", 1, 500) or 1
    zone = _zone(inputs, context)
    most = context.policy.maximum_entries
    number = 0
    for begin in _sessions(inputs, zone, most):
        for place in range(session // minutes):
            number += 1
            if number > most:
                raise errors.too_costly(
                    f"That makes more than {most} slots; generate a shorter period"
                )
            # Within a session minutes pass as they do for people in the room, whatever the clock shows.
            start = begin + timedelta(minutes=minutes * place)
            yield _slot(schedule, start, start + timedelta(minutes=minutes), capacity)


def _slot(schedule: Json, start: datetime, end: datetime, capacity: int) -> Json:
    slot: Json = {"resourceType": "Slot"}
    if capacity != 1:
        slot["extension"] = [{"url": CAPACITY, "valuePositiveInt": capacity}]
    begin = start.strftime("%Y-%m-%dT%H:%M:%SZ")
    slot["identifier"] = [{"system": GENERATED, "value": f"{schedule['id']}/{begin}"}]
    slot |= {name: schedule[name] for name in _COPIED if name in schedule}
    return slot | {
        "schedule": {"reference": f"Schedule/{schedule['id']}"},
        "status": "free",
        "start": begin,
        "end": end.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


def _zone(inputs: Inputs, context: Context) -> ZoneInfo:
    name = inputs.text("time-zone")
    if name is None:
        return context.policy.zone
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise errors.invalid("time-zone is not one; write it as Europe/London", _PLACE) from None


def _sessions(inputs: Inputs, zone: ZoneInfo, most: int) -> Iterator[datetime]:
    """When the sessions begin, in UTC; the rule counts in local time, so a clinic at nine stays at nine.

    A local time that the clocks jump over is read by the offset before, one that is there twice is the first.
    """
    from dateutil.rrule import rrulestr

    text = inputs.text("start")
    if text is None or not _LOCAL.fullmatch(text):
        raise errors.required(
            "Send start, the local time of the first session, as 2026-03-02T09:00", _PLACE
        )
    rule = inputs.text("rrule")
    try:
        first = datetime.fromisoformat(text)
        if rule is None:
            found: Any = [first]
        else:
            without_count, times = _checked_rule(rule, first, zone)
            found = islice(rrulestr(without_count, dtstart=first), times)
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        raise errors.invalid(
            "start or rrule cannot be read; write a rule as FREQ=WEEKLY;BYDAY=MO,WE;COUNT=10",
            _PLACE,
        ) from None
    for local in islice(found, most + 1):
        yield local.replace(tzinfo=zone).astimezone(UTC)


def _checked_rule(rule: str, first: datetime, zone: ZoneInfo) -> tuple[str, int | None]:
    """The rule with an end in local time, and how often it happens at most.

    COUNT is taken out: a rule that never comes true (30 February) would be followed to the end of time.
    FhirError 400 for a rule without an end or finer than days.
    """
    rule = rule.strip().upper().removeprefix("RRULE:")
    parts = dict(item.split("=", 1) for item in rule.split(";"))
    if parts.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise errors.invalid("FREQ must be DAILY, WEEKLY, MONTHLY or YEARLY", _PLACE)
    if not {"COUNT", "UNTIL"} & parts.keys():
        raise errors.required("The rule needs COUNT or UNTIL", _PLACE)
    if {"BYHOUR", "BYMINUTE", "BYSECOND"} & parts.keys() or int(parts.get("INTERVAL", "1")) < 1:
        raise errors.invalid("The rule may name days only, with an INTERVAL of 1 or more", _PLACE)
    times = int(parts.pop("COUNT")) if "COUNT" in parts else None
    if times is not None and times < 1:
        raise errors.invalid("COUNT must be 1 or more", _PLACE)
    last = f"{first.replace(year=first.year + _MOST_YEARS, day=1):%Y%m%dT%H%M%S}"
    until = _UNTIL.sub(lambda match: _local(match[1], zone), parts.get("UNTIL", last))
    parts["UNTIL"] = min(until, last)
    return ";".join(f"{name}={value}" for name, value in parts.items()), times


def _local(text: str, zone: ZoneInfo) -> str:
    moment = datetime.strptime(text, "%Y%m%dT%H%M%S").replace(tzinfo=UTC)
    return f"{moment.astimezone(zone):%Y%m%dT%H%M%S}"
