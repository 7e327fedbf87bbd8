"""One act: what a write of a referral, a Task or an Appointment brings about, in the same transaction.

All that it wrote is named by one Provenance. https://hl7.org/fhir/R4/provenance.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.interactions.rules import Rules
from fhir_server.interactions.write import Write, append
from fhir_server.referral.case import Case, check_there, expect, load, referrals_of
from fhir_server.referral.state import derive, with_state
from fhir_server.spec.instants import write_instant
from fhir_server.store.contract import Transaction

Json = dict[str, Any]
_ACTIVITY = "http://terminology.hl7.org/CodeSystem/v3-DataOperation"


class Ledger:
    """The versions that an act wrote, as references."""

    def __init__(self) -> None:
        self.targets: dict[str, None] = {}

    def add(self, resource_type: str, logical_id: str, version_id: int) -> None:
        """One version more."""
        self.targets[f"{resource_type}/{logical_id}/_history/{version_id}"] = None

    def record(self, context: Context, transaction: Transaction) -> None:
        """Store the Provenance, when the act wrote more than one version."""
        if len(self.targets) < 2 or context.recording:
            return
        resource: Json = {
            "resourceType": "Provenance",
            "target": [{"reference": target} for target in self.targets],
            "recorded": write_instant(context.now()),
            "activity": {"coding": [{"system": _ACTIVITY, "code": "UPDATE"}]},
            "agent": [{"who": {"display": context.client}}],
        }
        append(Write("POST", "Provenance", context.new_id(), None), resource, context, transaction)


@dataclass(frozen=True, slots=True)
class Acts:
    """Makes the acts that one write brings about; booking: the rules of seats, for Appointments."""

    booking: Rules
    ledger: Ledger
    context: Context
    transaction: Transaction

    def of(self, case: Case) -> Act:
        """An act about the case."""
        return Act(self.booking, self.ledger, self.context, self.transaction, case)

    def about(self, before: Json | None, after: Json | None, place: str) -> Iterator[Act]:
        """An act for each referral that a Task or an Appointment is or was about, under the locks of all.

        FhirError 422 for a new one about what is not here.
        """
        ids = sorted({*referrals_of(before, self.context), *referrals_of(after, self.context)})
        self.transaction.lock([("ServiceRequest", item) for item in ids])
        for item in ids:
            case = load(item, self.context, self.transaction)
            if case is not None:
                yield self.of(case)
            elif before is None and not self.context.recording:
                check_there(item, place, self.transaction)


@dataclass(frozen=True, slots=True)
class Act(Acts):
    """The changes of one case that follow from one write."""

    case: Case

    def change(self, resource_type: str, logical_id: str, after: Json) -> None:
        """Write the next version of a Task or an Appointment of the case."""
        write = Write(
            "PUT", resource_type, logical_id, self.case.versions[resource_type, logical_id]
        )
        if resource_type in self.booking.resource_types:
            ruled = self.booking.apply(write, after, self.context, self.transaction)
            assert ruled.resource is not None
            after = ruled.resource
        self._append(write, after)

    def close(self, logical_id: str, status: str, **elements: Any) -> None:
        """Give a Task of the case its last status."""
        moment = write_instant(self.context.now())
        changed = (
            self.case.tasks[logical_id] | {"status": status, "lastModified": moment} | elements
        )
        self.change("Task", logical_id, changed)

    def make(self, resource: Json) -> str:
        """Write a new Task; its id."""
        logical_id = self.context.new_id()
        self._append(Write("POST", resource["resourceType"], logical_id, None), resource)
        return logical_id

    def _append(self, write: Write, after: Json) -> None:
        version = append(write, after, self.context, self.transaction)
        self.case.versions[write.resource_type, write.logical_id] = version
        self.case.put(write.resource_type, write.logical_id, after | {"id": write.logical_id})
        self.case.fresh.discard((write.resource_type, write.logical_id))
        self.ledger.add(write.resource_type, write.logical_id, version.version_id)

    def settle(self, **elements: Any) -> None:
        """Bring the state of the referral, which is stored already, in line; elements: what else changes in it."""
        case = self.case
        before = case.referral
        case.referral = before | elements
        expect(case, self.context)
        after = with_state(case.referral, derive(case, self.context, self.transaction))
        if after == before:
            return
        write = Write("PUT", "ServiceRequest", case.logical_id, case.version)
        case.version = append(write, after, self.context, self.transaction)
        case.referral = after
        self.ledger.add("ServiceRequest", case.logical_id, case.version.version_id)
