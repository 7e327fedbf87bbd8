"""The rules of the life-cycle as the core asks them: one set for every door (https://hl7.org/fhir/R4/servicerequest.html)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context, Parameters
from fhir_server.interactions.rules import Pending, Ruled, Rules
from fhir_server.interactions.write import Write
from fhir_server.referral import advice, bookings, letters, referrals, tasks, ubrn
from fhir_server.referral.act import Act, Ledger
from fhir_server.referral.case import load, referrals_of
from fhir_server.referral.definitions import terminal
from fhir_server.referral.kinds import kind_of, task_code
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
Identity = tuple[str, str]
_REFERRAL = "ServiceRequest"


@dataclass(frozen=True)
class ReferralRules:
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
                about = {*referrals_of(stored, context), *referrals_of(after, context)}
                if resource_type == "DocumentReference" and stored is not None:
                    about |= letters.with_letter(logical_id, stored, context, transaction)
                if resource_type == "Task" and not (task_code(after) or task_code(stored)):
                    continue
                found |= {(_REFERRAL, item) for item in about}
                if resource_type == "Task" and (after is None or after.get("status") == "rejected"):
                    ending |= about
        for item in ending:
            case = load(item, context, transaction)
            for _, appointment in case.appointments_in("ahead") if case else ():
                found |= {("Slot", slot) for slot in facts.slots_of(appointment, context)}
        return found

    def begin(self, pending: Pending, context: Context, transaction: Transaction) -> None:
        """Nothing: each write brings about what belongs to it."""

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """Allow a write and do what follows from it, told by one Provenance."""
        ledger = self.ledger or Ledger()
        ruled = self._apply(write, after, ledger, context, transaction)
        if ledger.targets or self.ledger is not None:
            version_id = write.previous.version_id + 1 if write.previous else 1
            if ruled.resource is not None:
                ledger.add(write.resource_type, write.logical_id, version_id)
            if self.ledger is None:
                ledger.record(context, transaction)
        return ruled

    def _apply(
        self,
        write: Write,
        after: Json | None,
        ledger: Ledger,
        context: Context,
        transaction: Transaction,
    ) -> Ruled:
        match write.resource_type:
            case "ServiceRequest":
                return referrals.apply(write, after, self.booking, ledger, context, transaction)
            case "Task":
                return tasks.apply(write, after, self.booking, ledger, context, transaction)
            case "Appointment":
                bookings.apply(write, after, self.booking, ledger, context, transaction)
            case "Communication":
                advice.apply(_before(write), after, self.booking, ledger, context, transaction)
            case "DocumentReference":
                letters.apply(write.logical_id, _before(write), after, context, transaction)
        return Ruled(after)

    def search(
        self, resource_type: str, focus: Identity | None, parameters: Parameters, context: Context
    ) -> Parameters:
        """As they are."""
        del resource_type, focus, context
        return parameters

    def follow(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """An appointment that booking itself has cancelled changes the state of its referrals."""
        if write.resource_type != "Appointment":
            return
        before = _before(write)
        ledger = Ledger()
        for item in sorted({*referrals_of(before, context), *referrals_of(after, context)}):
            case = load(item, context, transaction)
            if case is not None and case.kind == "referral":
                act = Act(case, self.booking, ledger, context, transaction)
                bookings.follow(act, write.logical_id, before, after, asked=False)
        if ledger.targets and write.previous is not None:
            ledger.add(write.resource_type, write.logical_id, write.previous.version_id + 1)
        ledger.record(context, transaction)

    def unique(self, resource: Json) -> tuple[tuple[str, str], ...]:
        """The UBRN of each kind."""
        return ubrn.unique(resource) if resource["resourceType"] == _REFERRAL else ()

    def contended(self, refusal: FhirError) -> FhirError:
        """As the rules of booking tell it."""
        return self.booking.contended(refusal)


def _before(write: Write) -> Json | None:
    previous = write.previous
    return None if previous is None or previous.deleted else parse_stored(previous.body)
