"""Who may do what about a referral: capability/access.json, asked at every write, through whichever door.

What a caller may not see is not asked here (see interactions.rights). https://hl7.org/fhir/R4/security.html#accesscontrol
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts, statuses
from fhir_server.booking.refusals import inappropriate_slot
from fhir_server.interactions.call import Context, Operation
from fhir_server.interactions.caller import Caller
from fhir_server.interactions.seen import Seen
from fhir_server.interactions.sight import access
from fhir_server.interactions.write import Write
from fhir_server.referral import advice, refusals
from fhir_server.referral.case import referrals_of
from fhir_server.referral.definitions import extension
from fhir_server.referral.kinds import codings, task_code
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import Transaction

Json = dict[str, Any]
_REFERRAL = "ServiceRequest"
_WITH_STATUS = ("Appointment", "Task")
_MINUTE = 60_000_000


def may(caller: Caller | None, wanted: Collection[str]) -> bool:
    """Whether the caller is one of those: a role, or clinical (a provider's clinician, or for one)."""
    if caller is None or caller.role in wanted:
        return True
    return caller.role == "provider" and caller.is_clinical and "clinical" in wanted


@dataclass(frozen=True, slots=True)
class ReferralPermissions:
    """See fhir_server.interactions.permissions.Permissions.

    cut_off_minutes: from how long before its start on a patient leaves an appointment as it is.
    """

    cut_off_minutes: int = 0

    def check_operation(self, call: Operation, context: Context) -> None:
        """Some are for those who run a clinic or the server."""
        wanted = access()["operations"].get(call.code)
        if wanted is not None and not may(context.caller, wanted):
            raise refusals.forbidden(f"${call.code} is not for this role", "Parameters")

    def no_relationship(self, resource_type: str) -> FhirError:
        """403: it is not for the caller."""
        return refusals.no_relationship(resource_type)

    def check_write(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """Refuse (403) what the role may not do; (422) what a patient does too late."""
        caller = context.caller
        assert caller is not None
        _check_type(write.resource_type, caller)
        if after is not None and "status" not in after and write.resource_type in _WITH_STATUS:
            return  # The rules about the type refuse it, or it is none of those that they are about.
        match write.resource_type:
            case "ServiceRequest":
                _check_referral(write, after, caller, context, transaction)
            case "Task":
                _check_task(write, after, caller, transaction)
            case "Appointment":
                self._check_appointment(write, after, caller, context, transaction)
            case "Schedule" | "Slot" if caller.role == "provider":
                _check_own(write, after, context, transaction)

    def _check_appointment(
        self,
        write: Write,
        after: Json | None,
        caller: Caller,
        context: Context,
        transaction: Transaction,
    ) -> None:
        before = write.before
        rules: dict[str, list[str]] = access()["appointments"]
        status = "delete" if after is None else after.get("status", "")
        if before is None or before.get("status") != status:
            _refuse_unless(
                may(caller, rules.get(status, rules["create"])), status, "Appointment.status"
            )
        if caller.role == "patient" and after is not None:
            self._check_patient(before, after, context)
        named = facts.slots_of(after, context) if statuses.is_live(after) else {}
        held = facts.slots_of(before, context) if statuses.is_live(before) else {}
        fresh = named.keys() - held.keys()
        for item in fresh - _allowed("book", "Slot", fresh, transaction):
            raise refusals.forbidden("The slot is of a clinic of another organisation", named[item])

    def _check_patient(self, before: Json | None, after: Json, context: Context) -> None:
        """Of services on the shortlist of a referral, and not at the last moment."""
        if not referrals_of(after, context):
            raise refusals.forbidden(
                "A patient books what a referral is for; name it in basedOn", "Appointment.basedOn"
            )
        soonest = context.now() + self.cut_off_minutes * _MINUTE
        if (
            before is not None
            and statuses.is_live(before)
            and "start" in before
            and facts.moment(before["start"]) < soonest
        ):
            raise refusals.invalid_state(
                422,
                "It is too late to change the appointment here; call the clinic",
                "Appointment.start",
            )
        if statuses.is_live(after) and "start" in after and facts.moment(after["start"]) < soonest:
            raise inappropriate_slot(
                "It is too late to book that here; call the clinic", "Appointment.start"
            )


def _refuse_unless(allowed: bool, what: str, place: str) -> None:
    if not allowed:
        raise refusals.forbidden(f"'{what}' is not for this role", place)


def _check_type(resource_type: str, caller: Caller) -> None:
    rule = access()["write"].get(caller.role, {})
    if resource_type in rule.get("but", ()) or resource_type not in rule.get(
        "only", [resource_type]
    ):
        raise refusals.forbidden(f"{resource_type} is not written by this role", resource_type)


def _allowed(
    what: str, resource_type: str, ids: Collection[str], transaction: Transaction
) -> set[str]:
    """Those of the stored resources of which the caller may do that; all, where nothing is said."""
    if not isinstance(transaction, Seen):
        return set(ids)
    where = transaction.sight.allowed(what, resource_type)
    return transaction.holding(where, resource_type, ids)


def _check_own(
    write: Write, after: Json | None, context: Context, transaction: Transaction
) -> None:
    """A clinic is changed by who runs it; whose a new one is, its schedule or service tells."""
    name = write.resource_type
    if write.previous is not None and not _allowed("alter", name, [write.logical_id], transaction):
        raise refusals.forbidden("The clinic is one of another organisation", name)
    named = (
        []
        if after is None
        else [after.get("schedule", {})]
        if name == "Slot"
        else after.get("actor", ())
    )
    about = "Schedule" if name == "Slot" else "HealthcareService"
    ids = [item for _, (kind, item) in facts.targets(named, context) if kind == about]
    if after is not None and not (ids and set(ids) <= _allowed("alter", about, ids, transaction)):
        raise refusals.forbidden("The clinic is one of another organisation", name)


def _check_referral(
    write: Write,
    after: Json | None,
    caller: Caller,
    context: Context,
    transaction: Transaction,
) -> None:
    before = write.before
    if before is None:
        assert after is not None
        _check_new(after, caller, context, transaction)
        return
    if (after or {}).get("status") == "revoked" != before.get("status"):
        _refuse_unless(may(caller, access()["cancelReferral"]), "revoked", "ServiceRequest.status")
    if _allowed("alter", _REFERRAL, [write.logical_id], transaction):
        if caller.role == "patient" and after is not None and before.get("status") != "draft":
            same = after.get("status") == before.get("status")
            _refuse_unless(same, "status", "ServiceRequest.status")
        return
    if caller.role != "provider" or after is None:
        raise refusals.forbidden(
            "The referral is changed by the organisation that has made it", _REFERRAL
        )
    if after.get("status") not in (before.get("status"), *access()["providerAlters"]["statuses"]):
        raise refusals.forbidden("The status is not for this role", "ServiceRequest.status")
    for name in sorted(_altered(before, after)):
        raise refusals.forbidden(
            f"{name} is changed by the organisation that has made the referral",
            f"ServiceRequest.{name}",
        )


def _altered(before: Json, after: Json) -> set[str]:
    """The elements that differ and that a provider may not change of what others have asked for."""
    rule = access()["providerAlters"]
    urls = {extension(name) for name in rule["extensions"]}
    names = (before.keys() | after.keys()) - {*rule["elements"], "extension"}
    found = {name for name in names if before.get(name) != after.get(name)}
    kept = [
        [item for item in each.get("extension", ()) if item.get("url") not in urls]
        for each in (before, after)
    ]
    return found if kept[0] == kept[1] else found | {"extension"}


def _check_new(after: Json, caller: Caller, context: Context, transaction: Transaction) -> None:
    """A provider refers on, a patient goes where that is offered; a conversion is a clinician's."""
    if advice.converted_from(after, context, transaction) is not None:
        _refuse_unless(may(caller, access()["convert"]), "convert", "ServiceRequest.basedOn")
    if caller.role == "provider" and not referrals_of(after, context):
        raise refusals.forbidden(
            "A provider refers on what it was sent; name that in basedOn", "ServiceRequest.basedOn"
        )
    if caller.role != "patient":
        return
    wanted = (access()["selfReferral"]["system"], access()["selfReferral"]["code"])
    listed = list(facts.targets(after.get("performer", ()), context))
    found = facts.resources([item for _, item in listed], context, transaction)
    open_to_patients = [
        identity[0] == "HealthcareService"
        and wanted in codings(*found.get(identity, {}).get("referralMethod", ()))
        for _, identity in listed
    ]
    if not open_to_patients or not all(open_to_patients) or len(listed) < len(after["performer"]):
        raise refusals.forbidden(
            "Patients refer themselves to services that take that (referralMethod self)",
            "ServiceRequest.performer",
        )


def _check_task(write: Write, after: Json | None, caller: Caller, transaction: Transaction) -> None:
    before = write.before
    code = task_code(after) or task_code(before)
    if code is None:
        _refuse_unless(caller.role != "patient", "Task", "Task.code")
        return
    rules: dict[str, list[str]] = access()["tasks"][code]
    status = (after or {}).get("status", "delete")
    if before is None:
        _refuse_unless(may(caller, rules["create"]), code, "Task.code")
    elif before.get("status") == status:
        anybody = [name for listed in rules.values() for name in listed]
        _refuse_unless(may(caller, anybody), code, "Task")
    else:
        _refuse_unless(may(caller, rules.get(status, rules["create"])), status, "Task.status")
        if status != "cancelled" and not _allowed(
            "answer", "Task", [write.logical_id], transaction
        ):
            raise refusals.forbidden("The Task is for another organisation", "Task.owner")
