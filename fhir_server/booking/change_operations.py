"""Appointment/[id]/$cancel and $rebook: what a plain update does too, in one call that says what is meant.

https://hl7.org/fhir/R4/appointment.html#statuses
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking import acts, facts, statuses
from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.spec import errors
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
_REASONS = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"


@dataclass(frozen=True)
class Cancel:
    """$cancel at the instance level: the appointment is cancelled and its slots are free again."""

    code: str = "cancel"
    definition: str = f"{OURS}/OperationDefinition/Appointment-cancel"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"Appointment"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with the cancelled Appointment; cancelling it again changes nothing."""
        inputs = read_inputs(call, frozenset({"reason", "comment"}))
        writing = writable(transaction)
        item = call.logical_id or ""
        acts.lock_all({item: None}, context, writing)
        before = acts.stored(item, writing)
        if before["status"] == "cancelled":
            return acts.unchanged(item, writing)
        after = acts.cancelled(before, inputs.concept("reason", _REASONS), inputs.text("comment"))
        return acts.write(after, context, writing)


@dataclass(frozen=True)
class Rebook:
    """$rebook at the instance level: other slots are taken and the old ones freed, or nothing happens."""

    code: str = "rebook"
    definition: str = f"{OURS}/OperationDefinition/Appointment-rebook"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"Appointment"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with the Appointment in its new slots."""
        inputs = read_inputs(call, frozenset({"slot", "appointment-reference", "comment"}))
        writing = writable(transaction)
        item = call.logical_id or ""
        slot_ids = _slots(inputs, context, writing)
        named = [{"reference": f"Slot/{found}"} for found in slot_ids]
        planned: Json = {"resourceType": "Appointment", "status": "booked", "slot": named}
        acts.lock_all({item: planned}, context, writing)
        before = acts.stored(item, writing)
        acts.needs_live(before)
        status = before["status"] if statuses.is_tentative(before) else "booked"
        after = acts.with_slots(before, slot_ids, context, writing) | {"status": status}
        comment = inputs.text("comment")
        if comment is not None:
            after["comment"] = comment
        return acts.write(after, context, writing)


def _slots(inputs: Inputs, context: Context, transaction: Transaction) -> list[str]:
    references = inputs.texts("slot")
    proposal = inputs.text("appointment-reference")
    if proposal is not None:
        made = acts.made_of(proposal, "booked", context, transaction)
        if made is None:
            raise errors.not_found("appointment-reference names no proposal of $find")
        return list(facts.slots_of(made, context))
    named = [{"reference": text if "/" in text else f"Slot/{text}"} for text in references]
    found = list(facts.slots_of({"slot": named}, context))
    if not found or len(found) != len(named):
        raise errors.required("Send the new slots: slot, a Reference each", "Parameters.parameter")
    return found
