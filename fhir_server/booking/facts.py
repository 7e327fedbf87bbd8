"""What booking reads off Appointment, Slot, Schedule and ServiceRequest (https://hl7.org/fhir/R4/appointment.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any

from fhir_server.booking import names
from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target
from fhir_server.spec.dates import interval
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Identity = tuple[str, str]
MOST_SEATS = 500


def targets(references: Iterable[Json], context: Context) -> Iterator[tuple[int, Identity]]:
    """(place in the list, (type, id)) of the references that name a resource of this server."""
    for number, item in enumerate(references):
        text = item.get("reference") if isinstance(item, dict) else None
        target = local_target(text, context) if isinstance(text, str) else None
        if target is not None:
            yield number, target


def slots_of(appointment: Json | None, context: Context) -> dict[str, str]:
    """Slot id -> where the appointment names it, for example Appointment.slot[0]."""
    found: dict[str, str] = {}
    for number, (kind, logical_id) in targets((appointment or {}).get("slot", ()), context):
        if kind == "Slot":
            found.setdefault(logical_id, f"Appointment.slot[{number}]")
    return found


def referrals_of(appointment: Json | None, context: Context) -> list[str]:
    """The ids of the ServiceRequests that an appointment is based on."""
    based_on = targets((appointment or {}).get("basedOn", ()), context)
    return [logical_id for _, (kind, logical_id) in based_on if kind == "ServiceRequest"]


def patients_of(appointment: Json, context: Context) -> list[tuple[str, str]]:
    """(id, place) of the patients that take part."""
    actors = [item.get("actor", {}) for item in appointment.get("participant", ())]
    return [
        (logical_id, f"Appointment.participant[{number}].actor")
        for number, (kind, logical_id) in targets(actors, context)
        if kind == "Patient"
    ]


def capacity(slot: Json | None) -> int:
    """How many appointments fit into a slot: 1, unless its extension says more."""
    for item in (slot or {}).get("extension", ()):
        if item.get("url") == names.CAPACITY:
            seats = item.get("valuePositiveInt", item.get("valueInteger", 1))
            return min(max(int(seats), 0), MOST_SEATS)
    return 1


@lru_cache(maxsize=8192)
def moment(text: str) -> int:
    """An instant as microseconds since 1970."""
    return interval(text)[0]


def schedule_of(slot: Json) -> str:
    """The reference of a slot's schedule, as it is written."""
    text = slot.get("schedule", {}).get("reference", "")
    return text if isinstance(text, str) else ""


def resource(identity: Identity, context: Context, transaction: ReadTransaction) -> Json | None:
    """The resource as this transaction will leave it, as far as that is known; None: there is none."""
    planned = context.pending.get(identity)
    if planned is not None:
        return planned
    version = transaction.current(*identity)
    return None if version is None or version.deleted else parse_stored(version.body)


def resources(
    identities: Iterable[Identity], context: Context, transaction: ReadTransaction
) -> dict[Identity, Json]:
    """Those of the resources that there are, read at once."""
    wanted = list(dict.fromkeys(identities))
    found = {
        identity: parse_stored(version.body)
        for identity, version in transaction.many(
            [item for item in wanted if context.pending.get(item) is None]
        ).items()
    }
    for identity in wanted:
        planned = context.pending.get(identity)
        if planned is not None:
            found[identity] = planned
    return found
