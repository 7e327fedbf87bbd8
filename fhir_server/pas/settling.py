"""What the PAS has answered, written down: the appointment is booked, back where it was, or cancelled.

https://hl7.org/fhir/R4/appointment.html#statuses
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import acts, confirmation, statuses
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write, append
from fhir_server.pas import turns
from fhir_server.pas.asking import Answer
from fhir_server.pas.turns import Turn
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Store, Transaction

Json = dict[str, Any]
_BY_PROVIDER = {
    "coding": [
        {
            "system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
            "code": "prov",
            "display": "Provider",
        }
    ],
    "text": "The provider's system has not confirmed the new time, and the old one is taken",
}


def settle(turn: Turn, answer: Answer, store: Store, context: Context) -> bool:
    """Write it down; False when there is nothing to write, as no answer came or the appointment is another by now.

    context: with rules that ask no PAS.
    """
    version = turn.version
    if answer == "refused":
        after = confirmation.refused(parse_stored(version.body))
        before = _agreed_before(turn, store)
        if before is not None:
            try:
                return store.write(lambda transaction: _write(turn, before, context, transaction))
            except FhirError as refusal:
                if refusal.status not in (409, 422):
                    raise
            after["cancelationReason"] = _BY_PROVIDER
    elif answer == "confirmed":
        after = confirmation.untagged(parse_stored(version.body))
        if statuses.is_live(after):
            after["status"] = "booked"
    else:
        store.write(lambda transaction: _in_vain(turn, transaction))
        return False
    return store.write(lambda transaction: _write(turn, after, context, transaction))


def _agreed_before(turn: Turn, store: Store) -> Json | None:
    """The appointment as the PAS has confirmed it last; None when it never has."""
    version = turn.version
    with store.read() as transaction:
        for number in range(version.version_id - 1, 0, -1):
            found = transaction.version(version.resource_type, version.logical_id, number)
            appointment = None if found is None or found.deleted else parse_stored(found.body)
            if appointment is None or appointment["status"] == "booked":
                return appointment
            if not confirmation.awaits(appointment):
                return None
    return None


def _write(turn: Turn, after: Json, context: Context, transaction: Transaction) -> bool:
    version = turn.version
    acts.lock_all({version.logical_id: after}, context, transaction)
    current = transaction.current(version.resource_type, version.logical_id)
    if current is None or current.version_id != version.version_id:
        # Somebody has changed it meanwhile, and the PAS is asked about it as it is now.
        turns.done(version.logical_id, transaction)
        return False
    if statuses.is_live(parse_stored(version.body)):
        acts.write(after, context, transaction)
    else:
        write = Write("PUT", version.resource_type, version.logical_id, version)
        append(write, after, context, transaction)
    turns.done(version.logical_id, transaction)
    return True


def _in_vain(turn: Turn, transaction: Transaction) -> None:
    version = turn.version
    transaction.lock([(version.resource_type, version.logical_id)])
    current = transaction.current(version.resource_type, version.logical_id)
    if current is not None and current.version_id == version.version_id:
        turns.failed(turn, transaction)
    else:
        turns.done(version.logical_id, transaction)
