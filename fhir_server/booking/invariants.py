"""The rules between an appointment, its slots and its referral; each has one status and one code.

They are asked when an appointment becomes live or changes what they look at, not when history is loaded.
https://hl7.org/fhir/R4/appointment-definitions.html
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from fhir_server.booking import facts, names, queries, refusals, statuses
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.seats import Seats
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write
from fhir_server.search.expression import And
from fhir_server.search.parameters import parameter
from fhir_server.spec.dates import DAY
from fhir_server.spec.errors import Issue
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Match, ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]
_LOOKED_AT = ("slot", "start", "end", "basedOn")
_AHEAD = ("pending", "booked")
_PRIORITIES = {"ROUTINE": 0, "URGENT": 1, "TWO_WEEK_WAIT": 2}
_REFERRAL_PRIORITIES = {"routine": 0, "urgent": 1, "asap": 2, "stat": 2}
_CLINICIANS = ("Practitioner", "PractitionerRole")
_MOST_OVERLAPS = 50
_FEW = 10


def check(
    write: Write,
    before: Json | None,
    after: Json,
    new: dict[str, str],
    seats: Seats,
    policy: BookingPolicy,
    context: Context,
    transaction: Transaction,
) -> None:
    """FhirError 422 or 409 for the first rule that a live appointment breaks; new: see facts.slots_of."""
    if context.recording:
        return
    if statuses.is_live(before) and before is not None:
        if all(before.get(name) == after.get(name) for name in _LOOKED_AT):
            return
        earlier = facts.slots_of(before, context)
    else:
        earlier = {}
    known = {item: seats.slots[item] for item in new if item in seats.slots}
    _check_times(after, known, new)
    if after["status"] in _AHEAD:
        fresh = {item: slot for item, slot in known.items() if item not in earlier}
        _check_offer(fresh, new, policy, context)
    referrals = facts.referrals_of(after, context)
    if referrals:
        _check_referrals(referrals, known, new, context, transaction)
        _check_first(write.logical_id, after, referrals, context, transaction)
    if policy.overlap == "refuse":
        _check_schedules(write.logical_id, known, new, context, transaction)


def check_moment(after: Json | None, context: Context) -> None:
    """Nobody can have missed what has not begun yet (422)."""
    if after is None or after["status"] not in statuses.group("Appointment", "notBeforeStart"):
        return
    start = after.get("start")
    if start is not None and facts.moment(start) > context.now():
        raise refusals.invalid_state(
            422,
            f"The appointment has not begun yet, so it cannot be {after['status']}; cancel it instead",
            "Appointment.status",
        )


def _check_times(after: Json, known: dict[str, Json], new: dict[str, str]) -> None:
    """The slots of each schedule follow one another without a gap, from the appointment's start to its end."""
    by_schedule: dict[str, list[tuple[int, int, str]]] = {}
    for slot_id, slot in known.items():
        span = (facts.moment(slot["start"]), facts.moment(slot["end"]), slot_id)
        by_schedule.setdefault(facts.schedule_of(slot), []).append(span)
    for spans in by_schedule.values():
        spans.sort()
        for (_, end, _), (start, _, slot_id) in itertools.pairwise(spans):
            if start != end:
                raise refusals.conflicting_values(
                    "The slots do not follow one another; choose adjacent slots of one schedule",
                    new[slot_id],
                )
        if len(known) < len(new):
            continue  # a slot of another server may be the beginning or the end
        for name, moment, word in (
            ("start", spans[0][0], "start of the first"),
            ("end", spans[-1][1], "end of the last"),
        ):
            text = after.get(name)
            if text is not None and facts.moment(text) != moment:
                raise refusals.conflicting_values(
                    f"Appointment.{name} must be the {word} slot, {write_instant(moment)}",
                    f"Appointment.{name}",
                )


def _check_offer(
    fresh: dict[str, Json], new: dict[str, str], policy: BookingPolicy, context: Context
) -> None:
    now = context.now()
    for slot_id, slot in fresh.items():
        start = facts.moment(slot["start"])
        if start <= now:
            raise refusals.inappropriate_slot("The slot has begun already", new[slot_id])
        if _provides(context):
            continue
        if policy.window_days and start > now + policy.window_days * DAY:
            raise refusals.inappropriate_slot(
                f"The slot is more than {policy.window_days} days ahead; book it later",
                new[slot_id],
            )
        for item in slot.get("extension", ()):
            until = item.get("valueInstant", item.get("valueDateTime"))
            if item.get("url") == names.RESERVED_UNTIL and until and facts.moment(until) > now:
                raise refusals.inappropriate_slot(
                    f"The slot is reserved for its provider until {until}", new[slot_id]
                )


def _check_referrals(
    referrals: list[str],
    known: dict[str, Json],
    new: dict[str, str],
    context: Context,
    transaction: ReadTransaction,
) -> None:
    """The services, clinicians and priority that a referral asks for are those of the slots."""
    schedules = {
        slot_id: target
        for slot_id, slot in known.items()
        for _, target in facts.targets([slot.get("schedule", {})], context)
    }
    found = facts.resources(
        [*(("ServiceRequest", item) for item in referrals), *schedules.values()],
        context,
        transaction,
    )
    for logical_id in referrals:
        referral = found.get(("ServiceRequest", logical_id))
        if referral is None:
            continue
        performers = {target for _, target in facts.targets(referral.get("performer", ()), context)}
        for slot_id, slot in known.items():
            schedule = found.get(schedules.get(slot_id, ("", "")))
            actors = {
                target for _, target in facts.targets((schedule or {}).get("actor", ()), context)
            }
            _check_actors("HealthcareService", performers, actors, new[slot_id])
            _check_actors(_CLINICIANS, performers, actors, new[slot_id])
            if not _provides(context):
                _check_priority(referral, slot, new[slot_id])


def _provides(context: Context) -> bool:
    """Whether the clinic itself books, which keeps slots for whom it wants."""
    return context.caller is not None and context.caller.role == "provider"


def _check_actors(
    kinds: str | tuple[str, ...],
    performers: set[tuple[str, str]],
    actors: set[tuple[str, str]],
    place: str,
) -> None:
    listed = (kinds,) if isinstance(kinds, str) else kinds
    asked = {item for item in performers if item[0] in listed}
    offered = {item for item in actors if item[0] in listed}
    if asked and offered and not asked & offered:
        what = "service" if isinstance(kinds, str) else "clinician"
        raise refusals.inappropriate_value(
            f"The slot's {what} is none of those that the referral names; choose one of theirs",
            place,
        )


def _check_priority(referral: Json, slot: Json, place: str) -> None:
    if not serves(referral, slot):
        raise refusals.inappropriate_slot(
            "The slot is kept for referrals of a higher priority", place
        )


def serves(referral: Json, slot: Json) -> bool:
    """Whether the referral has the priority that the slot is for, or a higher one."""
    given = _REFERRAL_PRIORITIES.get(referral.get("priority", "routine"), 0)
    codings = slot.get("appointmentType", {}).get("coding", ())
    return all(
        given >= _PRIORITIES[item["code"]]
        for item in codings
        if item.get("system") == names.PRIORITY and item.get("code") in _PRIORITIES
    )


def _check_first(
    logical_id: str,
    after: Json,
    referrals: list[str],
    context: Context,
    transaction: ReadTransaction,
) -> None:
    """A referral has one live first appointment at a time; the referral is locked, so nobody can add another."""
    if follows_up(after):
        return
    based_on = parameter("Appointment", "based-on")
    assert based_on is not None
    targets = [("ServiceRequest", item) for item in referrals]
    links = transaction.links_to(targets, [based_on.number], 1000)
    versions = transaction.by_key([link.source_key for link in links])
    planned = context.pending
    for version in versions.values():
        other = parse_stored(version.body)
        identity = ("Appointment", version.logical_id)
        if version.logical_id == logical_id or follows_up(other):
            continue
        if identity in planned:
            # The Bundle changes that one too; which of both is live is seen when it is written.
            coming = planned[identity]
            if coming is not None and not statuses.is_live(coming):
                continue
        if statuses.is_live(other):
            raise refusals.invalid_state(
                409,
                "The referral has a live appointment already; move that one, or cancel it first",
                "Appointment.basedOn",
            )


def follows_up(appointment: Json) -> bool:
    """Whether it is a follow-up, of which a referral may have any number."""
    codings = appointment.get("appointmentType", {}).get("coding", ())
    return any(
        item.get("system") == names.VISIT_TYPE and item.get("code") == names.FOLLOW_UP
        for item in codings
    )


def _check_schedules(
    logical_id: str,
    known: dict[str, Json],
    new: dict[str, str],
    context: Context,
    transaction: Transaction,
) -> None:
    """Where a deployment asks for it: nothing else is booked in a slot of the schedule that overlaps."""
    wanted = {
        target
        for slot in known.values()
        for _, target in facts.targets([slot.get("schedule", {})], context)
    }
    transaction.lock(sorted(wanted))
    for slot_id, slot in known.items():
        start, end = facts.moment(slot["start"]), facts.moment(slot["end"])
        schedule = [
            "/".join(target) for _, target in facts.targets([slot.get("schedule", {})], context)
        ]
        where = And(
            (
                queries.referring("Slot", "schedule", schedule),
                *queries.within("Slot", "start", start - DAY, end),
            )
        )
        others = [
            version.logical_id
            for version in queries.found("Slot", where, transaction, 1000)
            if version.logical_id not in known
            and facts.moment(parse_stored(version.body)["end"]) > start
        ]
        for claim in transaction.claims.of_slots(others):
            if not claim.expired and claim.appointment_id not in ("", logical_id):
                raise refusals.slot_not_available(new[slot_id])


def _appointments_of(
    patient: str, start: int, end: int, transaction: ReadTransaction
) -> Iterable[Match | StoredVersion]:
    """The patient's appointments, as far as they may be near that time.

    Most patients have few, and following their references costs less than a search; so that comes first.
    """
    by_patient = parameter("Appointment", "patient")
    assert by_patient is not None
    links = transaction.links_to([("Patient", patient)], [by_patient.number], _FEW + 1)
    if len(links) <= _FEW:
        return transaction.by_key([link.source_key for link in links]).values()
    where = And(
        (
            queries.referring("Appointment", "patient", [f"Patient/{patient}"]),
            *queries.within("Appointment", "date", start - DAY, end),
        )
    )
    return queries.found("Appointment", where, transaction, _MOST_OVERLAPS)


def overlaps(
    logical_id: str, after: Json, context: Context, transaction: ReadTransaction
) -> tuple[Issue, ...]:
    """A warning for each patient with another live appointment at that time."""
    patients = facts.patients_of(after, context)
    if not patients or "start" not in after or "end" not in after:
        return ()
    start, end = facts.moment(after["start"]), facts.moment(after["end"])
    found = []
    for patient, place in patients:
        for version in _appointments_of(patient, start, end, transaction):
            other = parse_stored(version.body)
            if version.logical_id == logical_id or not statuses.is_live(other):
                continue
            if facts.moment(other.get("end", other["start"])) > start:
                found.append(refusals.overlapping(place))
                break
    return tuple(found)
