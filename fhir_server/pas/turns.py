"""Whose turn it is to ask about an appointment, and when the next one is: kept in the store, for all processes.

A turn is kept as an answer of the gateway's own, under the appointment's id. Nobody else asks while it lasts.
https://hl7.org/fhir/R4/http.html#transactional-integrity
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.booking.confirmation import awaits
from fhir_server.spec.instants import SECOND
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import StoredVersion, Transaction

_US = "pas"
_LONGEST_PAUSE = 300


@dataclass(frozen=True, slots=True)
class Turn:
    """It is ours to ask about that version; tries: how often this was done before in vain."""

    version: StoredVersion
    tries: int


@dataclass(frozen=True, slots=True)
class Later:
    """Somebody is asking, or has just done so in vain: again in so many seconds."""

    seconds: float


def take(
    logical_id: str, seconds: float, transaction: Transaction, *, waited_for: bool
) -> Turn | Later | None:
    """The turn for so many seconds; None when the PAS has answered, or there is no such appointment.

    waited_for: a client waits for the answer, so that only who is asking now comes first.
    """
    transaction.lock([("Appointment", logical_id)])
    version = transaction.current("Appointment", logical_id)
    if version is None or version.deleted or not awaits(parse_stored(version.body)):
        return None
    now = transaction.claims.now()
    kept = _kept(logical_id, now, transaction)
    until = kept.get("asking", 0) if waited_for else max(kept.get("asking", 0), kept.get("due", 0))
    if now < until:
        return Later((until - now) / SECOND)
    tries = kept.get("tries", 0)
    _keep(logical_id, {"asking": now + int(seconds * SECOND), "tries": tries}, transaction)
    return Turn(version, tries)


def done(logical_id: str, transaction: Transaction) -> None:
    """End the turn: the PAS has answered. Call it under the appointment's lock, as failed()."""
    _keep(logical_id, {}, transaction)


def failed(turn: Turn, transaction: Transaction) -> None:
    """End the turn in vain; the next one comes later and later: in 0.5, 1, 2 ... 300 seconds."""
    pause = min(2**turn.tries * SECOND // 2, _LONGEST_PAUSE * SECOND)
    kept = {"due": transaction.claims.now() + pause, "tries": min(turn.tries + 1, 10)}
    _keep(turn.version.logical_id, kept, transaction)


def _kept(logical_id: str, now: int, transaction: Transaction) -> dict[str, int]:
    reply = transaction.replies.begin(_US, logical_id, "", now)
    found: dict[str, int] = orjson.loads(reply.answer) if reply and reply.answer else {}
    return found


def _keep(logical_id: str, kept: dict[str, Any], transaction: Transaction) -> None:
    transaction.replies.begin(_US, logical_id, "", transaction.claims.now())
    transaction.replies.finish(_US, logical_id, orjson.dumps(kept))
