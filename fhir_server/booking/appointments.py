"""The rule about an Appointment: a live one has a seat in each of its slots, all of them or it is not stored.

https://hl7.org/fhir/R4/appointment.html#statuses
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from fhir_server.booking import (
    confirmation,
    facts,
    gp_connect,
    invariants,
    names,
    refusals,
    statuses,
)
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.seats import Seats
from fhir_server.interactions.call import Context
from fhir_server.interactions.rules import Ruled
from fhir_server.interactions.write import Write, append
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.claims import Claim, Kind
from fhir_server.store.contract import Transaction

Json = dict[str, Any]
Identity = tuple[str, str]
LOCK_ORDER = ("ServiceRequest", "Slot", "Schedule")


def needed(before: Json | None, after: Json | None, context: Context) -> set[Identity]:
    """What a change of an appointment has to lock: its referrals and all its slots, before and after."""
    slots = facts.slots_of(before, context).keys() | facts.slots_of(after, context).keys()
    referrals = {*facts.referrals_of(before, context), *facts.referrals_of(after, context)}
    return {("Slot", item) for item in slots} | {("ServiceRequest", item) for item in referrals}


def apply(
    write: Write,
    after: Json | None,
    policy: BookingPolicy,
    context: Context,
    transaction: Transaction,
) -> Ruled:
    """Take and free seats for a change of one appointment; raises FhirError 409 or 422."""
    before = write.before
    if lapsed(before) and statuses.is_live(after):
        raise refusals.hold_expired("Appointment.status")
    statuses.check_transition(before, after)
    invariants.check_moment(after, context)
    if policy.gp_connect:
        gp_connect.check_change(before, after, context)
    named, wanted = facts.slots_of(before, context), facts.slots_of(after, context)
    old = named if statuses.is_live(before) else {}
    new = wanted if statuses.is_live(after) else {}
    if not old and not new:
        return Ruled(after, _warnings(write, before, after, context, transaction))
    _lock(before, after, named.keys() | wanted.keys(), context, transaction)
    seats = Seats({*old, *new}, context, transaction)
    _let_go(write.logical_id, [item for item in old if item not in new], seats)
    if after is not None and new:
        if policy.gp_connect and not context.recording:
            gp_connect.check_slots(seats.slots, new)
        _claim(write.logical_id, after, new, seats)
        invariants.check(write, before, after, new, seats, policy, context, transaction)
    seats.project({*old, *new})
    return Ruled(after, _warnings(write, before, after, context, transaction))


def _lock(
    before: Json | None,
    after: Json | None,
    slots: Iterable[str],
    context: Context,
    transaction: Transaction,
) -> None:
    """Referrals and slots before and after, in LOCK_ORDER."""
    referrals = {*facts.referrals_of(before, context), *facts.referrals_of(after, context)}
    if referrals:
        transaction.lock([("ServiceRequest", item) for item in sorted(referrals)])
    transaction.lock([("Slot", item) for item in sorted(slots)])


def let_go(logical_id: str, after: Json | None, context: Context, transaction: Transaction) -> None:
    """Free the seats that a later write of the same Bundle will not need any more."""
    version = transaction.current("Appointment", logical_id)
    before = None if version is None or version.deleted else parse_stored(version.body)
    if before is None or not statuses.is_live(before):
        return
    kept = facts.slots_of(after, context) if statuses.is_live(after) else {}
    gone = [item for item in facts.slots_of(before, context) if item not in kept]
    if gone:
        _let_go(logical_id, gone, Seats(gone, context, transaction))


def lapsed(appointment: Json | None) -> bool:
    """Whether the appointment was cancelled because its hold ran out."""
    return _cancelled_for(appointment, names.HOLD_EXPIRED)


def never_was(appointment: Json) -> bool:
    """Whether it was cancelled before everybody had agreed on it: its hold ran out, or the PAS refused it."""
    return _cancelled_for(appointment, names.HOLD_EXPIRED, names.NOT_CONFIRMED)


def _cancelled_for(appointment: Json | None, *reasons: str) -> bool:
    if appointment is None or appointment["status"] != "cancelled":
        return False
    codings = appointment.get("cancelationReason", {}).get("coding", ())
    return any(
        item.get("system") == names.REASONS and item.get("code") in reasons for item in codings
    )


def _let_go(logical_id: str, slot_ids: list[str], seats: Seats) -> None:
    if not slot_ids:
        return
    found = (seats.claim_of(item, logical_id) for item in sorted(slot_ids))
    seats.release([claim for claim in found if claim is not None])


def _claim(logical_id: str, after: Json, new: dict[str, str], seats: Seats) -> None:
    """A seat in every slot, in the order of their ids."""
    tentative = statuses.is_tentative(after)
    kind: Kind = "held" if tentative else "booked"
    displaced: set[str] = set()
    for slot_id in sorted(new):
        own = seats.claim_of(slot_id, logical_id)
        if own is not None and own.expired:
            raise refusals.hold_expired(new[slot_id])
        if own is not None:
            if own.expires_at is not None and own.owner != seats.context.client:
                raise refusals.not_your_hold(new[slot_id])
            # A hold keeps its end while the appointment is pending, unless it is the PAS that is waited for.
            ends = own.expires_at if tentative and not confirmation.awaits(after) else None
            wanted = replace(own, kind=kind, expires_at=ends)
            if wanted != own and not seats.take(wanted):
                raise refusals.slot_not_available(new[slot_id])
            continue
        found = seats.free_seat(slot_id)
        if found is None:
            raise refusals.slot_not_available(new[slot_id])
        seat, replaced = found
        if not seats.take(Claim(slot_id, seat, kind, seats.context.client, logical_id)):
            raise refusals.slot_not_available(new[slot_id])
        if replaced is not None and replaced.appointment_id:
            displaced.add(replaced.appointment_id)
    for appointment_id in sorted(displaced):
        _cancel_lapsed(appointment_id, seats.context, seats.transaction)


def _cancel_lapsed(logical_id: str, context: Context, transaction: Transaction) -> None:
    """The appointment of an expired hold whose seat was taken: nobody may take it for a live one.

    Its other seats have expired too and are freed when somebody wants them, or by the sweep.
    """
    version = transaction.current("Appointment", logical_id)
    if version is None or version.deleted:
        return
    appointment = parse_stored(version.body)
    if not statuses.is_tentative(appointment):
        return
    write = Write("PUT", "Appointment", logical_id, version)
    append(write, cancelled_by_lapse(appointment), context, transaction)


def free_left_over(claims: list[Claim], context: Context, transaction: Transaction) -> None:
    """Free expired seats of an appointment that was cancelled when another of its seats was taken."""
    slot_ids = sorted({claim.slot_id for claim in claims})
    transaction.lock([("Slot", item) for item in slot_ids])
    seats = Seats(slot_ids, context, transaction)
    for claim in claims:
        seats.release(
            item
            for item in list(seats.claims[claim.slot_id])
            if item.expired and item.appointment_id == claim.appointment_id
        )
    seats.project(slot_ids)


def cancelled_by_lapse(appointment: Json) -> Json:
    """The appointment as it is once its hold has run out."""
    coding = {"system": names.REASONS, "code": names.HOLD_EXPIRED}
    reason = {"coding": [coding], "text": "The hold expired"}
    return appointment | {"status": "cancelled", "cancelationReason": reason}


def _warnings(
    write: Write,
    before: Json | None,
    after: Json | None,
    context: Context,
    transaction: Transaction,
) -> tuple[Any, ...]:
    if after is None or context.recording or not statuses.is_live(after):
        return ()
    if (
        statuses.is_live(before)
        and before is not None
        and before.get("start") == after.get("start")
    ):
        return ()
    return invariants.overlaps(write.logical_id, after, context, transaction)
