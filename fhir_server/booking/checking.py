"""Whether the claims of a store are those that its appointments call for, and the slots tell the truth about them.

Everything is computed again from the resources; nothing is believed because the rule wrote it.
https://hl7.org/fhir/R4/slot-definitions.html#Slot.status
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from typing import Any

from fhir_server.booking import facts, statuses
from fhir_server.booking.seats import projected
from fhir_server.interactions.call import Context
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.claims import Claim
from fhir_server.store.contract import ReadTransaction, Store

Json = dict[str, Any]
_PAGE = 500


def faults(store: Store, context: Context) -> Iterator[str]:
    """A sentence for each thing that does not fit; the store should be quiet meanwhile."""
    with store.read() as transaction:
        claims = list(_claims(transaction))
    appointments = dict(_current("Appointment", store))
    slots = dict(_current("Slot", store))
    by_slot: dict[str, list[Claim]] = defaultdict(list)
    by_pair: dict[tuple[str, str], Claim] = {}
    for claim in claims:
        by_slot[claim.slot_id].append(claim)
        if claim.appointment_id:
            by_pair[claim.slot_id, claim.appointment_id] = claim
    yield from _of_appointments(appointments, by_pair, context)
    yield from _of_claims(claims, appointments, slots, context)
    yield from _of_slots(slots, by_slot, context)


def _claims(transaction: ReadTransaction) -> Iterator[Claim]:
    after = ("", -1)
    while page := transaction.claims.everything(after, _PAGE):
        yield from page
        after = (page[-1].slot_id, page[-1].seat)


def _current(resource_type: str, store: Store) -> Iterator[tuple[str, Json]]:
    after = 0
    while keys := store.keys(resource_type, after=after, limit=_PAGE):
        with store.read() as transaction:
            for version in transaction.by_key(keys).values():
                yield version.logical_id, parse_stored(version.body)
        after = keys[-1]


def _of_appointments(
    appointments: dict[str, Json], by_pair: dict[tuple[str, str], Claim], context: Context
) -> Iterator[str]:
    for logical_id, appointment in appointments.items():
        if not statuses.is_live(appointment):
            continue
        kind = "held" if statuses.is_tentative(appointment) else "booked"
        for slot_id in facts.slots_of(appointment, context):
            claim = by_pair.get((slot_id, logical_id))
            if claim is None:
                yield f"Appointment/{logical_id} is live, but has no seat in Slot/{slot_id}"
            elif claim.kind != kind:
                yield f"Appointment/{logical_id} is {appointment['status']}, but Slot/{slot_id} is {claim.kind} for it"


def _of_claims(
    claims: list[Claim], appointments: dict[str, Json], slots: dict[str, Json], context: Context
) -> Iterator[str]:
    for claim in claims:
        if claim.seat >= facts.capacity(slots.get(claim.slot_id)):
            yield f"Slot/{claim.slot_id} has a claim on seat {claim.seat}, which it does not have"
        if not claim.appointment_id or claim.expired:
            continue
        appointment = appointments.get(claim.appointment_id)
        if not statuses.is_live(appointment):
            yield f"Slot/{claim.slot_id} is claimed for Appointment/{claim.appointment_id}, which is not live"
        elif claim.slot_id not in facts.slots_of(appointment, context):
            yield f"Slot/{claim.slot_id} is claimed for Appointment/{claim.appointment_id}, which names other slots"


def _of_slots(
    slots: dict[str, Json], by_slot: dict[str, list[Claim]], context: Context
) -> Iterator[str]:
    for slot_id, slot in slots.items():
        claims = by_slot.get(slot_id, [])
        expected = projected(slot, claims)
        if expected == slot["status"] or any(claim.expired for claim in claims):
            continue
        if expected == "free" and facts.moment(slot["start"]) <= context.now():
            continue  # what has begun is not set free again
        yield f"Slot/{slot_id} is {slot['status']}, but its claims make it {expected}"
