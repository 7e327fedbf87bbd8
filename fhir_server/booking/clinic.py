"""Schedule/[id]/$cancel-clinic: close the slots of a time, and see to everybody who was booked, in one act.

https://hl7.org/fhir/R4/schedule.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.booking import acts, queries, statuses
from fhir_server.booking.displacement import displace
from fhir_server.booking.inputs import read_inputs
from fhir_server.booking.names import OURS
from fhir_server.booking.seats import Seats
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.rules import in_order
from fhir_server.interactions.write import Write, append, check
from fhir_server.search.expression import And
from fhir_server.spec import errors
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]
_CLOSED = "busy-unavailable"


@dataclass(frozen=True)
class CancelClinic:
    """$cancel-clinic at the instance level."""

    code: str = "cancel-clinic"
    definition: str = f"{OURS}/OperationDefinition/Schedule-cancel-clinic"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"Schedule"})
    affects_state: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a Bundle of what was written: cancelled Appointments, their Tasks, closed Slots."""
        writing = writable(transaction)
        inputs = read_inputs(call, frozenset({"start", "end", "reason"}))
        start, end = inputs.moment("start"), inputs.moment("end")
        if start is None or end is None or end[0] <= start[0]:
            raise errors.required("Send start and a later end", "Parameters.parameter")
        reason = inputs.one("reason")
        if isinstance(reason, str):
            reason = {"text": reason}
        if reason is not None:
            task = {"resourceType": "Task", "status": "requested", "intent": "order"}
            check(task | {"reasonCode": reason}, "Task", context)
        schedule = transaction.current("Schedule", call.logical_id or "")
        if schedule is None or schedule.deleted:
            raise errors.not_found("There is no such Schedule")
        where = And(
            (
                queries.referring("Slot", "schedule", [f"Schedule/{schedule.logical_id}"]),
                *queries.within("Slot", "start", start[0], end[0]),
            )
        )
        most = context.policy.maximum_entries
        found = queries.found("Slot", where, transaction, most + 1)
        if len(found) > most:
            raise errors.too_costly(f"The time has more than {most} slots; cancel shorter ones")
        return _bundle(
            _cancel([item.logical_id for item in found], reason, context, writing), context
        )


def _cancel(
    slot_ids: list[str], reason: Json | None, context: Context, transaction: Transaction
) -> list[StoredVersion]:
    booked = {
        claim.appointment_id
        for claim in transaction.claims.of_slots(slot_ids)
        if claim.appointment_id
    }
    acts.lock_all(dict.fromkeys(sorted(booked)), context, transaction)
    for tier in in_order({("Slot", item) for item in slot_ids}, context.rules.lock_order):
        transaction.lock(tier)
    # Who came in between is seen now; with the slots locked nobody else can.
    claims = transaction.claims.of_slots(slot_ids)
    affected = sorted({claim.appointment_id for claim in claims if claim.appointment_id})
    others = {claim.slot_id for claim in transaction.claims.of_appointments(affected)}
    seats = Seats({*slot_ids, *others}, context, transaction)
    written: list[StoredVersion] = []
    for item in affected:
        written += displace(item, reason, seats, context, transaction)
    for slot_id in sorted(slot_ids):
        version, slot = seats.stored[slot_id], seats.slots[slot_id]
        blocks = [claim for claim in seats.claims[slot_id] if claim.kind == "blocked"]
        in_use = [
            claim
            for claim in seats.claims[slot_id]
            if claim.kind != "blocked" and not claim.expired
        ]
        if in_use or slot["status"] in statuses.group("Slot", "closed"):
            continue
        seats.release(blocks)
        write = Write("PUT", "Slot", slot_id, version)
        written.append(append(write, slot | {"status": _CLOSED}, context, transaction))
    seats.project(others - set(slot_ids))
    return written


def _bundle(written: list[StoredVersion], context: Context) -> Result:
    entries = [
        {
            "fullUrl": f"{context.base_url}/{item.resource_type}/{item.logical_id}",
            "resource": orjson.Fragment(item.body),
        }
        for item in written
    ]
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id(), "type": "collection"}
    if entries:
        bundle["entry"] = entries
    return Result(200, serialise(bundle))
