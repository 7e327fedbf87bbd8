"""The state of a referral follows from the facts, by every way to write (docs/referrals.md)."""

from __future__ import annotations

import pytest
from referral_desk import (
    APPOINTMENT_REASONS,
    STATE,
    Desk,
    concept,
    extension,
    refused,
    revoked,
    state_of,
    with_extension,
    without,
)

R4_REASONS = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"


def test_a_new_referral_is_not_booked(desk: Desk) -> None:
    made = desk.referral(desk.service())
    assert state_of(made) == "NOT_BOOKED"
    assert made["meta"]["versionId"] == "1"


def test_a_draft_is_draft_and_one_entered_in_error_has_no_state(desk: Desk) -> None:
    made = desk.referral(desk.service(), status="draft")
    assert state_of(made) == "DRAFT"
    assert state_of(desk.made(made | {"status": "entered-in-error"})) is None


def test_booking_makes_it_booked_and_asks_for_a_review_told_by_one_provenance(desk: Desk) -> None:
    service = desk.service("BOOKABLE")
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    assert desk.state(referral) == "BOOKED"
    (review,) = desk.tasks(referral)
    assert review["code"]["coding"][0]["code"] == "REVIEW"
    assert review["reasonReference"] == {"reference": f"Appointment/{booked['id']}"}
    assert review["owner"] == {"reference": f"HealthcareService/{service['id']}"}
    (targets,) = desk.provenances(referral)
    assert set(targets) == {
        f"ServiceRequest/{referral['id']}/_history/2",
        f"Appointment/{booked['id']}/_history/1",
        f"Task/{review['id']}/_history/1",
    }


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (concept(APPOINTMENT_REASONS, "PATIENT_ILL"), "APPT_CANCELLED_BY_PATIENT"),
        (concept(R4_REASONS, "pat-crs"), "APPT_CANCELLED_BY_PATIENT"),
        (concept(R4_REASONS, "prov"), "APPT_CANCELLED_BY_PROVIDER"),
    ],
)  # fmt: skip
def test_the_reason_tells_who_has_cancelled_the_appointment(
    desk: Desk, reason: dict, state: str
) -> None:
    service = desk.service()
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    desk.made(booked | {"status": "cancelled", "cancelationReason": reason})
    assert desk.state(referral) == state
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["cancelled"]


def test_triage_deferral_rebooking_and_return_with_advice(desk: Desk) -> None:
    service = desk.service("REVIEW")
    referral = desk.referral(service)
    triage = desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    assert desk.state(referral) == "AWAITING_TRIAGE"
    desk.made(triage | {"status": "accepted"})
    assert desk.state(referral) == "TRIAGED_PROVIDER_TO_ACTION"
    (rebook,) = desk.tasks(referral, "REBOOK_REFER")
    assert rebook["owner"] == desk.provider
    desk.made(desk.appointment(referral, desk.slot(service)))
    assert desk.state(referral) == "BOOKED"
    assert [item["status"] for item in desk.tasks(referral, "REBOOK_REFER")] == ["completed"]
    assert [item["status"] for item in desk.tasks(referral, "TRIAGE_DEFERRAL")] == ["completed"]
    assert desk.tasks(referral, "REVIEW") == []


def test_a_return_with_advice_ends_when_the_shortlist_changes(desk: Desk) -> None:
    service, other = desk.service("REVIEW"), desk.service("BOOKABLE")
    referral = desk.referral(service)
    triage = desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    desk.made(triage | {"status": "rejected", "note": [{"text": "Try diet first"}]})
    returned = desk.read(referral)
    assert state_of(returned) == "TRIAGE_RESPONSE"
    comments = [
        item for item in extension(returned, STATE)["extension"] if item["url"] == "comments"
    ]
    assert comments == [{"url": "comments", "valueString": "Try diet first"}]
    changed = desk.made(
        returned | {"performer": [{"reference": f"HealthcareService/{other['id']}"}]}
    )
    assert state_of(changed) == "NOT_BOOKED"
    desk.made(desk.appointment(referral, desk.slot(other)))
    assert desk.state(referral) == "BOOKED"


def test_a_rejected_review_cancels_the_appointment_and_frees_the_slot(desk: Desk) -> None:
    service = desk.service()
    slot = desk.slot(service)
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, slot))
    (review,) = desk.tasks(referral, "REVIEW")
    reason = concept(APPOINTMENT_REASONS, "SERVICE_INAPPROPRIATE")
    desk.made(review | {"status": "rejected", "statusReason": reason})
    assert desk.read(slot)["status"] == "free"
    assert desk.read(booked)["status"] == "cancelled"
    assert desk.read(booked)["cancelationReason"] == reason
    assert desk.state(referral) == "REJECTED"
    assert any(len(targets) >= 3 for targets in desk.provenances(review))


def test_revoking_cancels_the_appointment_and_its_tasks(desk: Desk) -> None:
    service = desk.service()
    slot = desk.slot(service)
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, slot))
    done = desk.made(revoked(desk.read(referral)))
    assert state_of(done) == "CANCELLED_REFERRAL"
    assert desk.read(slot)["status"] == "free"
    assert desk.read(booked)["status"] == "cancelled"
    assert [item["status"] for item in desk.tasks(referral)] == ["cancelled"]
    refused(
        desk.put(without(done, "note") | {"status": "active"}),
        422,
        "business-rule",
        "INVALID_REQUEST_STATE",
    )
    refused(desk.put(done | {"priority": "urgent"}), 422, "business-rule", "INVALID_REQUEST_STATE")
    refused(
        desk.post(desk.appointment(referral, slot)), 422, "business-rule", "INVALID_REQUEST_STATE"
    )
    refused(
        desk.post(desk.task(referral, "TRIAGE_DEFERRAL", service)),
        422,
        "business-rule",
        "INVALID_REQUEST_STATE",
    )


def test_a_client_cannot_choose_the_state(desk: Desk) -> None:
    wanted = {"extension": [{"url": "state", "valueCoding": {"code": "BOOKED"}}]}
    made = desk.referral_to(desk.service())
    sent = with_extension(made, STATE, **wanted)
    refused(desk.post(sent), 422, "business-rule", "STATE_IS_DERIVED")
    stored = desk.made(made)
    refused(
        desk.put(with_extension(stored, STATE, **wanted)), 422, "business-rule", "STATE_IS_DERIVED"
    )
    assert state_of(desk.made(with_extension(stored, STATE))) == "NOT_BOOKED"
    lenient = desk.post(sent, Prefer="handling=lenient")
    assert state_of(lenient.json()) == "NOT_BOOKED"


def test_a_bundle_with_a_referral_and_its_task_makes_one_version_of_the_referral(
    desk: Desk,
) -> None:
    service = desk.service("REVIEW")
    referral = desk.referral_to(service) | {"id": f"b-{desk.number}"}
    answer = desk.transaction(
        ("PUT", referral), ("POST", desk.task(referral, "TRIAGE_DEFERRAL", service))
    )
    assert answer.status_code == 200, answer.text
    stored = desk.read(referral)
    assert (stored["meta"]["versionId"], state_of(stored)) == ("1", "AWAITING_TRIAGE")


def test_an_appointment_that_its_clinic_displaces_leaves_the_referral_to_be_booked_again(
    desk: Desk,
) -> None:
    service = desk.service()
    slot = desk.slot(service)
    referral = desk.referral(service)
    desk.made(desk.appointment(referral, slot))
    answer = desk.put(desk.read(slot) | {"status": "free"}, Prefer="handling=lenient")
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "APPT_CANCELLED_BY_PROVIDER"
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["cancelled"]


def test_a_clinic_that_is_cancelled_leaves_its_referrals_to_be_booked_again(desk: Desk) -> None:
    service = desk.service()
    slot = desk.slot(service)
    referral = desk.referral(service)
    desk.made(desk.appointment(referral, slot))
    values = [
        {"name": "start", "valueDateTime": slot["start"]},
        {"name": "end", "valueDateTime": slot["end"]},
    ]
    answer = desk.client.post(
        f"{slot['schedule']['reference']}/$cancel-clinic",
        json={"resourceType": "Parameters", "parameter": values},
    )
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "APPT_CANCELLED_BY_PROVIDER"
    assert desk.read(slot)["status"] == "busy-unavailable"


@pytest.mark.parametrize("status", ["arrived", "checked-in", "fulfilled"])
def test_a_referral_whose_patient_came_stays_booked(desk: Desk, status: str) -> None:
    service = desk.service()
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    desk.made(booked | {"status": status})
    assert desk.state(referral) == "BOOKED"


def test_a_hold_does_not_count_as_booked_nor_its_release_as_cancelled(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    held = desk.made(desk.appointment(referral, desk.slot(service), status="pending"))
    assert desk.state(referral) == "NOT_BOOKED"
    assert desk.tasks(referral) == []
    desk.made(held | {"status": "booked"})
    assert desk.state(referral) == "BOOKED"
    assert len(desk.tasks(referral, "REVIEW")) == 1


def test_deleting_the_appointment_makes_the_referral_not_booked(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    assert desk.client.delete(f"Appointment/{booked['id']}").status_code == 204
    assert desk.state(referral) == "NOT_BOOKED"


def test_an_assessment_that_is_completed_gives_its_result(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    made = desk.made(desk.task(referral, "ASSESSMENT"))
    assert desk.state(referral) == "NOT_BOOKED"
    desk.made(made | {"status": "completed"})
    assert desk.state(referral) == "ASSESSMENT_RESULT"


def test_a_service_request_that_is_no_referral_is_left_alone(desk: Desk) -> None:
    """As a laboratory order is, or a request that only one of the two categories."""
    plain = without(desk.referral_to(desk.service()), "category")
    for categories in (
        [],
        [concept("http://snomed.info/sct", "3457005")],
        [concept("http://snomed.info/sct", "108252007")],
    ):
        sent = plain | ({"category": categories} if categories else {})
        made = desk.made(sent)
        assert without(made, "id", "meta") == sent
        desk.made(desk.task(made, "REVIEW") | {"status": "completed"})
        done = desk.made(made | {"status": "revoked"})
        assert without(done, "id", "meta", "status") == without(sent, "status")
