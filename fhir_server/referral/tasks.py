"""The rule about a Task of a referral: the path of its status, what it has to say, and what follows from it.

https://hl7.org/fhir/R4/task.html#statemachine
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.interactions.rules import Ruled
from fhir_server.interactions.write import Write
from fhir_server.referral import deferrals, reasons, refusals, state
from fhir_server.referral.act import Act, Acts
from fhir_server.referral.case import Case, referrals_of
from fhir_server.referral.definitions import is_open, task, terminal
from fhir_server.referral.kinds import task_code
from fhir_server.referral.requests import task_for, with_due
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, Transaction

Json = dict[str, Any]


def apply(write: Write, after: Json | None, acts: Acts) -> Ruled:
    """Allow a change of a Task of a referral and do what follows; FhirError 409 or 422."""
    before = write.before
    code = task_code(after) or task_code(before)
    if code is None:
        return Ruled(after)
    if after is not None and "status" not in after:
        raise refusals.status_required("Task")
    context = acts.context
    for act in acts.about(before, after, "Task.focus"):
        case = act.case
        if not context.recording:
            after = _checked(code, before, after, act)
        about = after is not None and case.logical_id in referrals_of(after, context)
        case.put("Task", write.logical_id, after if about else None)
        if not context.recording and after is not None:
            _follow(write.logical_id, code, before, after, act)
        act.settle()
    return Ruled(after)


def _checked(code: str, before: Json | None, after: Json | None, act: Act) -> Json | None:
    """The Task as it may be stored, or a refusal."""
    case, context = act.case, act.context
    if after is None:
        assert before is not None
        if is_open(code, before["status"]):
            raise refusals.invalid_state(
                409, "The Task is open; give it the status cancelled instead", "Task.status"
            )
        return None
    if before is not None:
        _check_same(code, before, after, context)
    _check_status(code, before, after)
    if before is None:
        _check_beginning(code, after, case, context, act.transaction)
        after = with_due(after, code, case.referral, context)
    if before is None or before["status"] != after["status"]:
        _check_end(code, after, case, context, act.transaction)
    return after


def _check_same(code: str, before: Json, after: Json, context: Context) -> None:
    if task_code(after) != code or task_code(before) != code:
        raise refusals.conflicting_values("The code of a Task stays; make a new Task", "Task.code")
    if referrals_of(before, context) != referrals_of(after, context):
        raise refusals.conflicting_values(
            "A Task stays with its referral; make a new Task", "Task.focus"
        )


def _check_status(code: str, before: Json | None, after: Json) -> None:
    status = after["status"]
    if before is None:
        begins: list[str] = task(code)["begins"]
        if status not in begins:
            raise refusals.invalid_state(
                422, f"A Task {code} begins as {' or '.join(begins)}, not {status}", "Task.status"
            )
        return
    was = before["status"]
    allowed: list[str] = task(code)["transitions"].get(was, [])
    if status != was and status not in allowed:
        told = ", ".join(allowed) or "nothing"
        raise refusals.invalid_state(
            422, f"The Task {code} is {was}; {told} may follow, not {status}", "Task.status"
        )


def _check_beginning(
    code: str, after: Json, case: Case, context: Context, transaction: Transaction
) -> None:
    """Whether the referral can be sent on like that now."""
    if case.referral["status"] in terminal():
        raise refusals.invalid_state(
            422,
            f"The referral is {case.referral['status']}; nothing can be asked about it",
            "Task.focus",
        )
    if "action" in task(code):
        found = state.derive(case, context, transaction)
        deferrals.check(code, after, case, found.code if found else None, context, transaction)


def _check_end(
    code: str, after: Json, case: Case, context: Context, transaction: ReadTransaction
) -> None:
    """What has to be told with a rejection or a completion."""
    status = after["status"]
    if (
        status == "completed"
        and code == "APPOINTMENT_DEFERRAL"
        and not _booked(after, case, context)
    ):
        raise refusals.missing_value(
            "A deferral is completed by a booked appointment of the referral; name it in Task.output",
            "Task.output",
        )
    if status != "rejected":
        return
    for name in task(code).get("rejectionNeeds", ()):
        if not after.get(name):
            raise refusals.missing_value(f"A rejection needs {name}: say why", f"Task.{name}")
    if code == "REVIEW":
        wanted: dict[str, tuple[Any, ...]] = {"usage": ("REJECT",), "type": ("PROVIDER_REJECT",)}
        reasons.check(
            after.get("statusReason"), "appointment-reason", bool(after.get("note")), context,
            "Task.statusReason", "Task.note", wanted,
        )  # fmt: skip
    if task(code).get("rejectedState") == "TRIAGE_RESPONSE":
        _check_priority(after, case, context, transaction)


def _check_priority(
    after: Json, case: Case, context: Context, transaction: ReadTransaction
) -> None:
    """A return with advice leaves the priority alone, in the Task and in what the same Bundle has written."""
    priority = case.referral.get("priority", "routine")
    if after.get("priority", priority) != priority:
        raise refusals.priority_not_current("Task.priority")
    version = case.version
    if version is not None and ("ServiceRequest", case.logical_id) in context.pending:
        earlier = transaction.version("ServiceRequest", case.logical_id, version.version_id - 1)
        if earlier is None or earlier.deleted:
            return
        if parse_stored(earlier.body).get("priority", "routine") != priority:
            raise refusals.priority_not_current("Task.focus")


def _booked(after: Json, case: Case, context: Context) -> bool:
    named = [item.get("valueReference", {}) for item in after.get("output", ())]
    ids = {
        logical_id
        for _, (kind, logical_id) in facts.targets(named, context)
        if kind == "Appointment"
    }
    return any(logical_id in ids for logical_id, _ in case.appointments_in("booked"))


def appointment_of(item: Json, context: Context) -> str | None:
    """The id of the Appointment that a REVIEW is of."""
    for _, (kind, logical_id) in facts.targets([item.get("reasonReference", {})], context):
        if kind == "Appointment":
            return logical_id
    return None


def _follow(logical_id: str, code: str, before: Json | None, after: Json, act: Act) -> None:
    """A rejected booking is cancelled; what triage accepts has to be booked or referred on."""
    status = after["status"]
    if before is not None and before["status"] == status:
        return
    if code == "REVIEW" and status == "rejected":
        found = appointment_of(after, act.context)
        ahead = dict(act.case.appointments_in("ahead"))
        if found in ahead:
            cancelled = {"status": "cancelled", "cancelationReason": after["statusReason"]}
            act.change("Appointment", found, ahead[found] | cancelled)
    if code == "TRIAGE_DEFERRAL" and status == "accepted":
        owner = _provider(after.get("owner"), act.context, act.transaction)
        made = task_for("REBOOK_REFER", act.case.logical_id, act.case.referral, owner, act.context)
        act.make(made | {"basedOn": [{"reference": f"Task/{logical_id}"}]})


def _provider(owner: Json | None, context: Context, transaction: ReadTransaction) -> Json | None:
    """The organisation that provides the service, or the service itself when that is not told."""
    for _, identity in facts.targets([owner or {}], context):
        service = facts.resource(identity, context, transaction)
        if service is not None and identity[0] == "HealthcareService" and "providedBy" in service:
            found: Json = service["providedBy"]
            return found
    return owner
