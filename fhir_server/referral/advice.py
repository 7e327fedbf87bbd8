"""Requests for advice and guidance: whose turn it is, and how one becomes a referral.

The conversation is Communications that are based on the request; a Task ADVICE_TURN is owned by who has to answer.
https://hl7.org/fhir/R4/communication.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write
from fhir_server.referral import clock, extensions, refusals
from fhir_server.referral.act import Act, Acts
from fhir_server.referral.case import check_there, load, referrals_of
from fhir_server.referral.definitions import extension, terminal
from fhir_server.referral.kinds import kind_of, stored_referral, ubrn_of
from fhir_server.referral.requests import task_for
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]
AUTHORISED = "AUTHORISED_TO_CONVERT"
_OPEN = ("active", "on-hold")


def check_request(after: Json) -> None:
    """Refuse (422) a request for advice that asks nobody; the shortlist's own rule refuses several."""
    if not after.get("performer"):
        raise refusals.missing_value(
            "Name the one service that is asked for advice", "ServiceRequest.performer"
        )


def converted_from(
    referral: Json, context: Context, transaction: ReadTransaction
) -> tuple[str, Json] | None:
    """(id, request for advice) of which a referral was made: it is based on it and has its UBRN."""
    ids = referrals_of(referral, context)
    if not ids or kind_of(referral) != "referral":
        return None
    for item in ids:
        request = stored_referral(transaction.current("ServiceRequest", item), "advice")
        if request is not None and ubrn_of(request) == ubrn_of(referral):
            return item, request
    return None


def with_pathway(
    after: Json, before: Json | None, context: Context, transaction: Transaction
) -> Json:
    """A referral that is made of a request for advice keeps the start of the clock, if that had one."""
    if before is not None or clock.start_of(after) is not None or not after.get("basedOn"):
        return after
    found = converted_from(after, context, transaction)
    started = clock.start_of(found[1]) if found else None
    if started is None:
        return after
    wanted = {"url": extension("pathway-start"), "valueInstant": started}
    return extensions.with_only(after, extension("pathway-start"), [wanted])


def check_conversion(after: Json, context: Context, transaction: Transaction) -> None:
    """Refuse (403) a conversion that the referrer has not authorised, (422) one of what is over."""
    found = converted_from(after, context, transaction)
    if found is None:
        return
    logical_id, request = found
    told = extensions.value(extensions.one(request, extension("conversion")))
    if told != AUTHORISED:
        raise refusals.forbidden(
            "The referrer has not authorised the conversion; make a referral of its own",
            "ServiceRequest.basedOn",
        )
    if request["status"] not in _OPEN:
        raise refusals.invalid_state(
            422, f"ServiceRequest/{logical_id} is {request['status']}; nothing can be made of it",
            "ServiceRequest.basedOn",
        )  # fmt: skip


def begin(act: Act) -> None:
    """A new request gives the provider its turn; a conversion gives the provider a referral to book."""
    case = act.case
    if case.referral["status"] not in _OPEN:
        return
    if case.kind == "advice":
        if not case.open_tasks("ADVICE_TURN"):
            owner = case.referral["performer"][0]
            act.make(task_for("ADVICE_TURN", case.logical_id, case.referral, owner, act.context))
        return
    found = converted_from(case.referral, act.context, act.transaction)
    if found is not None:
        owner = (case.referral.get("performer") or [None])[0]
        act.make(task_for("REBOOK_REFER", case.logical_id, case.referral, owner, act.context))
        _complete(found[0], act)


def _complete(logical_id: str, act: Act) -> None:
    """The request of which a referral was made is done, and so is whoever had the turn."""
    case = load(logical_id, act.context, act.transaction)
    assert case is not None
    other = act.of(case)
    for item, _, _ in case.open_tasks():
        other.close(item, "completed")
    other.settle(status="completed")


def apply(write: Write, after: Json | None, acts: Acts) -> None:
    """A Communication that is sent gives the turn to the other side; FhirError 422 when the conversation is over."""
    context, transaction, before = acts.context, acts.transaction, write.before
    ids = sorted(set(referrals_of(after, context)))
    if context.recording or after is None or not ids:
        return
    if before is None:
        for item in ids:
            check_there(item, "Communication.basedOn", transaction)
    if after.get("status") != "completed" or (before or {}).get("status") == "completed":
        return
    transaction.lock([("ServiceRequest", item) for item in ids])
    for item in ids:
        case = load(item, context, transaction, only="advice")
        if case is None or not case.referral.get("performer"):
            continue
        if case.referral["status"] in terminal():
            raise refusals.invalid_state(
                422,
                "The conversation is over; make a new request for advice",
                "Communication.basedOn",
            )
        act = acts.of(case)
        owner = _next(case.referral, after, case.open_tasks("ADVICE_TURN"), context)
        open_tasks = case.open_tasks("ADVICE_TURN")
        if not open_tasks:
            act.make(task_for("ADVICE_TURN", item, case.referral, owner, context))
        for logical_id, _, task in open_tasks:
            if task.get("owner") != owner:
                act.change("Task", logical_id, task | {"owner": owner})


def _next(
    request: Json, message: Json, turns: list[tuple[str, str, Json]], context: Context
) -> Json | None:
    """Who has to answer: the requester after a message of the service, the service after one of the requester.

    A sender who is neither is somebody of the side whose turn it is.
    """
    service: Json = request["performer"][0]
    requester: Json | None = request.get("requester")
    sender = _target(message.get("sender"), context)
    if sender is not None and sender == _target(requester, context):
        return service
    if sender is not None and sender == _target(service, context):
        return requester
    owner = turns[0][2].get("owner") if turns else service
    return service if _target(owner, context) == _target(requester, context) else requester


def _target(reference: Json | None, context: Context) -> Any:
    found = [item for _, item in facts.targets([reference or {}], context)]
    return found[0] if found else (reference or {}).get("identifier")
