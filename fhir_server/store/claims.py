"""Claims on the seats of slots, and answers that are given again: what a store keeps beside resources.

A claim's key is the slot and the seat, so two transactions can never both have it.
https://hl7.org/fhir/R4/slot.html, https://hl7.org/fhir/R4/http.html#transactional-integrity
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["held", "blocked", "booked"]


@dataclass(frozen=True, slots=True)
class Claim:
    """One occupied seat of a slot.

    kind: booked or held by the appointment named, or blocked by an owner without one (appointment_id ""). expires_at:
    microseconds since 1970 by the database's clock, None: does not expire. expired: whether that had passed when the
    claim was read; an expired claim counts as free.
    """

    slot_id: str
    seat: int
    kind: Kind
    owner: str
    appointment_id: str = ""
    expires_at: int | None = None
    expired: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """What was answered to a request: digest is that of the request, answer "" while it is not known yet."""

    digest: str
    answer: bytes


class ReadClaims(Protocol):
    """The claims as a transaction sees them."""

    def of_slots(self, slot_ids: Sequence[str]) -> list[Claim]:
        """The claims of those slots, expired ones too, by slot and seat."""

    def of_appointments(self, appointment_ids: Sequence[str]) -> list[Claim]:
        """The claims that those appointments have."""

    def lapsed(self, limit: int) -> list[Claim]:
        """At most so many expired claims, the oldest first."""

    def everything(self, after: tuple[str, int], limit: int) -> list[Claim]:
        """A page of all claims by slot and seat, for check-store."""

    def holds(self, owner: str) -> int:
        """How many appointments of that owner have a hold that has not expired yet."""

    def now(self) -> int:
        """The database's clock: microseconds since 1970."""


class Claims(ReadClaims, Protocol):
    """Claims that can be taken and given back; call it under the slot's lock."""

    def take(self, claim: Claim) -> bool:
        """Occupy the seat; False when it is occupied.

        What may be replaced: an expired claim, a block of the same owner, a claim of the same appointment.
        """

    def release(self, claims: Sequence[Claim]) -> None:
        """Free those seats, as far as they are still those of the claim's appointment (or block)."""


class Replies(Protocol):
    """Answers kept under the key that a client chose (https://datatracker.ietf.org/doc/html/rfc9110#section-9.2.2)."""

    def begin(self, client: str, key: str, digest: str, now: int) -> Reply | None:
        """None when the key is new, and it is this transaction's until its end; else what it was used for."""

    def finish(self, client: str, key: str, answer: bytes) -> None:
        """Keep the answer with the key."""

    def forget(self, before: int, limit: int) -> int:
        """Drop at most so many replies from before that moment; how many it were."""
