"""The transitions and refusals that the examples of the e-Referral Service show happen here (docs/e-rs.md#cases).

The examples are facts, not fixtures: what is sent here is our own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from referral_desk import (
    APPOINTMENT_REASONS,
    CONVERSION,
    FHIR,
    STATE,
    Desk,
    concept,
    extension,
    refused,
    state_of,
)

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT.parent / "shared" / "data" / "e-rs" / "professional-stu3"
RULE = "business-rule"
ROW = re.compile(r"^\| `(\S+?/\S+)` \|.*\| `(test_\w+)` \|$", re.MULTILINE)


def listed() -> list[tuple[str, str]]:
    """(example, test) of the table."""
    return ROW.findall((ROOT / "docs" / "e-rs.md").read_text("utf-8"))


def test_every_case_of_the_page_has_its_test() -> None:
    here = "".join(path.read_text("utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert len(listed()) >= 20
    for _, name in listed():
        assert f"def {name}(" in here, name


@pytest.mark.skipif(not EXAMPLES.is_dir(), reason="the examples are not here")
def test_every_case_of_the_page_is_an_example() -> None:
    for example, _ in listed():
        folder, name = example.rsplit("/", 1)
        assert (EXAMPLES / folder / f"{name}.json").is_file(), example


def cancelled(desk: Desk, code: str, comment: str = "") -> tuple[httpx.Response, dict[str, Any]]:
    """The answer to cancelling a booked appointment for that reason, and its referral."""
    service = desk.service("BOOKABLE")
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    reason = {"cancelationReason": concept(APPOINTMENT_REASONS, code), "status": "cancelled"}
    return desk.put(booked | reason | ({"comment": comment} if comment else {})), referral


def test_an_appointment_is_not_cancelled_for_a_reason_for_referrals(desk: Desk) -> None:
    answer, referral = cancelled(desk, "INTEND_PRIVATE", "She goes private")
    refused(answer, 422, RULE, "INAPPROPRIATE_VALUE", "cancelationReason")
    assert desk.state(referral) == "BOOKED"


def test_a_reason_that_needs_a_comment_is_refused_without(desk: Desk) -> None:
    code = "PATIENT_APPOINTMENT_CANCELLATION_OTHER"
    answer, _ = cancelled(desk, code)
    refused(answer, 422, "required", "MISSING_VALUE", "Appointment.comment")
    answer, referral = cancelled(desk, code, "She has moved")
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "APPT_CANCELLED_BY_PATIENT"


@pytest.mark.parametrize("code", ["PATIENT_ILL", "PATIENT_HOLIDAY"])
def test_a_reason_that_needs_no_comment_is_enough(desk: Desk, code: str) -> None:
    answer, referral = cancelled(desk, code)
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "APPT_CANCELLED_BY_PATIENT"


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


def test_a_referral_whose_cancellation_needs_a_comment_is_refused_without(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    answer = desk.operation(referral, "cancel", reason="PATIENT_REQUEST_CANCELLATION_OTHER")
    refused(answer, 422, "required", "MISSING_VALUE")


def test_a_triaged_referral_is_cancelled_for_a_reason_of_triage(desk: Desk) -> None:
    referral = desk.referral(desk.service("REVIEW"))
    desk.operation(referral, "send-for-triage")
    desk.operation(referral, "record-outcome", outcome="ACCEPT", comment="Agreed")
    refused(
        desk.operation(referral, "cancel", reason="INTEND_PRIVATE"),
        422,
        RULE,
        "INAPPROPRIATE_VALUE",
    )
    given = {"reason": "OUTPATIENT_SERVICE_NA", "comment": "No such service here"}
    assert state_of(desk.operation(referral, "cancel", **given).json()) == "CANCELLED_REFERRAL"


@pytest.mark.parametrize("reason", ["NO_SLOTS_AT_SERVICE", "BOOKING_ATTEMPT_PROBLEM"])
def test_a_referral_is_deferred_for_want_of_slots_or_after_a_failed_booking(
    desk: Desk, reason: str
) -> None:
    referral = desk.referral(desk.service("BOOKABLE"))
    answer = desk.operation(referral, "defer", reason=reason, comment="None was there")
    assert answer.status_code == 201, answer.text
    assert desk.state(referral) == "DEFERRED_TO_PROVIDER"


def test_a_return_with_advice_is_a_triage_response_and_says_why(desk: Desk) -> None:
    """The example answers TRIAGED_PROVIDER_TO_ACTION, against the definition of the states."""
    referral = desk.referral(desk.service("REVIEW"))
    desk.operation(referral, "send-for-triage")
    given = {"outcome": "RETURN_WITH_ADVICE", "comment": "Not serious"}
    returned = desk.operation(referral, "record-outcome", **given).json()
    assert (returned["status"], state_of(returned)) == ("active", "TRIAGE_RESPONSE")
    parts = {item["url"]: item for item in extension(returned, STATE)["extension"]}
    assert parts["comments"]["valueString"] == "Not serious"


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


def test_a_provider_asks_for_more_before_it_advises(desk: Desk) -> None:
    request = desk.made(desk.advice_to(desk.service("ADVICE_AND_GUIDANCE")))
    for sender, after in ((request["performer"][0], desk.requester), (desk.requester, None)):
        message = {
            "resourceType": "Communication",
            "status": "completed",
            "basedOn": [{"reference": f"ServiceRequest/{request['id']}"}],
            "sender": sender,
            "payload": [{"contentString": "More, please"}],
        }
        assert desk.client.post("Communication", json=message, headers=FHIR).status_code == 201
        (turn,) = desk.tasks(request, "ADVICE_TURN")
        assert turn["owner"] == (after or request["performer"][0])


def test_a_conversion_may_set_the_priority(desk: Desk) -> None:
    allowed = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    request = desk.made(desk.advice_to(desk.service("ADVICE_AND_GUIDANCE"), extension=allowed))
    made = desk.operation(
        request, "convert-advice", guidance="We see her", priority="URGENT"
    ).json()
    assert (made["priority"], state_of(made)) == ("urgent", "TRIAGED_PROVIDER_TO_ACTION")
