"""Letting go of holds that have run out, so that searches see their slots as free again.

Nothing depends on it: a claim that has expired can be taken by anybody at any moment.
https://hl7.org/fhir/R4/slot-definitions.html#Slot.status
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from fhir_server.booking import acts, appointments, statuses
from fhir_server.interactions.call import Context
from fhir_server.interactions.replay import KEPT_SECONDS
from fhir_server.spec.errors import FhirError
from fhir_server.spec.instants import SECOND
from fhir_server.store.contract import Store, Transaction

_MOST = 100


def sweep(store: Store, context: Context) -> int:
    """Cancel the appointments of expired holds and free their slots; how many it were."""
    with store.read() as transaction:
        claims = transaction.claims.lapsed(_MOST)
    done = 0
    for item in dict.fromkeys(claim.appointment_id for claim in claims):
        try:
            done += store.write(partial(_let_go, item, context))
        except FhirError:
            continue  # somebody is at it; the next sweep looks again
    return done


def forget_replies(store: Store, context: Context) -> int:
    """Drop answers that are too old to be asked for again."""
    before = context.now() - KEPT_SECONDS * SECOND
    return store.write(lambda transaction: transaction.replies.forget(before, 1000))


def _let_go(item: str, context: Context, transaction: Transaction) -> int:
    acts.lock_all({item: None}, context, transaction)
    claims = [claim for claim in transaction.claims.of_appointments([item]) if claim.expired]
    if not claims:
        return 0
    version = transaction.current("Appointment", item)
    appointment = None
    if version is not None and not version.deleted:
        appointment = acts.stored(item, transaction)
    if appointment is None or not statuses.is_live(appointment):
        appointments.free_left_over(claims, context, transaction)
        return 0
    acts.write(
        appointments.cancelled_by_lapse(appointment), replace(context, recording=True), transaction
    )
    return 1
