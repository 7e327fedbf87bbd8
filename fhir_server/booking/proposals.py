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
_MAC = 13
# Of the keys: an id has 64 characters.
_LONGEST = 64 - len("p..") - _MAC
_MINUTE = 60_000_000
_COPIED = ("serviceCategory", "serviceType", "specialty", "appointmentType")
_TAKEN = frozenset(_COPIED)


# Those that make one appointment, in the order of their start.
Slots = tuple[Json, ...]


class Proposal(NamedTuple):
    """What the id of a proposal stands for: slots, patients as Patient/id, and ids of referrals."""

    slots: Slots
    patients: tuple[str, ...]
    referrals: tuple[str, ...]


def proposal_ids(
    slot_keys: Iterable[Sequence[int]], about: Sequence[int], key: bytes
) -> list[str | None]:
    """An id for each proposal of a page, None for one with so many keys that they do not fit into it.

    about: the keys of patients and a referral, the same for all.
    """
    end = "-".join(map(_write, about))
    hasher = _hasher(key)
    made: list[str | None] = []
    for keys in slot_keys:
        text = f"{'-'.join(map(_write, keys))}.{end}"
        made.append(f"p.{text}.{_mac(text, hasher)}" if len(text) <= _LONGEST else None)
    return made


def read_id(logical_id: str, key: bytes) -> tuple[list[int], list[int]] | None:
    """The keys of the slots of a proposal, and of what it is about, or None for the id of anything else."""
    head, _, rest = logical_id.partition(".")
    text, _, mac = rest.rpartition(".")
    if head != "p" or not hmac.compare_digest(mac.encode(), _mac(text, _hasher(key)).encode()):
        return None
    slots, _, about = text.partition(".")
    return [int(item, 36) for item in slots.split("-")], [
        int(item, 36) for item in about.split("-") if item
    ]


def _mac(text: str, hasher: hashlib.blake2b) -> str:
    digest = hasher.copy()
    digest.update(text.encode())
    return digest.hexdigest()[:_MAC]


@lru_cache(maxsize=8)
def _hasher(key: bytes) -> hashlib.blake2b:
    """To be copied: taking in the key costs as much as taking in the text."""
    return hashlib.blake2b(key=key[:64], digest_size=8, person=b"proposal")


def _write(number: int) -> str:
    high, low = divmod(number, len(_PAIRS))
    return (_PAIRS[high] if high < len(_PAIRS) else _write(high)) + _PAIRS[low]


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
    slots: Slots,
    patients: Iterable[str],
    status: str,
    known: Mapping[Identity, Json],
    context: Context,
) -> str:
    """Who takes part in the Appointment of slots, as JSON; known are their schedules."""
    answer = "accepted" if status == "booked" else "needs-action"
    actors: dict[str, Json] = {}
    for slot in slots:
        for _, target in facts.targets((slot.get("schedule", {}),), context):
            for actor in known.get(target, {}).get("actor", ()):
                actors.setdefault(actor.get("reference", repr(actor)), actor)
    found = [{"actor": actor, "status": answer} for actor in actors.values()]
    found += [{"actor": {"reference": item}, "status": answer} for item in patients]
    listed = found or [{"actor": {"display": "Unknown"}, "status": answer}]
    return serialise(listed).decode()


def based_on(referrals: Sequence[str]) -> str:
    """The property that names the referrals with those ids, as JSON; nothing without any."""
    named = _between("ServiceRequest").join(referrals)
    return f'"basedOn":[{{"reference":"ServiceRequest/{named}"}}],' if referrals else ""


def around(status: str, based_on: str, taking_part: str) -> tuple[str, str]:
    """What stands before and after the times of an Appointment, as JSON: most of a page have it in common."""
    return f'"status":"{status}",{based_on}', f'"}}],"participant":{taking_part}}}'


def times(slots: Slots) -> str:
    """What the slots give to an Appointment, as JSON put together of parts: ten are made for a page."""
    first = slots[0]
    begins, ends, named = first["start"], first["end"], first["id"]
    if len(slots) > 1:
        begins = min((slot["start"] for slot in slots), key=facts.moment)
        ends = max((slot["end"] for slot in slots), key=facts.moment)
        named = _between("Slot").join(slot["id"] for slot in slots)
    copied = ""
    if not _TAKEN.isdisjoint(first):
        listed = [(name, serialise(first[name]).decode()) for name in _COPIED if name in first]
        copied = "".join([f'"{name}":{value},' for name, value in listed])
    return f'{copied}{_span(begins, ends)},"slot":[{{"reference":"Slot/{named}'


def _between(resource_type: str) -> str:
    """What stands between the ids of two references."""
    return f'"}},{{"reference":"{resource_type}/'


# The clinics of a day begin and end at the same times.
@lru_cache(maxsize=4096)
def _span(begins: str, ends: str) -> str:
    start, end = facts.moment(begins), facts.moment(ends)
    minutes = max(1, (end - start) // _MINUTE)
    return (
        f'"start":"{write_instant(start)}","end":"{write_instant(end)}","minutesDuration":{minutes}'
    )
