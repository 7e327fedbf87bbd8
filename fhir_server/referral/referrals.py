"""The rule about a referral: what may change in its state, what the server keeps in it, and what follows.

https://hl7.org/fhir/R4/servicerequest.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.interactions.rules import Ruled
from fhir_server.interactions.write import Write
from fhir_server.referral import (
    advice,
    clock,
    extensions,
    letters,
    reasons,
    refusals,
    shortlist,
    state,
    ubrn,
)
from fhir_server.referral.act import Act, Acts
from fhir_server.referral.case import Case, expect, referrals_of, related
from fhir_server.referral.definitions import (
    actions,
    extension,
    following,
    table,
    task,
    terminal,
)
from fhir_server.referral.kinds import Kind, kind_of, stored_referral
from fhir_server.store.contract import Transaction

Json = dict[str, Any]
_NOT_CONTENT = ("meta", "text", "extension")


def apply(write: Write, after: Json | None, acts: Acts) -> Ruled:
    """Allow a change of a referral or a request for advice and do what follows; FhirError 403, 409 or 422."""
    context, transaction = acts.context, acts.transaction
    before = stored_referral(write.previous)
    if before is None and kind_of(after) is None:
        return Ruled(after)
    # A new referral may end the request that it is made of, so nobody else may change that meanwhile.
    made_of = referrals_of(after, context) if before is None else ()
    transaction.lock(sorted(("ServiceRequest", item) for item in {write.logical_id, *made_of}))
    if after is None:
        assert before is not None
        _check_deletion(write, before, context, transaction)
        return Ruled(None)
    if "status" not in after:
        raise refusals.status_required("ServiceRequest")
    after = _with_priority(ubrn.with_number(after, before, context, transaction))
    kind = kind_of(after)
    assert kind is not None
    if before is not None and kind_of(before) != kind:
        raise refusals.conflicting_values(
            f"The request is a {kind_of(before)} and stays one; make a new request",
            "ServiceRequest.code",
        )
    after = advice.with_pathway(after, before, context, transaction)
    after = clock.with_clock(after, before, kind, context)
    case = Case(write.logical_id, before or after, kind, write.previous if before else None)
    # What is about a referral may be there before it, when it is loaded or in the same Bundle; not if its id is new.
    early = write.method != "POST" and (context.pending or context.recording)
    if write.previous is not None or early:
        related(case, context, transaction)
    current = state.derive(case, context, transaction) if before is not None else None
    if not context.recording:
        _check(write.logical_id, after, before, case, current, context, transaction)
    case.referral = after
    if not context.recording:
        _follow(acts.of(case), before, after)
    expect(case, context)
    derived = state.derive(case, context, transaction)
    state.check_sent(after, before, derived, context)
    return Ruled(state.with_state(after, derived))


def _check(
    logical_id: str,
    after: Json,
    before: Json | None,
    case: Case,
    current: state.State | None,
    context: Context,
    transaction: Transaction,
) -> None:
    _check_status(after, before)
    shortlist.check(after, before, case.kind, context, transaction)
    letters.check_referral(logical_id, after, before, context, transaction)
    if case.kind == "advice":
        advice.check_request(after)
    if before is None:
        advice.check_conversion(after, context, transaction)
        return
    code = current.code if current else None
    if case.kind == "referral" and before.get("performer") != after.get("performer"):
        _check_action("shortlist", code, "ServiceRequest.performer")
    if after["status"] == "revoked" != before["status"] and case.kind == "referral":
        _check_reason(after, case, code, context)
    if after["status"] == "completed" != before["status"] and case.appointments_in("ahead"):
        raise refusals.invalid_state(
            422,
            "The referral has an appointment ahead; cancel that first",
            "ServiceRequest.status",
        )


def _check_action(action: str, code: str | None, place: str) -> None:
    if action not in actions(code):
        raise refusals.invalid_state(
            422,
            f"The referral is {code}; what can be done is: {', '.join(actions(code)) or 'nothing'}",
            place,
        )


def _check_status(after: Json, before: Json | None) -> None:
    """The status follows the one before, and what is over stays as it is."""
    if before is None:
        return
    was, status = before["status"], after["status"]
    if status != was and status not in following(was):
        allowed = ", ".join(following(was)) or "nothing"
        raise refusals.invalid_state(
            422, f"The status is {was}; {allowed} may follow, not {status}", "ServiceRequest.status"
        )
    if was in terminal() and status == was and _content(before) != _content(after):
        raise refusals.invalid_state(
            422, f"The referral is {was}, so it stays as it is; make a new one", "ServiceRequest"
        )


def _content(referral: Json) -> Json:
    plain = {name: value for name, value in referral.items() if name not in _NOT_CONTENT}
    kept = [item for item in referral.get("extension", ()) if item.get("url") != extension("state")]
    return plain | {"extension": kept}


def _check_reason(after: Json, case: Case, code: str | None, context: Context) -> None:
    """A referral is cancelled for a reason that fits its state."""
    reason = extensions.value(extensions.one(after, extension("status-reason")))
    if not reason:
        raise refusals.missing_value(
            f"Say why the referral is cancelled, in the extension {extension('status-reason')}",
            "ServiceRequest.extension",
        )
    wanted: dict[str, tuple[Any, ...]] = {"type": _types(code, context)}
    if case.appointments_in("ahead"):
        wanted["canCancelAppointment"] = (True,)
    reasons.check(
        reason,
        "referral-reason",
        bool(after.get("note")),
        context,
        "ServiceRequest.extension",
        "ServiceRequest.note",
        wanted,
    )


def _types(state: str | None, context: Context) -> tuple[str, ...]:
    """The types of reasons for which that role, or anybody while nobody is known, cancels in that state."""
    rules: dict[str, dict[str, list[str]]] = table()["cancellation"]
    role = "" if context.caller is None else context.caller.role
    for listed in (rules.get(state or "", {}), rules[""]):
        if role in listed:
            return tuple(listed[role])
    return tuple((rules.get(state or "") or rules[""])[""])


def _with_priority(referral: Json) -> Json:
    """R4's priority and that of the extension agree (422); where one is missing, the other stands for it."""
    known: dict[str, str] = table()["priorities"]
    found = extensions.value(extensions.one(referral, extension("priority")))
    told = found.get("code") if isinstance(found, dict) else None
    if told is None:
        return referral
    named = next((name for name, code in known.items() if code == told), None)
    given = referral.get("priority", named)
    if named is None or given != named:
        raise refusals.conflicting_values(
            f"The priority is {given}, but the extension says {told}; change one of them",
            "ServiceRequest.priority",
            "ServiceRequest.extension",
        )
    return referral | {"priority": named}


def _follow(act: Act, before: Json | None, after: Json) -> None:
    """What ends with the referral; what begins with a request for advice or its conversion."""
    status = after["status"]
    if before is None:
        advice.begin(act)
        return
    if status == before["status"]:
        return
    if status == "revoked":
        reason = _appointment_reason(after)
        for logical_id, appointment in act.case.appointments_in("ahead"):
            act.change("Appointment", logical_id, appointment | {"status": "cancelled"} | reason)
    if status in terminal():
        for logical_id, code, _ in act.case.open_tasks():
            done = task(code).get("completedBy") == status
            act.close(logical_id, "completed" if done else "cancelled")
    elif before["status"] == "draft":
        advice.begin(act)


def _appointment_reason(referral: Json) -> Json:
    reason = extensions.value(extensions.one(referral, extension("status-reason")))
    return {"cancelationReason": reason} if reason else {}


def _check_deletion(write: Write, before: Json, context: Context, transaction: Transaction) -> None:
    """What is going on is not deleted (409): it is cancelled, so that everybody is told."""
    if context.recording:
        return
    kind: Kind | None = kind_of(before)
    assert kind is not None
    case = related(Case(write.logical_id, before, kind, write.previous), context, transaction)
    if case.appointments_in("ahead") or case.open_tasks():
        raise refusals.invalid_state(
            409,
            "The referral has an appointment or an open Task; cancel it instead",
            "ServiceRequest",
        )
