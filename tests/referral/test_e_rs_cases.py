"""Cases of the STU3 sandbox of e-RS that the tests of the single functions leave out (docs/e-rs.md)."""

from __future__ import annotations

import pytest
from referral_desk import APPOINTMENT_REASONS, Desk, concept, state_of


@pytest.mark.parametrize(
    ("reason", "comment"),
    [
        ("INTEND_PRIVATE", None),
        ("INTEND_PRIVATE", "She goes private"),
        ("TREATMENT_NO_LONGER_REQUIRED", "Healed"),
        ("PATIENT_REQUEST_CANCELLATION_OTHER", "She asked for it"),
        ("RAISED_IN_ERROR", "Wrong patient"),
        ("REFERRER_CANCELLATION", "Seen elsewhere"),
        ("BOOKED_OUTSIDE_CAB", None),
    ],
)
def test_a_referral_is_cancelled_for_these_reasons(
    desk: Desk, reason: str, comment: str | None
) -> None:
    referral = desk.referral(desk.service())
    given = {"reason": reason} | ({"comment": comment} if comment else {})
    answer = desk.operation(referral, "cancel", **given)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], state_of(answer.json())) == ("revoked", "CANCELLED_REFERRAL")


@pytest.mark.parametrize("reason", ["NO_SLOTS_AT_SERVICE", "BOOKING_ATTEMPT_PROBLEM"])
def test_a_referral_is_deferred_for_want_of_slots_or_after_a_failed_booking(
    desk: Desk, reason: str
) -> None:
    referral = desk.referral(desk.service("BOOKABLE"))
    answer = desk.operation(referral, "defer", reason=reason, comment="None was there")
    assert answer.status_code == 201, answer.text
    assert desk.state(referral) == "DEFERRED_TO_PROVIDER"


def test_the_provider_cancels_changes_the_priority_and_books_later(desk: Desk) -> None:
    service = desk.service("BOOKABLE")
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    reason = concept(APPOINTMENT_REASONS, "PRIORITY_CHANGE")
    answer = desk.transaction(
        ("PUT", desk.read(referral) | {"priority": "urgent"}),
        ("PUT", booked | {"status": "cancelled", "cancelationReason": reason, "comment": "Sooner"}),
        ("POST", desk.task(referral, "REBOOK_REFER") | {"owner": desk.provider}),
    )
    assert answer.status_code == 200, answer.text
    after = desk.read(referral)
    assert (after["priority"], state_of(after)) == ("urgent", "TRIAGED_PROVIDER_TO_ACTION")
    desk.made(desk.appointment(referral, desk.slot(service)))
    assert desk.state(referral) == "BOOKED"


def test_a_shortlist_may_mix_services_to_book_and_to_triage(desk: Desk) -> None:
    services = [desk.service("BOOKABLE"), desk.service("REVIEW")]
    referral = desk.referral(desk.service())
    named = [{"reference": f"HealthcareService/{item['id']}"} for item in services]
    changed = desk.made(referral | {"performer": named})
    assert (state_of(changed), changed["performer"]) == ("NOT_BOOKED", named)
    triage = {"reference": named[1]["reference"]}
    answer = desk.operation(referral, "send-for-triage", service=triage)
    assert answer.status_code == 201, answer.text
