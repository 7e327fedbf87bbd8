"""The waits of services as they follow from what is stored: of many services at once, as each statement costs more than
what it reads of one.

https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fhir_server.booking import facts, queries
from fhir_server.directory import statistics
from fhir_server.directory.clock import clock_of
from fhir_server.directory.waits import BEYOND, Figures, midnight, priority_of
from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target
from fhir_server.search.expression import And, Expression, Not, Query, SortKey
from fhir_server.spec.dates import DAY
from fhir_server.spec.json_format import parse_plain
from fhir_server.store.contract import Match, ReadTransaction

Json = dict[str, Any]
_SERVICE = "HealthcareService"
# So many schedules, slots or appointments are read for services together; those that have more are asked about apart.
MOST = 5000
_MOST_SCHEDULES = 1000
_LOOKED_AT = 20
_SAMPLE = 200
_SAMPLE_PERIOD = 91 * DAY
_SEEN_OR_BOOKED = ("booked", "arrived", "checked-in", "fulfilled", "noshow")
_EVER = 10 * 366 * DAY


class _TooMuch(Exception):
    """More than is read at once."""


def figures(
    service_ids: Sequence[str], context: Context, transaction: ReadTransaction, most: int = MOST
) -> dict[str, Figures | None]:
    """Service id -> its figures.

    None for a service without a clinic and without appointments: there is nothing to tell.
    """
    try:
        return _Together(service_ids, context, transaction, most).figures()
    except _TooMuch:
        if len(service_ids) == 1:
            return {service_ids[0]: _alone(service_ids[0], context, transaction)}
        half = len(service_ids) // 2
        parts = (service_ids[:half], service_ids[half:])
        return {
            service_id: found
            for part in parts
            for service_id, found in figures(part, context, transaction, most).items()
        }


@dataclass
class _Together:
    """What is read of some services in one statement of each kind. most: see MOST."""

    service_ids: Sequence[str]
    context: Context
    transaction: ReadTransaction
    most: int
    schedules: dict[str, list[str]] = field(default_factory=dict)

    def figures(self) -> dict[str, Figures | None]:
        """Raises _TooMuch."""
        now, zone = self.context.now(), self.context.policy.zone
        days_7, days_28 = midnight(now, 8, zone), midnight(now, 29, zone)
        self._read_schedules()
        waits = self._waits(now)
        free = self._free(self.schedules, now + 1, days_28)
        lacking = [
            service_id
            for service_id in self.schedules
            if len(_first(free.get(service_id, ()))) < len(BEYOND)
        ]
        later = self._free(lacking, days_28, now + _EVER)
        found: dict[str, Figures | None] = {}
        for service_id in self.service_ids:
            soon, sample = free.get(service_id, []), sorted(waits.get(service_id, []))
            if service_id not in self.schedules and not sample:
                found[service_id] = None
                continue
            free_7 = sum(start < days_7 for start, _ in soon)
            first = _first([*soon, *later.get(service_id, [])])
            found[service_id] = _figures(first, free_7, len(soon), sample)
        return found

    def _page(
        self, resource_type: str, where: Expression, sort: tuple[SortKey, ...] = ()
    ) -> list[Match]:
        query = Query((resource_type,), where, sort, self.most + 1)
        found = self.transaction.page(query)
        if len(found) > self.most:
            raise _TooMuch
        return found

    def _concerned(self, references: Iterable[Json]) -> set[str]:
        """Which of the services the references name."""
        named = {
            item for _, (kind, item) in facts.targets(references, self.context) if kind == _SERVICE
        }
        return named.intersection(self.service_ids)

    def _named(self) -> list[str]:
        return [f"{_SERVICE}/{item}" for item in self.service_ids]

    def _read_schedules(self) -> None:
        for item in self._page("Schedule", queries.referring("Schedule", "actor", self._named())):
            for service_id in self._concerned(parse_plain(item.body).get("actor", ())):
                self.schedules.setdefault(service_id, []).append(item.logical_id)

    def _free(
        self, service_ids: Iterable[str], low: int, high: int
    ) -> dict[str, list[tuple[int, str | None]]]:
        """Service id -> (start, priority) of the free slots of its clinics that start in [low, high)."""
        clinics: dict[str, list[str]] = {}
        for service_id in service_ids:
            for schedule_id in self.schedules[service_id]:
                clinics.setdefault(schedule_id, []).append(service_id)
        found: dict[str, list[tuple[int, str | None]]] = {}
        if not clinics:
            return found
        # A clinic's slots name it in the same words, mostly.
        named: dict[str, list[list[tuple[int, str | None]]]] = {}
        for item in self._page("Slot", _slots(clinics, low, high)):
            slot = parse_plain(item.body)
            written = slot["schedule"]["reference"]
            if written not in named:
                target = local_target(written, self.context)
                ids = clinics.get(target[1], ()) if target else ()
                named[written] = [found.setdefault(service_id, []) for service_id in ids]
            start = (facts.moment(slot["start"]), priority_of(slot))
            for listed in named[written]:
                listed.append(start)
        return found

    def _waits(self, now: int) -> dict[str, list[float]]:
        """Service id -> days from the start of the clock to each of its latest appointments with a referral."""
        listed: dict[str, list[Json]] = {}
        for item in self._page("Appointment", *_appointments(self._named(), now)):
            appointment = parse_plain(item.body)
            actors = (each.get("actor", {}) for each in appointment.get("participant", ()))
            for service_id in self._concerned(actors):
                held = listed.setdefault(service_id, [])
                if len(held) < _SAMPLE:
                    held.append(appointment)
        return _waited(listed, self.context, self.transaction)


def _alone(service_id: str, context: Context, transaction: ReadTransaction) -> Figures | None:
    """The figures of a service that has too much to be read: counted, and its first slots looked at."""
    now, zone = context.now(), context.policy.zone
    named = [f"{_SERVICE}/{service_id}"]
    clinics = queries.referring("Schedule", "actor", named)
    found = queries.found("Schedule", clinics, transaction, _MOST_SCHEDULES)
    schedules = [item.logical_id for item in found]
    where, order = _appointments(named, now)
    latest = transaction.page(Query(("Appointment",), where, order, _SAMPLE))
    listed = {service_id: [parse_plain(item.body) for item in latest]}
    waits = sorted(_waited(listed, context, transaction).get(service_id, []))
    if not schedules and not waits:
        return None
    if not schedules:
        return _figures({}, 0, 0, waits)
    low = now + 1
    free_7, free_28 = (
        transaction.count(("Slot",), _slots(schedules, low, midnight(now, days, zone)))
        for days in (8, 29)
    )
    first = _first_looked_for(_slots(schedules, low, now + _EVER), transaction)
    return _figures(first, free_7, free_28, waits)


def _figures(first: dict[str, int], free_7: int, free_28: int, waits: list[float]) -> Figures:
    return Figures(
        first_free=tuple(first.items()),
        free_7=free_7,
        free_28=free_28,
        median=statistics.median(waits) if waits else None,
        percentile_92=statistics.percentile_92(waits) if waits else None,
        sample=len(waits),
    )


def _slots(schedule_ids: Iterable[str], low: int, high: int) -> Expression:
    """Free slots of those clinics that start in [low, high)."""
    return And(
        (
            queries.coded("Slot", "status", "free"),
            *queries.within("Slot", "start", low, high),
            queries.referring("Slot", "schedule", (f"Schedule/{item}" for item in schedule_ids)),
        )
    )


def _first(slots: Iterable[tuple[int, str | None]]) -> dict[str, int]:
    """Priority -> the start of the first of the slots that is open to it."""
    first = {}
    for priority, beyond in BEYOND.items():
        starts = [start for start, code in slots if code not in beyond]
        if starts:
            first[priority] = min(starts)
    return first


def _first_looked_for(where: Expression, transaction: ReadTransaction) -> dict[str, int]:
    """The same of the slots for which it holds; most often it is among the first few of all."""
    order = queries.by_date("Slot", "start")
    looked_at = transaction.page(Query(("Slot",), where, order, _LOOKED_AT))
    slots = [parse_plain(item.body) for item in looked_at]
    first = _first([(facts.moment(slot["start"]), priority_of(slot)) for slot in slots])
    if len(slots) < _LOOKED_AT:
        return first
    found = {}
    for priority, beyond in BEYOND.items():
        if priority in first:
            found[priority] = first[priority]
            continue
        closed_to = queries.coded("Slot", "appointment-type", *beyond)
        query = Query(("Slot",), And((where, Not(closed_to))), order, 1)
        for item in transaction.page(query):
            found[priority] = facts.moment(parse_plain(item.body)["start"])
    return found


def _appointments(services: list[str], now: int) -> tuple[Expression, tuple[SortKey, ...]]:
    """The appointments that waits are told of, the latest first."""
    where = And(
        (
            queries.referring("Appointment", "actor", services),
            queries.coded("Appointment", "status", *_SEEN_OR_BOOKED),
            *queries.within("Appointment", "date", now - _SAMPLE_PERIOD, now + _EVER),
        )
    )
    (by_date,) = queries.by_date("Appointment", "date")
    return where, (SortKey("date", by_date.parameters, descending=True),)


def _waited(
    listed: dict[str, list[Json]], context: Context, transaction: ReadTransaction
) -> dict[str, list[float]]:
    """Service id -> days from the start of the clock to those of its appointments that have a referral."""
    asked = [
        (service_id, facts.moment(appointment["start"]), referrals[0])
        for service_id, appointments in listed.items()
        for appointment in appointments
        if "start" in appointment and (referrals := facts.referrals_of(appointment, context))
    ]
    known = facts.resources(
        [("ServiceRequest", item) for _, _, item in asked], context, transaction
    )
    clocks = {logical_id: clock_of(referral) for (_, logical_id), referral in known.items()}
    waits: dict[str, list[float]] = {}
    for service_id, start, referral_id in asked:
        clock = clocks.get(referral_id)
        if clock is not None and clock.start <= start:
            waits.setdefault(service_id, []).append(clock.waited(start) / DAY)
    return waits
