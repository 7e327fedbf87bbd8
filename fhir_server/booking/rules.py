"""The booking rules as the core asks them: one set for every door (https://hl7.org/fhir/R4/appointment.html)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from fhir_server.booking import appointments, confirmation, gp_connect, refusals, slots
from fhir_server.booking.displacement import referrals_of_slots
from fhir_server.booking.policy import BookingPolicy
from fhir_server.interactions.call import Context, Parameters
from fhir_server.interactions.rules import NoRules, Pending, Ruled
from fhir_server.interactions.write import Write
from fhir_server.spec.errors import FhirError
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
Identity = tuple[str, str]
_MINUTE = 60_000_000


@dataclass(frozen=True)
class BookingRules(NoRules):
    """See fhir_server.interactions.rules.Rules."""

    policy: BookingPolicy = field(default_factory=BookingPolicy)
    resource_types: frozenset[str] = frozenset({"Appointment", "Slot"})
    lock_order: tuple[str, ...] = appointments.LOCK_ORDER
    write_order: tuple[str, ...] = ("Appointment", "Slot")

    def locks(
        self, pending: Pending, context: Context, transaction: ReadTransaction
    ) -> set[Identity]:
        """The slots and referrals of every appointment that is going to be written, as they are now and will be.

        A client that insists may displace the appointments of slots, and so touch their referrals.
        """
        found: set[Identity] = set()
        if context.lenient:
            slot_ids = sorted(item for kind, item in pending if kind == "Slot")
            found |= referrals_of_slots(slot_ids, context, transaction)
        for identity, after in pending.items():
            if identity[0] == "Appointment":
                version = transaction.current(*identity)
                before = None if version is None or version.deleted else parse_stored(version.body)
                found |= appointments.needed(before, after, context)
        return found

    def begin(self, pending: Pending, context: Context, transaction: Transaction) -> None:
        """Free what the Bundle's appointments let go, before the first of them takes a seat."""
        for identity, after in pending.items():
            if identity[0] == "Appointment" and after is not None and "status" in after:
                appointments.let_go(identity[1], after, context, transaction)

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """Allow a write, with the claims and the statuses of slots that follow from it."""
        if after is not None and "status" not in after:
            raise refusals.status_required(write.resource_type)
        if write.resource_type == "Appointment":
            if self.policy.pas_system is not None:
                after = confirmation.asked(
                    write, after, self.policy.pas_system, context, transaction
                )
            try:
                return appointments.apply(write, after, self.policy, context, transaction)
            except refusals.SlotTaken as refusal:
                if self.policy.gp_connect:
                    raise gp_connect.taken(*refusal.issues[0].expression) from None
                raise
        return slots.apply(write, after, context, transaction)

    def search(
        self, resource_type: str, focus: Identity | None, parameters: Parameters, context: Context
    ) -> Parameters:
        """A deployment may narrow what is searched: the period, and slots that are not offered yet."""
        if resource_type == "Slot":
            if self.policy.gp_connect:
                gp_connect.check_slot_search(parameters, context)
            if self.policy.embargo_minutes:
                soonest = context.now() + self.policy.embargo_minutes * _MINUTE
                return (*parameters, ("start", f"ge{write_instant(soonest // _MINUTE * _MINUTE)}"))
        elif self.policy.gp_connect and focus is not None and focus[0] == "Patient":
            gp_connect.check_patient_search(parameters, context)
        return parameters

    def contended(self, refusal: FhirError) -> FhirError:
        """409 with Retry-After: who waited too long has lost, for now."""
        return refusals.locked(refusal.headers)
