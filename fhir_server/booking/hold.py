"""Appointment/$hold: keep slots for a while (IHE ITI-116, Argonaut).

A hold is a pending appointment whose claims expire by the database's clock; asking again renews it, cancelling or
deleting the appointment releases it. https://profiles.ihe.net/ITI/Scheduling
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from fhir_server.booking import acts, answers, appointments, confirmation, facts, refusals
from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.booking.policy import BookingPolicy
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.write import check
from fhir_server.spec import errors
from fhir_server.spec.instants import SECOND, write_http_date
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
KNOWN = frozenset({"appointment-reference", "appointment-resource"})


@dataclass(frozen=True)
class Hold:
    """$hold at the type and instance level."""

    policy: BookingPolicy
    code: str = "hold"
    definition: str = f"{OURS}/OperationDefinition/Appointment-hold"
    levels: frozenset[Level] = frozenset({"type", "instance"})
    resource_types: frozenset[str] = frozenset({"Appointment"})
    affects_state: bool = True
    brief: bool = True
    refused = staticmethod(answers.refused)

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with the pending Appointment and Expires; 404, 409 or 422 with a Bundle that holds the outcome."""
        inputs = read_inputs(call, KNOWN, "appointment-resource")
        writing = writable(transaction)
        return answers.in_bundle(lambda: self._hold(call, inputs, context, writing), context)

    def _hold(
        self, call: Operation, inputs: Inputs, context: Context, transaction: Transaction
    ) -> Result:
        # Locked before everything else, so that a client cannot pass its limit by asking twice at once.
        transaction.lock([("$hold", context.client)])
        wanted = wanted_appointment(call, inputs, "pending", context, transaction)
        item = wanted.get("id")
        acts.lock_all({item: wanted} if item else {}, context, transaction)
        before = acts.stored(item, transaction) if item else None
        if before is not None and "appointment-resource" not in inputs.values:
            wanted = before | {"status": "pending"}
        if appointments.lapsed(before):
            raise refusals.hold_expired("Appointment.status")
        if confirmation.awaits(before):
            raise refusals.invalid_state(
                409,
                "The appointment is booked and waits for the PAS, so it needs no hold; cancel it to let go of it",
                "Appointment.status",
            )
        renewed = before is not None and before["status"] == "pending"
        if before is not None and before["status"] not in ("pending", "proposed"):
            raise refusals.invalid_state(
                409, f"The appointment is {before['status']} already", "Appointment.status"
            )
        if not renewed and transaction.claims.holds(context.client) >= self.policy.maximum_holds:
            raise refusals.too_many_holds(self.policy.maximum_holds)
        if not facts.slots_of(wanted, context):
            raise errors.required("Only an appointment with slots can be held", "Appointment.slot")
        if renewed and "appointment-resource" not in inputs.values:
            assert item is not None
            result = acts.unchanged(item, transaction)
        else:
            result = acts.write(wanted, context, transaction)
        assert result.location is not None
        expires = self._expire(result.location.split("/")[1], context, transaction)
        return answers.appointment(result, context, {"Expires": write_http_date(expires)})

    def _expire(self, item: str, context: Context, transaction: Transaction) -> int:
        expires = transaction.claims.now() + self.policy.hold_seconds * SECOND
        for claim in transaction.claims.of_appointments([item]):
            if claim.expired:
                raise refusals.hold_expired("Appointment.status")
            if claim.owner != context.client:
                raise refusals.not_your_hold("Appointment.slot")
            if not transaction.claims.take(replace(claim, expires_at=expires)):
                raise refusals.slot_not_available("Appointment.slot")
        return expires


def wanted_appointment(
    call: Operation, inputs: Inputs, status: str, context: Context, transaction: Transaction
) -> Json:
    """The appointment that a call is about, with the status it shall have: it has an id when it is stored already.

    It is named by the instance, by appointment-reference (also that of a proposal), or is sent itself.
    FhirError 400 when it is not named, 404 when it is not there.
    """
    sent = inputs.resources("appointment-resource", "Appointment")
    references = inputs.texts("appointment-reference")
    if call.logical_id is not None:
        references = [call.logical_id, *references]
    if len(references) + len(sent) != 1:
        raise errors.required(
            "Send one appointment: appointment-reference or appointment-resource",
            "Parameters.parameter",
        )
    if references:
        made = acts.made_of(references[0], status, context, transaction)
        if made is not None:
            return made
        item = acts.logical_id(references[0], context)
        return acts.stored(item, transaction) | {"status": status}
    resource = sent[0]
    check(resource, "Appointment", context)
    known = resource.get("id")
    if isinstance(known, str) and transaction.current("Appointment", known) is not None:
        return resource | {"status": status}
    return {name: value for name, value in resource.items() if name != "id"} | {"status": status}
