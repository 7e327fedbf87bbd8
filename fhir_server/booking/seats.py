"""The seats of some slots inside one transaction: who has them, taking and freeing them, and the status that follows.

Slot.status is a projection of the claims: free while a seat is left, busy-tentative when a hold or a pending
appointment fills it, else busy. https://hl7.org/fhir/R4/slot-definitions.html#Slot.status
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fhir_server.booking import facts, queries, statuses
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write, append
from fhir_server.search.parameters import SearchParameter
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.claims import Claim
from fhir_server.store.contract import Recoded, StoredVersion, Transaction

Json = dict[str, Any]
_OTHER = re.compile(r"Slot\.(?!status\b)[a-z]\w*(\.[a-z]\w*)*")


class Seats:
    """The claims of slots that are locked, kept up to date while they change."""

    def __init__(self, slot_ids: Iterable[str], context: Context, transaction: Transaction) -> None:
        self.context = context
        self.transaction = transaction
        ids = sorted(slot_ids)
        self.stored: dict[str, StoredVersion] = {
            identity[1]: version
            for identity, version in transaction.many([("Slot", item) for item in ids]).items()
        }
        self.slots: dict[str, Json] = {}
        for item in ids:
            planned = context.pending.get(("Slot", item))
            if planned is not None:
                self.slots[item] = planned
            elif item in self.stored:
                self.slots[item] = parse_stored(self.stored[item].body)
        self.claims: dict[str, list[Claim]] = {item: [] for item in ids}
        for claim in transaction.claims.of_slots(ids):
            self.claims[claim.slot_id].append(claim)

    def claim_of(self, slot_id: str, appointment_id: str) -> Claim | None:
        """The seat that the appointment has in the slot, if it has one."""
        for claim in self.claims[slot_id]:
            if claim.appointment_id == appointment_id:
                return claim
        return None

    def free_seat(self, slot_id: str) -> tuple[int, Claim | None] | None:
        """A seat that can be taken, and the expired claim or own block that would be replaced; None: there is none."""
        slot = self.slots.get(slot_id)
        if slot is not None and slot["status"] in statuses.group("Slot", "closed"):
            return None
        taken = {claim.seat: claim for claim in self.claims[slot_id]}
        own_block: tuple[int, Claim | None] | None = None
        for seat in range(facts.capacity(slot)):
            claim = taken.get(seat)
            if claim is None or claim.expired:
                return seat, claim
            if claim.kind == "blocked" and claim.owner == self.context.client:
                own_block = own_block or (seat, claim)
        return own_block

    def take(self, claim: Claim) -> bool:
        """Occupy a seat; the key of the claim decides, whatever was read before."""
        if not self.transaction.claims.take(claim):
            return False
        listed = self.claims[claim.slot_id]
        listed[:] = [item for item in listed if item.seat != claim.seat]
        listed.append(claim)
        return True

    def release(self, claims: Iterable[Claim]) -> None:
        """Free seats."""
        gone = list(claims)
        self.transaction.claims.release(gone)
        for claim in gone:
            self.claims[claim.slot_id].remove(claim)

    def project(self, slot_ids: Iterable[str]) -> None:
        """Bring the status of those slots in line; those that the Bundle writes itself come later."""
        for slot_id in sorted(slot_ids):
            version = self.stored.get(slot_id)
            if version is None or ("Slot", slot_id) in self.context.pending:
                continue
            slot = self.slots[slot_id]
            status = projected(slot, self.claims[slot_id])
            if status == slot["status"]:
                continue
            if status == "free" and facts.moment(slot["start"]) <= self.context.now():
                # What has begun is not offered again (R4 says that a slot "can" be set free, not that it must).
                continue
            changed = _without_generated_text(slot) | {"status": status}
            write = Write("PUT", "Slot", slot_id, version)
            recoded = None
            if "text" not in slot and _told_by_status_alone(self.context):
                recoded = Recoded(queries.number("Slot", "status"), slot["status"], status)
            self.stored[slot_id] = append(
                write, changed, self.context, self.transaction, recoded=recoded
            )
            self.slots[slot_id] = changed


def projected(slot: Json, claims: Iterable[Claim]) -> str:
    """The status that a slot with those claims has."""
    status: str = slot["status"]
    if status in statuses.group("Slot", "closed"):
        return status
    live = [claim for claim in claims if not claim.expired]
    if len(live) < facts.capacity(slot):
        return "free"
    if any(claim.kind == "held" for claim in live):
        return "busy-tentative"
    if any(claim.kind == "booked" for claim in live):
        return "busy"
    return status if status in statuses.group("Slot", "blocking") else "busy"


def _told_by_status_alone(context: Context) -> bool:
    """Whether the status is indexed by its own search parameter and nothing else."""
    return not context.policy.content_search and _elsewhere(context.catalogue().of("Slot"))


@lru_cache(maxsize=64)
def _elsewhere(parameters: tuple[SearchParameter, ...]) -> bool:
    """Whether parameters of the deployment's own are plain paths to other elements."""
    return all(
        _OTHER.fullmatch(item.expression) is not None and not item.components for item in parameters
    )


def _without_generated_text(slot: Json) -> Json:
    """A narrative that was made from the data would tell the status before."""
    if slot.get("text", {}).get("status") in ("generated", "extensions"):
        return {name: value for name, value in slot.items() if name != "text"}
    return slot
