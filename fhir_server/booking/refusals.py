"""Refusals of booking: one status, one issue code and one stable code for each rule.

No refusal tells who has what the caller wanted.
https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Mapping

from fhir_server.interactions.coded import issue, refusal
from fhir_server.spec.errors import FhirError, Issue


class SlotTaken(FhirError):
    """The slot has no seat left."""


def slot_not_available(*expression: str) -> SlotTaken:
    """409 conflict: every seat of the slot is taken, or the slot is closed."""
    told = "The slot is not available (any more); search for free slots again"
    return SlotTaken(409, (issue(409, "conflict", "SLOT_NOT_AVAILABLE", told, *expression),))


def slot_in_use(diagnostics: str, *expression: str) -> FhirError:
    """409 conflict: an appointment, a hold or a block of another owner needs the slot as it is."""
    return refusal(409, "conflict", "SLOT_HAS_APPOINTMENT", diagnostics, *expression)


def hold_expired(*expression: str) -> FhirError:
    """409 expired: the hold ran out before the booking."""
    told = "The hold has expired; hold the slot again, or search for free slots"
    return refusal(409, "expired", "HOLD_EXPIRED", told, *expression)


def not_your_hold(*expression: str) -> FhirError:
    """409 conflict: the hold belongs to another client."""
    told = "This client does not have the hold; hold the slot yourself"
    return refusal(409, "conflict", "HOLD_EXPIRED", told, *expression)


def too_many_holds(most: int) -> FhirError:
    """409 conflict: the client holds as many appointments as it may."""
    told = f"This client holds {most} appointments already; book or release one of them first"
    return refusal(409, "conflict", "TOO_MANY_ITEMS", told)


def invalid_state(status: int, diagnostics: str, *expression: str) -> FhirError:
    """422 business-rule (409 conflict): the state of the resource does not allow that."""
    code = "conflict" if status == 409 else "business-rule"
    return refusal(status, code, "INVALID_REQUEST_STATE", diagnostics, *expression)


def conflicting_values(diagnostics: str, *expression: str) -> FhirError:
    """422 business-rule: two elements contradict each other."""
    return refusal(422, "business-rule", "CONFLICTING_VALUES", diagnostics, *expression)


def inappropriate_value(diagnostics: str, *expression: str) -> FhirError:
    """422 business-rule: the slot is not one of those that the referral allows."""
    return refusal(422, "business-rule", "INAPPROPRIATE_VALUE", diagnostics, *expression)


def inappropriate_slot(diagnostics: str, *expression: str) -> FhirError:
    """422 business-rule: the slot is not for this booking."""
    return refusal(422, "business-rule", "INAPPROPRIATE_SLOT", diagnostics, *expression)


def locked(headers: Mapping[str, str]) -> FhirError:
    """409 lock-error with Retry-After: others were changing the same slots all the time."""
    told = "Others are changing the same slots; try again after the time in Retry-After"
    return refusal(409, "lock-error", "LOCKED", told, headers=headers)


def overlapping(*expression: str) -> Issue:
    """A warning: the patient has another appointment at that time."""
    told = "The patient has another appointment that overlaps with this one"
    return issue(
        422, "business-rule", "OVERLAPPING_APPOINTMENT", told, *expression, severity="warning"
    )


def status_required(resource_type: str) -> FhirError:
    """422 required: a status that is only an extension; everything that follows depends on its value."""
    place = f"{resource_type}.status"
    told = "The status has no value; send one of its codes"
    return refusal(422, "required", "MISSING_VALUE", told, place)
