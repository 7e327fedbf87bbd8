"""The rules of the life-cycle as the core asks them: one set for every door (https://hl7.org/fhir/R4/servicerequest.html)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.interactions.rules import NoRules, Pending, Ruled, Rules
from fhir_server.interactions.write import Write
from fhir_server.referral import advice, bookings, letters, referrals, refusals, tasks, ubrn
from fhir_server.referral.act import Acts, Ledger
from fhir_server.referral.case import load, referrals_of
from fhir_server.referral.definitions import terminal
from fhir_server.referral.kinds import kind_of, task_code, ubrn_of
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
Identity = tuple[str, str]
_REFERRAL = "ServiceRequest"


@dataclass(frozen=True)
class ReferralRules(NoRules):
    """See fhir_server.interactions.rules.Rules.

    booking: the rules of seats; ledger: that of an operation, which records it itself; else each act has its own.
    """

    booking: Rules
    ledger: Ledger | None = None
    resource_types: frozenset[str] = frozenset(
        {_REFERRAL, "Task", "Appointment", "Communication", "DocumentReference"}
    )
    lock_order: tuple[str, ...] = (_REFERRAL, "Slot", "Schedule")
    write_order: tuple[str, ...] = (
        "DocumentReference", _REFERRAL, "Communication", "Task", "Appointment", "Slot",
    )  # fmt: skip

    def locks(
        self, pending: Pending, context: Context, transaction: ReadTransaction
    ) -> set[Identity]:
        """The referrals that those writes are about, and the slots of appointments that they may cancel."""
        found: set[Identity] = set()
        ending: set[str] = set()
        versions = transaction.many(
            [item for item in pending if item[0] in self.resource_types and item[0] != _REFERRAL]
        )
        for (resource_type, logical_id), after in pending.items():
            if resource_type == _REFERRAL:
                if after is not None and kind_of(after) == "referral":
                    found |= {(_REFERRAL, item) for item in referrals_of(after, context)}
                if after is None or after.get("status") in terminal():
                    ending.add(logical_id)
            elif resource_type in self.resource_types:
                version = versions.get((resource_type, logical_id))
                stored = None if version is None else parse_stored(version.body)
                if resource_type == "Task" and not (task_code(after) or task_code(stored)):
                    continue
                about = {*referrals_of(stored, context), *referrals_of(after, context)}
                if resource_type == "DocumentReference" and stored is not None:
                    about |= letters.with_letter(logical_id, stored, context, transaction)
                found |= {(_REFERRAL, item) for item in about}
                if resource_type == "Task" and (after is None or after.get("status") == "rejected"):
                    ending |= about
        for item in ending:
            case = load(item, context, transaction)
            for _, appointment in case.appointments_in("ahead") if case else ():
                found |= {("Slot", slot) for slot in facts.slots_of(appointment, context)}
        return found

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """Allow a write and do what follows from it, told by one Provenance."""
        ledger = self.ledger or Ledger()
        acts = Acts(self.booking, ledger, context, transaction)
        ruled = Ruled(after)
        match write.resource_type:
            case "ServiceRequest":
                ruled = referrals.apply(write, after, acts)
            case "Task":
                ruled = tasks.apply(write, after, acts)
            case "Appointment":
                bookings.apply(write, after, acts)
            case "Communication":
                advice.apply(write, after, acts)
            case "DocumentReference":
                letters.apply(write, after, context, transaction)
        if ledger.targets or self.ledger is not None:
            version_id = write.previous.version_id + 1 if write.previous else 1
            if ruled.resource is not None:
                ledger.add(write.resource_type, write.logical_id, version_id)
            if self.ledger is None:
                ledger.record(context, transaction)
        return ruled

    def follow(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """An appointment that booking itself has cancelled changes the state of its referrals."""
        if write.resource_type != "Appointment":
            return
        before = write.before
        acts = Acts(self.booking, Ledger(), context, transaction)
        for item in sorted({*referrals_of(before, context), *referrals_of(after, context)}):
            case = load(item, context, transaction)
            if case is not None and case.kind == "referral":
                bookings.follow(acts.of(case), write.logical_id, before, after, asked=False)
        ledger = acts.ledger
        if ledger.targets and write.previous is not None:
            ledger.add(write.resource_type, write.logical_id, write.previous.version_id + 1)
        ledger.record(context, transaction)

    def unique(self, resource: Json) -> tuple[tuple[str, str], ...]:
        """The UBRN of each kind."""
        return ubrn.unique(resource) if resource["resourceType"] == _REFERRAL else ()

    def duplicated(
        self, resource: Json, refusal: FhirError, transaction: ReadTransaction
    ) -> FhirError:
        """With the code of the rule, when it is the UBRN that another one has."""
        number = ubrn_of(resource)
        if number is not None and kind_of(resource) in ubrn.kinds_with(number, transaction):
            return refusals.duplicate_number("ServiceRequest.identifier")
        return refusal
