"""Slot/$publish: a clinic's slots, new and changed, in one call; what is in use is never overwritten.

https://hl7.org/fhir/R4/slot.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.booking import refusals
from fhir_server.booking.names import OURS
from fhir_server.interactions.bundle import (
    Entry,
    refusal_entry,
    response_bundle,
    response_entry,
)
from fhir_server.interactions.call import Conditions, Context, Create, Operation, Result, Update
from fhir_server.interactions.change import create, update
from fhir_server.interactions.matching import single
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.rules import in_order
from fhir_server.interactions.write import check, written
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]
_OF_THE_SERVER = ("id", "meta")


@dataclass(frozen=True)
class Publish:
    """$publish at the type level: the body is a Bundle of Slots, NDJSON, or one Slot."""

    code: str = "publish"
    definition: str = f"{OURS}/OperationDefinition/Slot-publish"
    levels: frozenset[Level] = frozenset({"type"})
    resource_types: frozenset[str] = frozenset({"Slot"})
    affects_state: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a Bundle that has an answer for each Slot in its place: 201, 200, or 409 for one in use.

        FhirError 400 or 422 for a Slot that is not valid or has no identifier; then nothing is stored.
        """
        writing = writable(transaction)
        return publish(_sent(call, context), context, writing)


def _sent(call: Operation, context: Context) -> list[Json]:
    body = call.body
    if not isinstance(body, dict):
        raise errors.required("Send a Bundle of Slots, or NDJSON")
    if body.get("resourceType") == "Slot":
        return [body]
    if body.get("resourceType") != "Bundle":
        raise errors.malformed("$publish takes a Bundle of Slots, NDJSON, or one Slot")
    entries = body.get("entry", [])
    if not isinstance(entries, list):
        raise errors.malformed("Bundle.entry must be a list", "Bundle.entry")
    if len(entries) > context.policy.maximum_entries:
        raise errors.too_large(
            f"There are {len(entries)} slots; at most {context.policy.maximum_entries} are published at once"
        )
    found = []
    for number, entry in enumerate(entries):
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if not isinstance(resource, dict) or resource.get("resourceType") != "Slot":
            raise errors.invalid("This is not a Slot", f"Bundle.entry[{number}].resource")
        found.append(resource)
    return found


def publish(slots: Sequence[Json], context: Context, transaction: Transaction) -> Result:
    """Create or update each slot by its identifier."""
    keys = [_checked(slot, number, context) for number, slot in enumerate(slots)]
    for number, key in enumerate(keys):
        if key in keys[:number]:
            raise errors.invalid(
                "Two slots have this identifier", f"Bundle.entry[{number}].resource.identifier"
            )
    transaction.lock([("Slot", "")])
    existing = [
        single("Slot", (("identifier", key),), context, transaction) if key else None
        for key in keys
    ]
    wanted = {("Slot", version.logical_id) for version in existing if version is not None}
    for tier in in_order(wanted, context.rules.lock_order):
        transaction.lock(tier)
    in_use = {
        claim.slot_id
        for claim in transaction.claims.of_slots(sorted(item for _, item in wanted))
        if not claim.expired and (claim.appointment_id or claim.owner != context.client)
    }
    shown = []
    for number, (slot, version) in enumerate(zip(slots, existing, strict=True)):
        try:
            result = _upsert(slot, version, in_use, context, transaction)
        except FhirError as refusal:
            if refusal.status != 409:
                raise
            shown.append(refusal_entry(refusal))
        else:
            entry = Entry(number, None, "POST", Create("Slot", slot))
            shown.append(response_entry(entry, result, context, with_body=False))
    return response_bundle("batch-response", shown, context)


def _checked(slot: Json, number: int, context: Context) -> str:
    """The identifier of a valid slot as a search reads it."""
    place = f"Bundle.entry[{number}].resource"
    try:
        check(slot, "Slot", context)
    except FhirError as refusal:
        raise refusal.under(place) from None
    for identifier in slot.get("identifier", ()):
        if identifier.get("system") and identifier.get("value"):
            value = (
                identifier["value"].replace("\\", "\\\\").replace(",", "\\,").replace("|", "\\|")
            )
            return f"{identifier['system']}|{value.replace('$', chr(92) + '$')}"
    raise errors.required(
        "A published slot needs an identifier with system and value, so that it is found again",
        f"{place}.identifier",
    )


def _upsert(
    slot: Json,
    version: StoredVersion | None,
    in_use: set[str],
    context: Context,
    transaction: Transaction,
) -> Result:
    if version is None:
        plain = {name: value for name, value in slot.items() if name != "id"}
        return create(Create("Slot", plain), context, transaction)
    current = transaction.current("Slot", version.logical_id) or version
    before = parse_stored(current.body)
    if _content(before) == _content(slot):
        return Result(
            200,
            None,
            current.version_id,
            current.last_updated,
            written(current).location,
        )
    if version.logical_id in in_use:
        raise refusals.slot_in_use("The slot is in use, so it stays as it is")
    call = Update(
        "Slot", version.logical_id, slot | {"id": version.logical_id}, Conditions(if_match="*")
    )
    return update(call, context, transaction)


def _content(slot: Json) -> bytes:
    plain = {name: value for name, value in slot.items() if name not in _OF_THE_SERVER}
    return orjson.dumps(plain, option=orjson.OPT_SORT_KEYS, default=str)
