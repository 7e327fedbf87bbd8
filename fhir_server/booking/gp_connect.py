"""Rules in the manner of GP Connect's appointment management, for deployments that ask for them.

What may be searched (free slots of at most two weeks), what a booking may say, and what an amendment may change.
https://developer.nhs.uk/apis/gpconnect-1-2-7/appointments.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.booking import facts, statuses
from fhir_server.interactions.call import Context, Parameters
from fhir_server.spec.dates import DAY, interval
from fhir_server.spec.errors import FhirError, Issue

Json = dict[str, Any]

SYSTEM = "https://fhir.nhs.uk/STU3/CodeSystem/Spine-ErrorOrWarningCode-1"
LONGEST_SEARCH = 14 * DAY
_CHANNEL = "DeliveryChannel"
_LONGEST = {"description": 100, "comment": 500}
_NOT_SENT = ("specialty", "reasonCode", "reasonReference")
_AMENDED = frozenset({"description", "comment", "meta", "text"})
_CANCELLED = _AMENDED | {"status", "cancelationReason"}
_WINDOW = ("ge", "le", "gt", "lt")


def refusal(status: int, code: str, spine: str, diagnostics: str, *expression: str) -> FhirError:
    """A refusal with a code of the Spine's."""
    details = {"coding": [{"system": SYSTEM, "code": spine}]}
    return FhirError(status, (Issue("error", code, diagnostics, expression, details),))


def check_slot_search(parameters: Parameters, context: Context) -> None:
    """Free slots with their schedules, in a period of two weeks at most: FhirError 400 or 422."""
    given: dict[str, list[str]] = {}
    for name, value in parameters:
        given.setdefault(name.partition(":")[0], []).append(value)
    if given.get("status") != ["free"]:
        raise refusal(400, "required", "BAD_REQUEST", "Search for free slots: status=free")
    if "Slot:schedule" not in given.get("_include", []):
        raise refusal(
            400, "required", "BAD_REQUEST", "Ask for the schedules: _include=Slot:schedule"
        )
    starts = [item for item in given.get("start", []) if item[:2] in _WINDOW]
    low = [item for item in starts if item[0] == "g"]
    high = [*(item for item in starts if item[0] == "l"), *given.get("end", [])]
    if len(low) != 1 or len(high) != 1:
        raise refusal(
            422, "invalid", "INVALID_PARAMETER", "Send one start=ge... and one start=le..."
        )
    try:
        zone = context.policy.zone
        begin, end = interval(low[0][2:], zone)[0], interval(high[0].lstrip("let"), zone)[1]
    except ValueError:
        raise refusal(422, "invalid", "INVALID_PARAMETER", "start is not a date") from None
    if end - begin > LONGEST_SEARCH + DAY:
        raise refusal(
            422, "invalid", "INVALID_PARAMETER", "The period is longer than two weeks; shorten it"
        )


def check_patient_search(parameters: Parameters, context: Context) -> None:
    """A patient's appointments are asked for by days, from today on: FhirError 422."""
    today = interval(_date(context), context.policy.zone)[0]
    for name, value in parameters:
        if name not in ("start", "date"):
            continue
        text = value[2:] if value[:2] in _WINDOW else value
        if "T" in text:
            raise refusal(
                422, "invalid", "INVALID_PARAMETER", f"{name} must be a day without a time"
            )
        try:
            begin = interval(text, context.policy.zone)[0]
        except ValueError:
            raise refusal(422, "invalid", "INVALID_PARAMETER", f"{name} is not a date") from None
        if begin < today:
            raise refusal(422, "invalid", "INVALID_PARAMETER", f"{name} lies in the past")


def _date(context: Context) -> str:
    from datetime import UTC, datetime

    moment = datetime.fromtimestamp(context.now() / 1_000_000, UTC)
    return moment.astimezone(context.policy.zone).date().isoformat()


def check_change(before: Json | None, after: Json | None, context: Context) -> None:
    """A booking says little, an amendment changes a text, a cancellation gives its reason: FhirError 422."""
    if after is None or context.recording:
        return
    if before is None or not statuses.is_live(before):
        if before is not None and before["status"] == "cancelled":
            raise _invalid("A cancelled appointment cannot be changed", "Appointment.status")
        if statuses.is_live(after):
            _check_booking(after)
        return
    cancels = after["status"] == "cancelled"
    if facts.moment(before["start"]) <= context.now():
        raise _invalid(
            "The appointment has begun already, so it stays as it is", "Appointment.start"
        )
    if cancels and not after.get("cancelationReason"):
        raise _invalid("A cancellation gives its reason", "Appointment.cancelationReason")
    allowed = _CANCELLED if cancels else _AMENDED
    if before["status"] == "pending":
        allowed = allowed | {"status", "participant"}
    for name in sorted(before.keys() | after.keys()):
        if name not in allowed and before.get(name) != after.get(name):
            raise _invalid(
                f"{name} cannot be changed; cancel and book again", f"Appointment.{name}"
            )


def _check_booking(after: Json) -> None:
    for name, most in _LONGEST.items():
        if len(after.get(name, "")) > most:
            raise _invalid(f"{name} has more than {most} characters", f"Appointment.{name}")
    for name in _NOT_SENT:
        if after.get(name):
            raise _invalid(
                f"{name} is not sent with a booking; leave it out", f"Appointment.{name}"
            )


def check_slots(known: Mapping[str, Json], new: Mapping[str, str]) -> None:
    """The slots are known, and of one schedule, channel and service: FhirError 422."""
    for slot_id, place in new.items():
        if slot_id not in known:
            raise refusal(422, "not-found", "REFERENCE_NOT_FOUND", "There is no such slot", place)
    first = known[next(iter(new))]
    for slot_id, place in new.items():
        slot = known[slot_id]
        if _alike(slot) != _alike(first):
            raise _invalid("The slots differ in schedule, delivery channel or service type", place)


def _alike(slot: Json) -> tuple[str, str, str]:
    channels = [item for item in slot.get("extension", ()) if _CHANNEL in item.get("url", "")]
    return facts.schedule_of(slot), repr(channels), repr(slot.get("serviceType"))


def taken(*expression: str) -> FhirError:
    """409: the slot has been booked by somebody else."""
    return refusal(409, "duplicate", "DUPLICATE_REJECTED", "The slot is not available", *expression)


def _invalid(diagnostics: str, *expression: str) -> FhirError:
    return refusal(422, "business-rule", "INVALID_RESOURCE", diagnostics, *expression)
