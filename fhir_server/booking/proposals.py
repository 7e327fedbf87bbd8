"""Proposed appointments: made from free slots, not stored, and named so that $hold and $book find the slots again.

The id of a proposal holds the internal keys of its slots, patients and referral, signed; so proposing writes nothing.
https://profiles.ihe.net/ITI/Scheduling
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import parse_plain, parse_stored, serialise
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Identity = tuple[str, str]

_DIGITS = "0123456789abcdefghijklmnopqrstuvwxyz"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_LONGEST = 64
_MAC = 13
_MINUTE = 60_000_000
_COPIED = ("serviceCategory", "serviceType", "specialty", "appointmentType")
_TAKEN = frozenset(_COPIED)


class Proposal(NamedTuple):
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
    digest = _hasher(key).copy()
    digest.update(text.encode())
    return digest.hexdigest()[:_MAC]


@lru_cache(maxsize=8)
def _hasher(key: bytes) -> hashlib.blake2b:
    """To be copied: taking in the key costs as much as taking in the text."""
    return hashlib.blake2b(key=key[:64], digest_size=8, person=b"proposal")


def _write(number: int) -> str:
    digits = ""
    while True:
        number, rest = divmod(number, len(_PAIRS))
        digits = _PAIRS[rest] + digits
        if not number:
            return digits.lstrip("0") or "0"


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


def offered(body: bytes) -> Json:
    """A slot as its proposal needs it: exact in what is copied from it."""
    slot: Json = parse_plain(body)
    return slot if _TAKEN.isdisjoint(slot) else parse_stored(body)


def participants(
    proposal: Proposal, status: str, known: Mapping[Identity, Json], context: Context
) -> str:
    """Who takes part in the Appointment of a proposal, as JSON; known are the schedules of its slots."""
    answer = "accepted" if status == "booked" else "needs-action"
    actors: dict[str, Json] = {}
    for slot in proposal.slots:
        for _, target in facts.targets((slot.get("schedule", {}),), context):
            for actor in known.get(target, {}).get("actor", ()):
                actors.setdefault(actor.get("reference", repr(actor)), actor)
    found = [{"actor": actor, "status": answer} for actor in actors.values()]
    found += [{"actor": {"reference": item}, "status": answer} for item in proposal.patients]
    listed = found or [{"actor": {"display": "Unknown"}, "status": answer}]
    return serialise(listed).decode()


def appointment(proposal: Proposal, status: str, taking_part: str, logical_id: str = "") -> str:
    """The Appointment that a proposal stands for, as JSON put together of parts: ten are made for a page.

    taking_part: its participants. logical_id: without one it has no id.
    """
    slots = proposal.slots
    first = slots[0]
    begins, ends = first["start"], first["end"]
    for slot in slots[1:]:
        begins = min(begins, slot["start"], key=facts.moment)
        ends = max(ends, slot["end"], key=facts.moment)
    named = f'"id":"{logical_id}",' if logical_id else ""
    referrals = proposal.referrals
    based_on = f'"basedOn":{_references("ServiceRequest", referrals)},' if referrals else ""
    named_slots = _references("Slot", [slot["id"] for slot in slots])
    copied = ""
    if not _TAKEN.isdisjoint(first):
        listed = [(name, serialise(first[name]).decode()) for name in _COPIED if name in first]
        copied = "".join([f'"{name}":{value},' for name, value in listed])
    return (
        f'{{"resourceType":"Appointment",{named}"status":"{status}",'
        f'{based_on}{copied}{_span(begins, ends)},"slot":{named_slots},"participant":{taking_part}}}'
    )


def _references(resource_type: str, ids: Iterable[str]) -> str:
    between = f'"}},{{"reference":"{resource_type}/'
    return f'[{{"reference":"{resource_type}/{between.join(ids)}"}}]'


# The clinics of a day begin and end at the same times.
@lru_cache(maxsize=4096)
def _span(begins: str, ends: str) -> str:
    start, end = facts.moment(begins), facts.moment(ends)
    minutes = max(1, (end - start) // _MINUTE)
    return (
        f'"start":"{write_instant(start)}","end":"{write_instant(end)}","minutesDuration":{minutes}'
    )
