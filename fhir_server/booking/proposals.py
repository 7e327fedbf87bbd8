"""Proposed appointments: made from free slots, not stored, and named so that $hold and $book find the slots again.

The id of a proposal holds the internal keys of its slots, patients and referral, signed; so proposing writes nothing.
https://profiles.ihe.net/ITI/Scheduling
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Identity = tuple[str, str]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_LONGEST = 64
_MAC = 13
_MINUTE = 60_000_000
_COPIED = ("serviceCategory", "serviceType", "specialty", "appointmentType")


@dataclass(frozen=True, slots=True)
class Proposal:
    """Slots that make one appointment (in the order of their start), for these patients and this referral's id."""

    slots: tuple[Json, ...]
    patients: tuple[str, ...] = ()
    referrals: tuple[str, ...] = ()


def proposal_id(slot_keys: Sequence[int], about: Sequence[int], key: bytes) -> str | None:
    """The id, or None when so many keys do not fit into one; about: the keys of patients and a referral."""
    text = "-".join(map(_write, slot_keys)) + "." + "-".join(map(_write, about))
    made = f"p.{text}.{_mac(text, key)}"
    return made if len(made) <= _LONGEST else None


def read_id(logical_id: str, key: bytes) -> tuple[list[int], list[int]] | None:
    """The keys of the slots of a proposal, and of what it is about, or None for the id of anything else."""
    head, _, rest = logical_id.partition(".")
    text, _, mac = rest.rpartition(".")
    if head != "p" or not hmac.compare_digest(mac.encode(), _mac(text, key).encode()):
        return None
    slots, _, about = text.partition(".")
    return [int(item, 36) for item in slots.split("-")], [
        int(item, 36) for item in about.split("-") if item
    ]


def _mac(text: str, key: bytes) -> str:
    digest = hashlib.blake2b(text.encode(), key=key[:64], digest_size=8, person=b"proposal")
    return digest.hexdigest()[:_MAC]


def _write(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, 36)
        digits = _DIGITS[rest] + digits
        if not number:
            return digits


def proposed(logical_id: str, context: Context, transaction: ReadTransaction) -> Proposal | None:
    """The slots and patients behind the id of a proposal, as they are now; None for another id."""
    keys = read_id(logical_id, context.policy.cursor_key)
    if keys is None:
        return None
    slot_keys, about = keys
    found = transaction.by_key([*slot_keys, *about])
    slots = [parse_stored(found[key].body) for key in slot_keys if key in found]
    if len(slots) != len(slot_keys):
        return None
    named = [found[key] for key in about if key in found]
    patients = [f"Patient/{item.logical_id}" for item in named if item.resource_type == "Patient"]
    referrals = [item.logical_id for item in named if item.resource_type == "ServiceRequest"]
    return Proposal(tuple(slots), tuple(patients), tuple(referrals))


def schedules(
    slots: Iterable[Json], context: Context, transaction: ReadTransaction
) -> dict[Identity, Json]:
    """The schedules of slots."""
    wanted = [
        target for slot in slots for _, target in facts.targets([slot.get("schedule", {})], context)
    ]
    return facts.resources(wanted, context, transaction)


def participants(
    proposal: Proposal, status: str, known: Mapping[Identity, Json], context: Context
) -> list[Json]:
    """Who takes part in the Appointment of a proposal; known are the schedules of its slots."""
    answer = "accepted" if status == "booked" else "needs-action"
    actors: dict[str, Json] = {}
    for slot in proposal.slots:
        for _, target in facts.targets((slot.get("schedule", {}),), context):
            for actor in known.get(target, {}).get("actor", ()):
                actors.setdefault(actor.get("reference", repr(actor)), actor)
    found = [{"actor": actor, "status": answer} for actor in actors.values()]
    found += [{"actor": {"reference": item}, "status": answer} for item in proposal.patients]
    return found or [{"actor": {"display": "Unknown"}, "status": answer}]


def appointment(proposal: Proposal, status: str, taking_part: Any) -> Json:
    """The Appointment that a proposal stands for; taking_part: its participants, or their JSON as a Fragment."""
    slots = proposal.slots
    first = slots[0]
    start, end = facts.moment(first["start"]), facts.moment(first["end"])
    for slot in slots[1:]:
        start, end = min(start, facts.moment(slot["start"])), max(end, facts.moment(slot["end"]))
    made: Json = {"resourceType": "Appointment", "status": status}
    if proposal.referrals:
        made["basedOn"] = [{"reference": f"ServiceRequest/{item}"} for item in proposal.referrals]
    for name in _COPIED:
        if name in first:
            made[name] = first[name]
    made["start"] = write_instant(start)
    made["end"] = write_instant(end)
    made["minutesDuration"] = max(1, (end - start) // _MINUTE)
    made["slot"] = [{"reference": f"Slot/{slot['id']}"} for slot in slots]
    made["participant"] = taking_part
    return made
