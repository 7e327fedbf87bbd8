"""How long a service makes patients wait: its free slots to come, and the waits of those who have an appointment.

docs/referrals-directory.md says what each figure is of. https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fhir_server.booking import facts, queries
from fhir_server.booking.names import PRIORITY
from fhir_server.directory import statistics
from fhir_server.directory.clock import clock_of
from fhir_server.directory.names import WAIT
from fhir_server.directory.statistics import written
from fhir_server.interactions.call import Context
from fhir_server.referral import extensions
from fhir_server.search.expression import And, Expression, Not, Query, SortKey
from fhir_server.spec.dates import DAY
from fhir_server.spec.instants import SECOND, write_instant
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Alert = Literal["LIMITED", "NORMAL", "AVAILABLE"]

# Codes of slots that a referral of that priority may not take: it takes those of its own and of lower priority.
_BEYOND = {
    "routine": ("URGENT", "TWO_WEEK_WAIT"),
    "urgent": ("TWO_WEEK_WAIT",),
    "two-week-wait": (),
}
_LOOKED_AT = 20
_SAMPLE = 200
_SAMPLE_PERIOD = 91 * DAY
_SEEN_OR_BOOKED = ("booked", "arrived", "checked-in", "fulfilled", "noshow")


@dataclass(frozen=True, slots=True)
class Figures:
    """first_free: priority -> start of the first free slot, microseconds; free_7, free_28: until the end of that day.

    median, percentile_92: days, None without a sample.
    """

    first_free: tuple[tuple[str, int], ...]
    free_7: int
    free_28: int
    median: float | None
    percentile_92: float | None
    sample: int

    @property
    def alert(self) -> Alert:
        """LIMITED without a free slot in 28 days, AVAILABLE with one in 7."""
        if self.free_28 == 0:
            return "LIMITED"
        return "AVAILABLE" if self.free_7 else "NORMAL"

    def extension(self, as_of: int) -> Json:
        """As the extension service-wait."""
        listed: list[Json] = [
            {"url": f"first-free-slot-{name}", "valueInstant": write_instant(start)}
            for name, start in self.first_free
        ]
        listed += [
            {"url": "free-slots-7-days", "valueUnsignedInt": self.free_7},
            {"url": "free-slots-28-days", "valueUnsignedInt": self.free_28},
        ]
        for url, days in (("median-wait", self.median), ("percentile-92-wait", self.percentile_92)):
            if days is not None:
                listed.append({"url": url, "valueDecimal": written(days)})
        listed += [
            {"url": "sample-size", "valueUnsignedInt": self.sample},
            {"url": "as-of", "valueInstant": write_instant(as_of)},
            {"url": "capacity-alert", "valueCode": self.alert},
        ]
        return {"url": WAIT, "extension": listed}


def figures(service_id: str, context: Context, transaction: ReadTransaction) -> Figures | None:
    """The figures of a service.

    None for a service without a clinic and without appointments: there is nothing to tell.
    """
    now = context.now()
    clinics = queries.referring("Schedule", "actor", [f"HealthcareService/{service_id}"])
    schedules = [
        f"Schedule/{item.logical_id}"
        for item in queries.found("Schedule", clinics, transaction, 1000)
    ]
    waits = _waits(service_id, now, context, transaction)
    if not schedules and not waits:
        return None
    free = queries.coded("Slot", "status", "free")
    of_clinics = queries.referring("Slot", "schedule", schedules)
    zone = context.policy.zone

    def before(end: int) -> Expression:
        return And((free, *queries.within("Slot", "start", now + 1, end), of_clinics))

    first: dict[str, int] = {}
    free_7 = free_28 = 0
    if schedules:
        free_7 = transaction.count(("Slot",), before(midnight(now, 8, zone)))
        free_28 = transaction.count(("Slot",), before(midnight(now, 29, zone)))
        first = _first_free(before(now + 10 * 366 * DAY), transaction)
    return Figures(
        first_free=tuple(first.items()),
        free_7=free_7,
        free_28=free_28,
        median=statistics.median(waits) if waits else None,
        percentile_92=statistics.percentile_92(waits) if waits else None,
        sample=len(waits),
    )


def midnight(now: int, days: int, zone: ZoneInfo) -> int:
    """The beginning of the day so many days after today, in microseconds since 1970."""
    today = datetime.fromtimestamp(now / SECOND, zone).date()
    return int(datetime.combine(today + timedelta(days=days), time(), zone).timestamp()) * SECOND


def _first_free(where: Expression, transaction: ReadTransaction) -> dict[str, int]:
    """The first free slot for each priority; most often it is among the first few of all."""
    order = queries.by_date("Slot", "start")
    hits = transaction.search(Query(("Slot",), where, order, _LOOKED_AT))
    slots = [parse(hit.version.body) for hit in hits]
    first = {}
    for priority, beyond in _BEYOND.items():
        open_to = [slot for slot in slots if _priority_of(slot) not in beyond]
        if not open_to and len(slots) == _LOOKED_AT:
            closed_to = queries.coded("Slot", "appointment-type", *beyond)
            query = Query(("Slot",), And((where, Not(closed_to))), order, 1)
            open_to = [parse(hit.version.body) for hit in transaction.search(query)]
        if open_to:
            first[priority] = facts.moment(open_to[0]["start"])
    return first


def _priority_of(slot: Json) -> str | None:
    """The code of eRS-Priority that a slot is for; None: routine."""
    codings = slot.get("appointmentType", {}).get("coding", ())
    return next((item.get("code") for item in codings if item.get("system") == PRIORITY), None)


def _waits(
    service_id: str, now: int, context: Context, transaction: ReadTransaction
) -> list[float]:
    """Days from the start of the clock to the appointment, ascending: of the latest appointments with a referral."""
    where = And(
        (
            queries.referring("Appointment", "actor", [f"HealthcareService/{service_id}"]),
            queries.coded("Appointment", "status", *_SEEN_OR_BOOKED),
            *queries.within("Appointment", "date", now - _SAMPLE_PERIOD, now + 10 * 366 * DAY),
        )
    )
    (by_date,) = queries.by_date("Appointment", "date")
    order = (SortKey("date", by_date.parameters, descending=True),)
    hits = transaction.search(Query(("Appointment",), where, order, _SAMPLE))
    asked: list[tuple[int, str]] = []
    for hit in hits:
        appointment = parse(hit.version.body)
        referrals = facts.referrals_of(appointment, context)
        if referrals and "start" in appointment:
            asked.append((facts.moment(appointment["start"]), referrals[0]))
    known = facts.resources([("ServiceRequest", item) for _, item in asked], context, transaction)
    waits = []
    for start, referral_id in asked:
        referral = known.get(("ServiceRequest", referral_id))
        clock = clock_of(referral) if referral is not None else None
        if clock is not None and clock.start <= start:
            waits.append(clock.waited(start) / DAY)
    return sorted(waits)


def stated(service: Json) -> Json | None:
    """The extension service-wait of a HealthcareService, or None."""
    return extensions.one(service, WAIT)


def value(shown: Json, figure: str) -> Any:
    """One figure of the extension, or None."""
    return extensions.part(shown, figure)


def without_moment(extension: Json) -> list[Json]:
    """The figures of an extension without when they were computed."""
    return [item for item in extension.get("extension", ()) if item.get("url") != "as-of"]


def as_of(shown: Json) -> int:
    """When the figures of the extension were computed, microseconds since 1970."""
    found = value(shown, "as-of")
    return 0 if found is None else facts.moment(found)


def changing(shown: Json, context: Context) -> int:
    """The moment at which time alone will change the figures of the extension."""
    now = context.now()
    starts = [facts.moment(item) for item in first_free(shown).values()]
    return min([midnight(now, 1, context.policy.zone), *starts])


def first_free(shown: Json) -> dict[str, str]:
    """Priority -> the instant of the first free slot that the extension tells for it."""
    starts = ((priority, value(shown, f"first-free-slot-{priority}")) for priority in _BEYOND)
    return {priority: start for priority, start in starts if start is not None}
