"""The letters and attachments of a referral: they are clean, and the last one stays once the referral was sent.

A letter names its referral in DocumentReference.context.related, or is named in ServiceRequest.supportingInfo.
https://hl7.org/fhir/R4/documentreference.html
"""

from __future__ import annotations

from functools import cache
from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write
from fhir_server.referral import extensions, refusals
from fhir_server.referral.case import referrals_of
from fhir_server.referral.definitions import extension, is_sent, table
from fhir_server.referral.kinds import stored_referral
from fhir_server.referral.state import code_of
from fhir_server.search.parameters import parameter
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
_TYPE = "DocumentReference"
_MOST = 100


def named_in(referral: Json | None, context: Context) -> dict[str, str]:
    """Id -> place of the letters that a referral names itself."""
    found = facts.targets((referral or {}).get("supportingInfo", ()), context)
    return {
        logical_id: f"ServiceRequest.supportingInfo[{number}]"
        for number, (kind, logical_id) in found
        if kind == _TYPE
    }


def check_referral(
    logical_id: str,
    after: Json,
    before: Json | None,
    context: Context,
    transaction: Transaction,
) -> None:
    """Refuse (422) attachments that are not clean, and a referral that loses its last letter."""
    old, new = named_in(before, context), named_in(after, context)
    fresh = {item: place for item, place in new.items() if item not in old}
    sent = before is not None and is_sent(code_of(before))
    if sent:
        # Who deletes one of them meanwhile does not see yet that it is named here.
        transaction.lock([(_TYPE, item) for item in sorted(fresh)])
    if fresh:
        stored = facts.resources([(_TYPE, item) for item in fresh], context, transaction)
        for item, place in fresh.items():
            _check_clean(stored.get((_TYPE, item)), place)
    if sent and old.keys() - new.keys():
        left = new.keys() | _related(logical_id, transaction)
        if not any(_stands(item, context, transaction) for item in left):
            raise refusals.letter_required("ServiceRequest.supportingInfo")


def apply(write: Write, after: Json | None, context: Context, transaction: Transaction) -> None:
    """Refuse (422) a change of a letter that leaves a referral without any."""
    logical_id, before = write.logical_id, write.before
    if before is None or not _is_letter(before) or context.recording:
        return
    ids = with_letter(logical_id, before, context, transaction)
    transaction.lock([("ServiceRequest", item) for item in sorted(ids)])
    for item in sorted(ids & with_letter(logical_id, before, context, transaction)):
        referral = stored_referral(transaction.current("ServiceRequest", item))
        if referral is None or not is_sent(code_of(referral)):
            continue
        named = named_in(referral, context)
        stays = logical_id in named or item in referrals_of(after, context)
        if stays and after is not None and _is_letter(after):
            continue
        others = {*named, *_related(item, transaction)} - {logical_id}
        if not any(_stands(other, context, transaction) for other in others):
            raise refusals.letter_required(
                "DocumentReference.status" if after else "DocumentReference"
            )


def with_letter(
    logical_id: str, letter: Json | None, context: Context, transaction: ReadTransaction
) -> set[str]:
    """The ids of the referrals that a stored DocumentReference names, or that name it."""
    found = set(referrals_of(letter, context))
    naming = context.catalogue().find("ServiceRequest", "supporting-info")
    if naming is not None:
        links = transaction.links_to([(_TYPE, logical_id)], [naming.parameter.number], _MOST)
        versions = transaction.by_key([link.source_key for link in links])
        found |= {item.logical_id for item in versions.values()}
    return found


@cache
def _number() -> int:
    found = parameter(_TYPE, "related")
    assert found is not None
    return found.number


def _related(logical_id: str, transaction: ReadTransaction) -> set[str]:
    links = transaction.links_to([("ServiceRequest", logical_id)], [_number()], _MOST)
    versions = transaction.by_key([link.source_key for link in links])
    return {item.logical_id for item in versions.values() if _is_letter(parse_stored(item.body))}


def _is_letter(resource: Json) -> bool:
    return resource.get("status") == "current"


def _stands(logical_id: str, context: Context, transaction: ReadTransaction) -> bool:
    found = facts.resource((_TYPE, logical_id), context, transaction)
    return found is not None and _is_letter(found)


def _check_clean(resource: Json | None, place: str) -> None:
    if resource is None:
        raise refusals.reference_not_found(
            "There is no such DocumentReference; create it first", place
        )
    found = extensions.value(extensions.one(resource, extension("availability")))
    code = table()["availability"].get(found)
    if code is not None:
        raise refusals.attachment(found, code, place)
