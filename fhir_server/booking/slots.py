"""The rule about a Slot: what is in use stays as it is, and its status is what the claims say.

https://hl7.org/fhir/R4/slot.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts, refusals, statuses
from fhir_server.booking.displacement import displace, referrals_of_slots
from fhir_server.booking.seats import Seats, projected
from fhir_server.interactions.call import Context
from fhir_server.interactions.rules import Ruled
from fhir_server.interactions.write import Write
from fhir_server.store.claims import Claim
from fhir_server.store.contract import Transaction, VersionConflict

Json = dict[str, Any]
_FIXED = ("start", "end", "schedule")


def apply(write: Write, after: Json | None, context: Context, transaction: Transaction) -> Ruled:
    """Allow a change of one slot and bring its blocks and its status in line; raises FhirError 409 or 422."""
    before = write.before
    statuses.check_transition(before, after)
    referrals: set[tuple[str, str]] = set()
    if context.lenient and _takes_away(before, after):
        referrals = referrals_of_slots([write.logical_id], context, transaction)
        transaction.lock(sorted(referrals))
    transaction.lock([("Slot", write.logical_id)])
    seats = Seats([write.logical_id], context, transaction)
    if after is not None:
        seats.slots[write.logical_id] = after
    claims = [claim for claim in seats.claims[write.logical_id] if not claim.expired]
    used = [claim for claim in claims if claim.kind != "blocked"]
    if used and context.lenient and _takes_away(before, after):
        if not referrals_of_slots([write.logical_id], context, transaction) <= referrals:
            raise VersionConflict("others have booked the slot meanwhile")
        used = _displaced(used, seats, context, transaction)
    blocks = [claim for claim in claims if claim.kind == "blocked"]
    if after is None:
        if used:
            raise refusals.slot_in_use("The slot has an appointment; move or cancel that first")
        _unblock(blocks, seats)
        return Ruled(None)
    if used:
        _check_in_use(before, after, used)
    wanted = after["status"]
    if wanted in statuses.group("Slot", "closed"):
        if used:
            raise refusals.slot_in_use(
                "The slot has an appointment; move or cancel that first", "Slot.status"
            )
        _unblock(blocks, seats)
        return Ruled(after)
    if wanted == "free":
        _unblock(blocks, seats)
        status = projected(after, used)
        in_bundle = ("Slot", write.logical_id) in context.pending
        if status != "free" and (before is None or (in_bundle and before["status"] == "free")):
            # Its appointments came first, in the same Bundle or in a file that was loaded before; nobody frees it.
            return Ruled(after | {"status": status})
        if status != "free":
            raise refusals.slot_in_use(
                "The slot has an appointment, so it cannot be free; cancel that first",
                "Slot.status",
            )
        return Ruled(after)
    return Ruled(_busy(write.logical_id, after, seats, used))


def _takes_away(before: Json | None, after: Json | None) -> bool:
    """Whether the change would leave the slot's appointments without their slot."""
    if after is None or before is None:
        return after is None
    return (
        after["status"] not in statuses.group("Slot", "blocking")
        or any(before.get(name) != after.get(name) for name in _FIXED)
    )  # fmt: skip


def _displaced(
    used: list[Claim], seats: Seats, context: Context, transaction: Transaction
) -> list[Claim]:
    """The provider insists (Prefer: handling=lenient): its appointments are displaced; the claims that remain."""
    ids = sorted({claim.appointment_id for claim in used})
    elsewhere = {claim.slot_id for claim in transaction.claims.of_appointments(ids)}
    others = sorted(elsewhere - seats.claims.keys())
    transaction.lock([("Slot", item) for item in others])
    beside = Seats(others, context, transaction)
    for item in ids:
        if displace(item, None, seats, context, transaction):
            claims = [beside.claim_of(slot_id, item) for slot_id in others]
            beside.release([claim for claim in claims if claim is not None])
    beside.project(others)
    left = {claim.seat for claims in seats.claims.values() for claim in claims}
    return [claim for claim in used if claim.seat in left]


def _check_in_use(before: Json | None, after: Json, used: list[Claim]) -> None:
    for name in _FIXED:
        if before is not None and before.get(name) != after.get(name):
            raise refusals.slot_in_use(
                f"The slot has an appointment, so its {name} cannot change; move that first",
                f"Slot.{name}",
            )
    if max(claim.seat for claim in used) >= facts.capacity(after):
        raise refusals.slot_in_use(
            "The slot has more appointments than that; move them first", "Slot.extension"
        )


def _unblock(blocks: list[Claim], seats: Seats) -> None:
    """Take the client's own blocks away; those of others stand (409)."""
    for claim in blocks:
        if claim.owner != seats.context.client:
            raise refusals.slot_in_use("Another client has marked the slot as busy", "Slot.status")
    seats.release(blocks)


def _busy(slot_id: str, slot: Json, seats: Seats, used: list[Claim]) -> Json:
    """The slot marked as busy: every seat that is left is blocked for the client, who may book it later."""
    client = seats.context.client
    full = projected(slot, seats.claims[slot_id]) != "free"
    if full:
        status = projected(slot, seats.claims[slot_id])
        foreign = any(claim.owner != client for claim in seats.claims[slot_id] if not claim.expired)
        if status != slot["status"] and foreign:
            raise refusals.slot_in_use("The slot is in use by another client", "Slot.status")
        return slot | {"status": status}
    taken = {claim.seat for claim in seats.claims[slot_id] if not claim.expired}
    for seat in range(facts.capacity(slot)):
        if seat not in taken and not seats.take(Claim(slot_id, seat, "blocked", client)):
            raise refusals.slot_in_use("The slot is in use by another client", "Slot.status")
    return slot if not used else slot | {"status": projected(slot, seats.claims[slot_id])}
