"""Claims and replies of the in-memory store."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from fhir_server.store.claims import Claim, Reply

Seat = tuple[str, int]


def _clock() -> int:
    return time.time_ns() // 1000


class Ledger:
    """What is kept; clock gives microseconds since 1970."""

    def __init__(self, clock: Callable[[], int] = _clock) -> None:
        self.clock = clock
        self.claims: dict[Seat, Claim] = {}
        self.replies: dict[tuple[str, str], tuple[Reply, int]] = {}


class MemoryClaims:
    """Claims on a Ledger, with what is needed to take everything back."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._before: dict[Seat, Claim | None] = {}

    def _seen(self, claim: Claim) -> Claim:
        at = claim.expires_at
        return replace(claim, expired=at is not None and at <= self._ledger.clock())

    def _where(self, passes: Callable[[Claim], bool]) -> list[Claim]:
        found = (self._seen(self._ledger.claims[seat]) for seat in sorted(self._ledger.claims))
        return [claim for claim in found if passes(claim)]

    def of_slots(self, slot_ids: Sequence[str]) -> list[Claim]:
        """The claims of those slots."""
        wanted = frozenset(slot_ids)
        return self._where(lambda claim: claim.slot_id in wanted)

    def of_appointments(self, appointment_ids: Sequence[str]) -> list[Claim]:
        """The claims that those appointments have."""
        wanted = frozenset(appointment_ids)
        return self._where(lambda claim: claim.appointment_id in wanted)

    def lapsed(self, limit: int) -> list[Claim]:
        """Expired claims, the oldest first."""
        found = self._where(lambda claim: claim.expired)
        return sorted(found, key=lambda claim: claim.expires_at or 0)[:limit]

    def everything(self, after: Seat, limit: int) -> list[Claim]:
        """A page of all claims."""
        return self._where(lambda claim: (claim.slot_id, claim.seat) > after)[:limit]

    def holds(self, owner: str) -> int:
        """Appointments of the owner with a running hold."""
        running = self._where(
            lambda claim: (
                claim.owner == owner and claim.expires_at is not None and not claim.expired
            )
        )
        return len({claim.appointment_id for claim in running})

    def now(self) -> int:
        """The ledger's clock."""
        return self._ledger.clock()

    def take(self, claim: Claim) -> bool:
        """Occupy the seat, or replace what may be replaced."""
        seat = (claim.slot_id, claim.seat)
        found = self._ledger.claims.get(seat)
        if found is not None:
            own_block = found.kind == "blocked" and found.owner == claim.owner
            own = found.appointment_id == claim.appointment_id != ""
            if not (own_block or own or self._seen(found).expired):
                return False
        self._keep(seat)
        self._ledger.claims[seat] = replace(claim, expired=False)
        return True

    def release(self, claims: Sequence[Claim]) -> None:
        """Free those seats."""
        for claim in claims:
            seat = (claim.slot_id, claim.seat)
            found = self._ledger.claims.get(seat)
            if found is not None and found.appointment_id == claim.appointment_id:
                self._keep(seat)
                del self._ledger.claims[seat]

    def _keep(self, seat: Seat) -> None:
        self._before.setdefault(seat, self._ledger.claims.get(seat))

    def undo(self) -> None:
        """Put everything back as it was."""
        for seat, claim in self._before.items():
            if claim is None:
                self._ledger.claims.pop(seat, None)
            else:
                self._ledger.claims[seat] = claim
        self._before.clear()


class MemoryReplies:
    """Replies on a Ledger."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._begun: list[tuple[str, str]] = []

    def begin(self, client: str, key: str, digest: str, now: int) -> Reply | None:
        """None when the key is new."""
        found = self._ledger.replies.get((client, key))
        if found is not None:
            return found[0]
        self._ledger.replies[client, key] = Reply(digest, b""), now
        self._begun.append((client, key))
        return None

    def finish(self, client: str, key: str, answer: bytes) -> None:
        """Keep the answer."""
        reply, made = self._ledger.replies[client, key]
        self._ledger.replies[client, key] = replace(reply, answer=answer), made

    def forget(self, before: int, limit: int) -> int:
        """Drop the oldest."""
        replies = self._ledger.replies
        old = sorted((made, key) for key, (_, made) in replies.items() if made < before)[:limit]
        for _, key in old:
            del replies[key]
        return len(old)

    def undo(self) -> None:
        """Forget what was begun."""
        for key in self._begun:
            self._ledger.replies.pop(key, None)
        self._begun.clear()
