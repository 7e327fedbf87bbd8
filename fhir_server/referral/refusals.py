"""Refusals of the life-cycle, beside those of booking: one status, one issue code and one stable code for each rule.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from fhir_server.booking.refusals import (
    conflicting_values,
    inappropriate_value,
    invalid_state,
    status_required,
)
from fhir_server.interactions.coded import refusal
from fhir_server.spec.errors import FhirError

__all__ = [
    "attachment",
    "conflicting_values",
    "duplicate_number",
    "duplicate_service",
    "forbidden",
    "inappropriate_value",
    "invalid_state",
    "invalid_value",
    "letter_required",
    "missing_value",
    "no_relationship",
    "priority_not_current",
    "reference_not_found",
    "service_unavailable",
    "slot_is_available",
    "slots_available",
    "state_is_derived",
    "status_required",
    "too_many_services",
]


def too_many_services(most: int) -> FhirError:
    """422 business-rule: the shortlist is too long."""
    told = f"The shortlist has more than {most} services; leave some out"
    return refusal(422, "business-rule", "TOO_MANY_ITEMS", told, "ServiceRequest.performer")


def duplicate_service(*expression: str) -> FhirError:
    """422 duplicate: a service is on the shortlist twice."""
    told = "The service is on the shortlist already; name each service once"
    return refusal(422, "duplicate", "DUPLICATE_SERVICE", told, *expression)


def duplicate_number(*expression: str) -> FhirError:
    """409 duplicate: another referral, or request for advice, has the UBRN."""
    told = "Another request has this UBRN; leave the number out, and the server issues one"
    return refusal(409, "duplicate", "CONFLICTING_VALUES", told, *expression)


def service_unavailable(*expression: str) -> FhirError:
    """422 business-rule: the service is closed."""
    told = "The service is not active any more; choose another one"
    return refusal(422, "business-rule", "SERVICE_UNAVAILABLE", told, *expression)


def missing_value(diagnostics: str, *expression: str) -> FhirError:
    """422 required: something that the rule asks for is not there."""
    return refusal(422, "required", "MISSING_VALUE", diagnostics, *expression)


def invalid_value(diagnostics: str, *expression: str) -> FhirError:
    """422 value: a value is out of its bounds."""
    return refusal(422, "value", "INVALID_VALUE", diagnostics, *expression)


def reference_not_found(diagnostics: str, *expression: str) -> FhirError:
    """422 not-found: a reference names nothing that is here."""
    return refusal(422, "not-found", "REFERENCE_NOT_FOUND", diagnostics, *expression)


def state_is_derived(diagnostics: str, *expression: str) -> FhirError:
    """422 business-rule: the server keeps that element."""
    return refusal(422, "business-rule", "STATE_IS_DERIVED", diagnostics, *expression)


def priority_not_current(*expression: str) -> FhirError:
    """422 business-rule: who returns a referral with advice may not change its priority."""
    told = "A referral that is returned with advice keeps its priority; leave the priority as it is"
    return refusal(422, "business-rule", "PRIORITY_NOT_CURRENT", told, *expression)


def slots_available(*expression: str) -> FhirError:
    """422 business-rule: a referral is deferred for want of slots, but there are some."""
    told = "The service has slots that this referral can book; book one of them"
    return refusal(422, "business-rule", "SLOTS_CURRENTLY_AVAILABLE", told, *expression)


def slot_is_available(*expression: str) -> FhirError:
    """422 business-rule: a referral is deferred because its slot is gone, but it is not."""
    told = "The slot is free; book it"
    return refusal(422, "business-rule", "THIS_SLOT_IS_AVAILABLE", told, *expression)


def forbidden(diagnostics: str, *expression: str) -> FhirError:
    """403 forbidden: it is not for this role, or the referrer has not allowed it."""
    return refusal(403, "forbidden", "FORBIDDEN", diagnostics, *expression)


def no_relationship(resource_type: str) -> FhirError:
    """403 forbidden: who writes has nothing to do with it."""
    told = (
        f"The {resource_type}, or what it is about, is not one of this caller's; ask the organisation that has the"
        " referral"
    )
    return refusal(403, "forbidden", "NO_RELATIONSHIP", told, resource_type)


def letter_required(*expression: str) -> FhirError:
    """422 business-rule: the last letter of a referral that was sent stays."""
    told = "The referral was sent, so its last letter stays; add another one first"
    return refusal(422, "business-rule", "VALUE_IS_REQUIRED", told, *expression)


def attachment(availability: str, code: str, *expression: str) -> FhirError:
    """422: the attachment is not clean, or not known to be so yet (then with Retry-After)."""
    told = f"The attachment is {availability}; refer to one that is AVAILABLE"
    headers = {"Retry-After": "5"} if code == "transient" else None
    return refusal(422, code, availability, told, *expression, headers=headers)
