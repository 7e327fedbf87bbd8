"""Whether the referrals of a store carry the state that follows from what is stored, and nothing is left half done.

Everything is computed again from the resources; nothing is believed because the rule wrote it.
https://hl7.org/fhir/R4/servicerequest-definitions.html#ServiceRequest.status
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from fhir_server.booking import statuses
from fhir_server.booking.invariants import follows_up
from fhir_server.interactions.call import Context
from fhir_server.referral import extensions, ubrn
from fhir_server.referral.case import Case, related
from fhir_server.referral.definitions import extension, terminal
from fhir_server.referral.kinds import kind_of, stored_referral
from fhir_server.referral.state import derive
from fhir_server.store.contract import ReadTransaction, Store

Json = dict[str, Any]
_PAGE = 200
_REFERRAL = "ServiceRequest"


def faults(store: Store, context: Context) -> Iterator[str]:
    """A sentence for each thing that does not fit; the store should be quiet meanwhile."""
    numbers: dict[tuple[str, str], str] = {}
    after = 0
    while keys := store.keys(_REFERRAL, after=after, limit=_PAGE):
        with store.read() as transaction:
            for version in transaction.by_key(keys).values():
                referral = stored_referral(version)
                kind = kind_of(referral)
                if referral is None or kind is None:
                    continue
                case = Case(version.logical_id, referral, kind, version)
                yield from _of_case(related(case, context, transaction), context, transaction)
                for pair in ubrn.unique(referral):
                    other = numbers.setdefault(pair, case.logical_id)
                    if other != case.logical_id:
                        yield f"{_REFERRAL}/{case.logical_id} has the UBRN of {_REFERRAL}/{other}"
        after = keys[-1]


def _of_case(case: Case, context: Context, transaction: ReadTransaction) -> Iterator[str]:
    name = f"{_REFERRAL}/{case.logical_id}"
    carried = extensions.one(case.referral, extension("state"))
    derived = derive(case, context, transaction)
    if carried != (derived.extension() if derived else None):
        told = extensions.part(carried, "state") or {}
        follows = derived.code if derived else "none"
        yield f"{name} carries the state {told.get('code', 'none')}, but {follows} follows"
    if case.referral["status"] in terminal():
        for task_id, code, _ in case.open_tasks():
            yield f"{name} is {case.referral['status']}, but the {code} Task/{task_id} is open"
        for item, _ in case.appointments_in("ahead"):
            yield f"{name} is {case.referral['status']}, but Appointment/{item} is ahead"
    first = [
        item
        for item, found in case.appointments.items()
        if statuses.is_live(found) and not follows_up(found)
    ]
    if len(first) > 1:
        yield f"{name} has {len(first)} live first appointments: {', '.join(sorted(first))}"
    for code, count in Counter(code for _, code, _ in case.open_tasks(*_ONCE)).items():
        if count > 1:
            yield f"{name} has {count} open Tasks {code}"


_ONCE = ("APPOINTMENT_DEFERRAL", "TRIAGE_DEFERRAL", "REBOOK_REFER", "ADVICE_TURN")
