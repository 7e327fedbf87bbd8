"""Each rule between a referral, its Tasks and its Appointments has one answer, alone and in a transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from referral_desk import (
    APPOINTMENT_REASONS,
    AVAILABILITY,
    CONVERSION,
    PATHWAY,
    PAUSE,
    PRIORITY,
    UBRN,
    WORKFLOW,
    Desk,
    concept,
    extension,
    refused,
    revoked,
    state_of,
    ubrn_of,
    with_extension,
    without,
)

RULE = "business-rule"


@pytest.fixture(params=["rest", "transaction"])
def write(request: pytest.FixtureRequest, desk: Desk) -> Any:
    """Writes a resource by POST or PUT, or by a transaction with nothing else in it."""

    def alone(resource: dict[str, Any]) -> httpx.Response:
        return desk.put(resource) if "id" in resource else desk.post(resource)

    def within(resource: dict[str, Any]) -> httpx.Response:
        return desk.transaction(("PUT" if "id" in resource else "POST", resource))

    return alone if request.param == "rest" else within


def test_a_shortlist_has_at_most_twenty_services(desk: Desk, write: Any) -> None:
    services = [desk.service() for _ in range(21)]
    refused(
        write(desk.referral_to(*services)),
        422,
        RULE,
        "TOO_MANY_ITEMS",
        ".performer",
    )
    assert write(desk.referral_to(*services[:20])).status_code in (200, 201)


def test_a_service_is_on_the_shortlist_once(desk: Desk, write: Any) -> None:
    service = desk.service()
    refused(
        write(desk.referral_to(service, service)),
        422,
        "duplicate",
        "DUPLICATE_SERVICE",
        "performer[1]",
    )


def test_a_closed_service_takes_no_referrals(desk: Desk, write: Any) -> None:
    closed = desk.service(active=False)
    refused(
        write(desk.referral_to(desk.service(), closed)),
        422,
        RULE,
        "SERVICE_UNAVAILABLE",
        "performer[1]",
    )


def test_what_else_is_not_active_closes_no_service(desk: Desk, write: Any) -> None:
    inside = {"resourceType": "Organization", "id": "o", "name": "Closed", "active": False}
    told = {"comment": 'As was said: {"active":false}', "providedBy": {"reference": "#o"}}
    told["contained"] = [inside]
    assert write(desk.referral_to(desk.service(**told))).status_code in (200, 201)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("performer", [{"reference": "HealthcareService/nowhere"}]),
        ("subject", {"reference": "Patient/nobody"}),
        ("requester", {"reference": "PractitionerRole/nobody"}),
        ("basedOn", [{"reference": "ServiceRequest/nothing"}]),
    ],
)
def test_what_a_referral_names_is_there(desk: Desk, write: Any, name: str, value: Any) -> None:
    sent = desk.referral_to(desk.service()) | {name: value}
    place = name if isinstance(value, dict) else f"{name}[0]"
    refused(write(sent), 422, "not-found", "REFERENCE_NOT_FOUND", place)


def test_both_priorities_agree(desk: Desk, write: Any) -> None:
    coding = {"system": "https://fhir.nhs.uk/CodeSystem/eRS-Priority", "code": "TWO_WEEK_WAIT"}
    sent = with_extension(desk.referral_to(desk.service()), PRIORITY, valueCoding=coding)
    refused(write(sent), 422, RULE, "CONFLICTING_VALUES", "priority", "extension")
    assert write(sent | {"priority": "asap"}).status_code in (200, 201)
    made = desk.made(without(sent, "priority"))
    assert made["priority"] == "asap"


@pytest.mark.parametrize("days", [-366, 1])
def test_the_pathway_starts_in_the_last_year(desk: Desk, write: Any, days: int) -> None:
    start = (datetime.now(UTC) + timedelta(days=days)).isoformat()
    sent = with_extension(desk.referral_to(desk.service()), PATHWAY, valueInstant=start)
    refused(write(sent), 422, "value", "INVALID_VALUE", "extension")


def test_the_start_of_the_pathway_and_the_ubrn_stay(desk: Desk, write: Any) -> None:
    start = (datetime.now(UTC) - timedelta(days=9)).isoformat(timespec="seconds")
    made = desk.referral(desk.service(), extension=[{"url": PATHWAY, "valueInstant": start}])
    later = with_extension(made, PATHWAY, valueInstant=datetime.now(UTC).isoformat())
    refused(write(later), 422, RULE, "STATE_IS_DERIVED", "extension")
    other = made | {"identifier": [{"system": UBRN, "value": "000000000000"}]}
    refused(write(other), 422, RULE, "STATE_IS_DERIVED", "identifier")
    kept = desk.made(without(made, "extension", "identifier"))
    assert (kept["identifier"], state_of(kept)) == (made["identifier"], "NOT_BOOKED")
    assert [item["valueInstant"] for item in kept["extension"] if item["url"] == PATHWAY] == [start]


def test_the_pauses_of_the_clock_are_kept_by_the_server(desk: Desk, write: Any) -> None:
    held = desk.made(desk.referral(desk.service()) | {"status": "on-hold"})
    made = desk.made(held | {"status": "active"})
    pause = extension(made, PAUSE)
    assert pause is not None
    period = {"start": "2026-01-01T09:00:00Z", "end": "2026-06-01T09:00:00Z"}
    reason = {"url": "reason", "valueCodeableConcept": {"text": "Away"}}
    other = {"extension": [{"url": "period", "valuePeriod": period}, reason]}
    more = {"extension": [*made["extension"], {"url": PAUSE} | other]}
    for changed in (with_extension(made, PAUSE, **other), made | more):
        refused(write(changed), 422, RULE, "STATE_IS_DERIVED", "extension")
    for same in (made, with_extension(made, PAUSE)):
        assert write(same).status_code == 200
        assert extension(desk.read(made), PAUSE) == pause


def test_a_pathway_that_began_elsewhere_tells_of_pauses_that_ended(desk: Desk, write: Any) -> None:
    now = datetime.now(UTC)
    days = [(now - timedelta(days=count)).isoformat(timespec="seconds") for count in range(10)]
    began = {"url": PATHWAY, "valueInstant": days[5]}
    reason = {"url": "reason", "valueCodeableConcept": {"text": "Away"}}

    def paused(**period: str) -> dict[str, Any]:
        told = {"url": PAUSE, "extension": [{"url": "period", "valuePeriod": period}, reason]}
        return desk.referral_to(desk.service(), extension=[began, told])

    ahead = (now + timedelta(days=1)).isoformat(timespec="seconds")
    for wrong in (
        {"start": days[4]},
        {"start": days[6], "end": days[3]},
        {"start": days[4], "end": ahead},
    ):
        refused(write(paused(**wrong)), 422, "value", "INVALID_VALUE", "extension")
    good = paused(start=days[4], end=days[3])
    assert write(good).status_code in (200, 201)
    assert extension(desk.made(good), PAUSE) == good["extension"][1]


def test_a_ubrn_has_twelve_digits_and_is_had_once(desk: Desk, write: Any) -> None:
    made = desk.referral(desk.service())
    number = ubrn_of(made)
    assert len(number) == 12
    again = desk.referral_to(desk.service(), identifier=[{"system": UBRN, "value": number}])
    refused(write(again), 409, "duplicate", "CONFLICTING_VALUES", "identifier")
    twice = without(again, "identifier") | {
        "identifier": [{"system": UBRN, "value": "777777777771"}]
    }
    both = desk.transaction(("POST", twice), ("POST", twice))
    refused(both, 409, "duplicate", "CONFLICTING_VALUES", "identifier")
    request = desk.advice_to(desk.service(), identifier=again["identifier"])
    assert write(request).status_code in (200, 201)  # a number for each kind
    refused(write(request), 409, "duplicate", "CONFLICTING_VALUES", "identifier")
    short = again | {"identifier": [{"system": UBRN, "value": "12345"}]}
    refused(write(short), 422, "value", "INVALID_VALUE", "identifier")


def test_a_deferral_for_want_of_slots_needs_there_to_be_none(desk: Desk, write: Any) -> None:
    service = desk.service("BOOKABLE")
    referral = desk.referral(service)
    deferral = desk.task(referral, "APPOINTMENT_DEFERRAL", service)
    deferral["reasonCode"] = concept(WORKFLOW, "NO_SLOTS_AT_SERVICE")
    urgent = concept("https://fhir.nhs.uk/CodeSystem/eRS-Priority", "URGENT")
    slot = desk.slot(service, appointmentType=urgent)
    routine = desk.slot(service)
    refused(write(deferral), 422, RULE, "SLOTS_CURRENTLY_AVAILABLE", "reasonCode")
    desk.made(routine | {"status": "busy-unavailable"})
    assert write(deferral).status_code in (
        200,
        201,
    )  # the slot that is left is for urgent referrals
    assert desk.state(referral) == "DEFERRED_TO_PROVIDER"
    assert desk.read(slot)["status"] == "free"


def test_a_deferral_because_a_slot_is_gone_needs_it_to_be_gone(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral, other = desk.referral(service), desk.referral(service)
    slot = desk.slot(service)
    deferral = desk.task(referral, "APPOINTMENT_DEFERRAL", service)
    deferral["reasonCode"] = concept(WORKFLOW, "SLOT_NOT_AVAILABLE")
    refused(write(deferral), 422, "required", "MISSING_VALUE", "reasonReference")
    deferral["reasonReference"] = {"reference": f"Slot/{slot['id']}"}
    refused(write(deferral), 422, RULE, "THIS_SLOT_IS_AVAILABLE", "reasonReference")
    desk.made(desk.appointment(other, slot))
    assert write(deferral).status_code in (200, 201)


def test_only_a_service_that_takes_bookings_is_booked_and_only_one_that_reviews_triages(
    desk: Desk, write: Any
) -> None:
    review, bookable = desk.service("REVIEW"), desk.service("BOOKABLE")
    referral = desk.referral(review, bookable)
    booking = desk.appointment(referral, desk.slot(review))
    refused(write(booking), 422, RULE, "INAPPROPRIATE_VALUE", ".slot")
    refused(
        write(desk.task(referral, "TRIAGE_DEFERRAL", bookable)),
        422,
        RULE,
        "INAPPROPRIATE_VALUE",
        "owner",
    )


def test_a_referral_is_sent_to_services_of_its_shortlist(desk: Desk, write: Any) -> None:
    referral = desk.referral(desk.service("REVIEW"))
    other = desk.service("REVIEW")
    refused(
        write(desk.task(referral, "TRIAGE_DEFERRAL", other)),
        422,
        RULE,
        "INAPPROPRIATE_VALUE",
        "owner",
    )
    refused(
        write(desk.task(referral, "TRIAGE_DEFERRAL")), 422, "required", "MISSING_VALUE", "owner"
    )


def test_what_the_state_does_not_allow_is_refused(desk: Desk, write: Any) -> None:
    service, other = desk.service(), desk.service()
    referral = desk.referral(service)
    desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    refused(
        write(desk.task(referral, "TRIAGE_DEFERRAL", service)),
        422,
        RULE,
        "INVALID_REQUEST_STATE",
        "focus",
    )
    slot = desk.slot(service)
    refused(write(desk.appointment(referral, slot)), 422, RULE, "INVALID_REQUEST_STATE", "basedOn")
    longer = desk.read(referral)
    longer["performer"] += [{"reference": f"HealthcareService/{other['id']}"}]
    refused(write(longer), 422, RULE, "INVALID_REQUEST_STATE", "performer")
    assert desk.read(slot)["status"] == "free"


def test_a_referral_is_cancelled_for_a_reason_that_is_in_force_and_fits(
    desk: Desk, write: Any
) -> None:
    referral = desk.referral(desk.service())
    refused(write(referral | {"status": "revoked"}), 422, "required", "MISSING_VALUE", "extension")
    unknown = revoked(referral, "NO_SUCH_REASON")
    refused(write(unknown), 422, RULE, "INAPPROPRIATE_VALUE", "extension")
    of_triage = revoked(referral, "TRIAGE_ENDED")
    refused(write(of_triage), 422, RULE, "INAPPROPRIATE_VALUE", "extension")
    silent = revoked(referral, "PATIENT_REQUEST_CANCELLATION_OTHER")
    refused(write(silent), 422, "required", "MISSING_VALUE", "note")
    assert (
        write(revoked(referral, "PATIENT_REQUEST_CANCELLATION_OTHER", "Moved away")).status_code
        == 200
    )


def test_after_triage_a_provider_cancels_for_a_reason_of_triage(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    triage = desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    desk.made(triage | {"status": "accepted"})
    stored = desk.read(referral)
    refused(write(revoked(stored, "PATIENT_DIED")), 422, RULE, "INAPPROPRIATE_VALUE", "extension")
    assert write(revoked(stored, "TRIAGE_ENDED")).status_code == 200


def test_an_appointment_is_cancelled_for_a_reason_of_cancelling(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))

    def cancelled(code: str, **elements: Any) -> dict[str, Any]:
        reason = concept(APPOINTMENT_REASONS, code)
        return booked | {"status": "cancelled", "cancelationReason": reason} | elements

    place = "cancelationReason"
    refused(write(cancelled("SERVICE_INAPPROPRIATE")), 422, RULE, "INAPPROPRIATE_VALUE", place)
    refused(write(cancelled("WRONG_PROVIDER")), 422, RULE, "INAPPROPRIATE_VALUE", place)
    refused(
        write(cancelled("PATIENT_OTHER_ENGAGEMENT")), 422, "required", "MISSING_VALUE", "comment"
    )
    assert write(cancelled("PATIENT_OTHER_ENGAGEMENT", comment="Court")).status_code == 200
    assert desk.state(referral) == "APPT_CANCELLED_BY_PATIENT"


def test_a_review_is_rejected_for_a_reason_of_rejecting(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    (review,) = desk.tasks(referral, "REVIEW")
    refused(
        write(review | {"status": "rejected"}), 422, "required", "MISSING_VALUE", "statusReason"
    )
    wrong = review | {
        "status": "rejected",
        "statusReason": concept(APPOINTMENT_REASONS, "PATIENT_ILL"),
    }
    refused(write(wrong), 422, RULE, "INAPPROPRIATE_VALUE", "statusReason")
    assert desk.read(booked)["status"] == "booked"
    assert desk.state(referral) == "BOOKED"


def test_a_return_with_advice_has_a_note_and_leaves_the_priority(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    triage = desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    refused(write(triage | {"status": "rejected"}), 422, "required", "MISSING_VALUE", "note")
    returned = triage | {"status": "rejected", "note": [{"text": "Diet first"}]}
    refused(
        write(returned | {"priority": "urgent"}),
        422,
        RULE,
        "PRIORITY_NOT_CURRENT",
        ".priority",
    )
    both = desk.transaction(
        ("PUT", desk.read(referral) | {"priority": "urgent"}), ("PUT", returned)
    )
    refused(both, 422, RULE, "PRIORITY_NOT_CURRENT")
    assert desk.read(referral)["priority"] == "routine"
    assert write(returned).status_code == 200


@pytest.mark.parametrize("status", ["completed", "in-progress", "draft", "on-hold"])
def test_a_task_follows_the_path_of_its_code(desk: Desk, write: Any, status: str) -> None:
    service = desk.service()
    referral = desk.referral(service)
    triage = desk.task(referral, "TRIAGE_DEFERRAL", service)
    refused(write(triage | {"status": status}), 422, RULE, "INVALID_REQUEST_STATE", ".status")
    stored = desk.made(triage)
    refused(write(stored | {"status": status}), 422, RULE, "INVALID_REQUEST_STATE", ".status")
    assert desk.client.delete(f"Task/{stored['id']}").status_code == 409


def test_a_deferral_is_completed_by_a_booked_appointment(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    deferral = desk.task(referral, "APPOINTMENT_DEFERRAL", service)
    deferral["reasonCode"] = concept(WORKFLOW, "BOOKING_ATTEMPT_PROBLEM")
    stored = desk.made(deferral)
    accepted = desk.made(stored | {"status": "accepted"})
    refused(write(accepted | {"status": "completed"}), 422, "required", "MISSING_VALUE", "output")
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    done = desk.read(stored)
    assert done["status"] == "completed"
    assert done["output"][0]["valueReference"] == {"reference": f"Appointment/{booked['id']}"}


def test_a_second_first_appointment_is_a_conflict(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    desk.made(desk.appointment(referral, desk.slot(service)))
    refused(
        write(desk.appointment(referral, desk.slot(service))),
        409,
        "conflict",
        "INVALID_REQUEST_STATE",
    )


@pytest.mark.parametrize(
    ("availability", "code"),
    [("PENDING", "transient"), ("THREATS_FOUND", "security"), ("VALIDATION_FAILED", "invalid")],
)
def test_attachments_are_clean(desk: Desk, write: Any, availability: str, code: str) -> None:
    letter = desk.made(_letter(extension=[{"url": AVAILABILITY, "valueCode": availability}]))
    sent = desk.referral_to(
        desk.service(), supportingInfo=[{"reference": f"DocumentReference/{letter['id']}"}]
    )
    answer = write(sent)
    refused(answer, 422, code, availability, "supportingInfo[0]")
    assert ("Retry-After" in answer.headers) == (code == "transient")


def _letter(referral: dict[str, Any] | None = None, **elements: Any) -> dict[str, Any]:
    made = {
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}],
    }
    if referral is not None:
        made["context"] = {"related": [{"reference": f"ServiceRequest/{referral['id']}"}]}
    return made | elements


def test_the_last_letter_stays_once_the_referral_was_sent(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    letter = desk.made(_letter(referral))
    named = desk.made(_letter())
    desk.made(
        desk.read(referral)
        | {"supportingInfo": [{"reference": f"DocumentReference/{named['id']}"}]}
    )
    desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    assert write(without(desk.read(referral), "supportingInfo")).status_code == 200
    refused(
        write(letter | {"status": "entered-in-error"}),
        422,
        RULE,
        "VALUE_IS_REQUIRED",
        ".status",
    )
    refused(desk.client.delete(f"DocumentReference/{letter['id']}"), 422, RULE, "VALUE_IS_REQUIRED")
    second = desk.made(_letter(referral))
    assert write(letter | {"status": "superseded"}).status_code == 200
    refused(desk.client.delete(f"DocumentReference/{second['id']}"), 422, RULE, "VALUE_IS_REQUIRED")


def test_the_last_letter_that_a_referral_names_stays(desk: Desk, write: Any) -> None:
    service = desk.service()
    letter = desk.made(_letter())
    referral = desk.referral(
        service, supportingInfo=[{"reference": f"DocumentReference/{letter['id']}"}]
    )
    desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    refused(
        write(without(desk.read(referral), "supportingInfo")),
        422,
        RULE,
        "VALUE_IS_REQUIRED",
        "supportingInfo",
    )
    refused(
        write(letter | {"status": "entered-in-error"}), 422, RULE, "VALUE_IS_REQUIRED", ".status"
    )
    gone = ("DELETE", letter)
    for answer in (
        desk.client.delete(f"DocumentReference/{letter['id']}"),
        desk.client.delete("DocumentReference", params={"_id": letter["id"]}),
        desk.transaction(gone),
    ):
        refused(answer, 422, RULE, "VALUE_IS_REQUIRED")
    assert write(letter | {"description": "From the practice"}).status_code == 200
    desk.made(_letter(referral))
    assert desk.transaction(gone).status_code == 200


def test_a_letter_of_a_referral_that_was_not_sent_may_go(desk: Desk) -> None:
    letter = desk.made(_letter())
    named = [{"reference": f"DocumentReference/{letter['id']}"}]
    desk.referral(desk.service(), supportingInfo=named)
    assert desk.client.delete(f"DocumentReference/{letter['id']}").status_code == 204


def test_a_request_for_advice_asks_one_service(desk: Desk, write: Any) -> None:
    service = desk.service()
    both = desk.advice_to(service)
    both["performer"] += [{"reference": f"HealthcareService/{desk.service()['id']}"}]
    refused(write(both), 422, RULE, "TOO_MANY_ITEMS", "performer")
    refused(write(without(both, "performer")), 422, "required", "MISSING_VALUE", "performer")


def test_a_request_for_advice_is_converted_only_with_authorisation(desk: Desk, write: Any) -> None:
    service = desk.service()
    for told in (None, "NOT_AUTHORISED_TO_CONVERT"):
        more = {"extension": [{"url": CONVERSION, "valueCode": told}]} if told else {}
        request = desk.made(desk.advice_to(service, **more))
        referral = desk.referral_to(service, identifier=request["identifier"])
        referral["basedOn"] = [{"reference": f"ServiceRequest/{request['id']}"}]
        refused(write(referral), 403, "forbidden", "FORBIDDEN", "basedOn")
        own = without(referral, "identifier")
        assert write(own).status_code in (
            200,
            201,
        )  # the referrer's own referral, under its own UBRN


def test_what_is_going_on_is_not_deleted(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    refused(
        desk.client.delete(f"ServiceRequest/{referral['id']}"),
        409,
        "conflict",
        "INVALID_REQUEST_STATE",
    )
    quiet = desk.referral(service)
    assert desk.client.delete(f"ServiceRequest/{quiet['id']}").status_code == 204


def test_the_kind_of_a_request_stays(desk: Desk, write: Any) -> None:
    referral = desk.referral(desk.service())
    as_advice = referral | {"code": desk.advice_to(desk.service())["code"]}
    refused(write(as_advice), 422, RULE, "CONFLICTING_VALUES", "code")


def test_a_referral_is_completed_once_nothing_is_ahead(desk: Desk, write: Any) -> None:
    service = desk.service()
    referral = desk.referral(service)
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    refused(
        write(desk.read(referral) | {"status": "completed"}),
        422,
        RULE,
        "INVALID_REQUEST_STATE",
        "status",
    )
    desk.made(booked | {"status": "fulfilled"})
    assert write(desk.read(referral) | {"status": "completed"}).status_code == 200
    assert desk.state(referral) == "COMPLETED"


NO_VALUE = {
    "extension": [
        {
            "url": "http://hl7.org/fhir/StructureDefinition/data-absent-reason",
            "valueCode": "unknown",
        }
    ]
}


@pytest.mark.parametrize("kind", ["referral", "advice", "task", "appointment"])
def test_a_status_has_a_value(desk: Desk, write: Any, kind: str) -> None:
    service = desk.service()
    referral = desk.referral(service)
    sent = {
        "referral": lambda: desk.referral_to(service),
        "advice": lambda: desk.advice_to(service),
        "task": lambda: desk.task(referral, "TRIAGE_DEFERRAL", service),
        "appointment": lambda: desk.appointment(referral, desk.slot(service)),
    }[kind]()
    told = without(sent, "status") | {"_status": NO_VALUE}
    refused(write(told), 422, "required", "MISSING_VALUE", ".status")
    if kind != "appointment":
        stored = desk.made(sent)
        told = without(stored, "status") | {"_status": NO_VALUE}
        refused(write(told), 422, "required", "MISSING_VALUE", ".status")


def test_a_request_for_advice_keeps_its_service(desk: Desk, write: Any) -> None:
    request = desk.made(desk.advice_to(desk.service()))
    refused(write(without(request, "performer")), 422, "required", "MISSING_VALUE", "performer")


def test_tasks_appointments_and_messages_are_about_a_referral_that_is_there(
    desk: Desk, write: Any
) -> None:
    service = desk.service()
    nothing = {"id": "nothing"}
    task = desk.task(nothing, "TRIAGE_DEFERRAL", service)
    refused(write(task), 422, "not-found", "REFERENCE_NOT_FOUND", "focus")
    booking = desk.appointment(nothing, desk.slot(service))
    refused(write(booking), 422, "not-found", "REFERENCE_NOT_FOUND", "basedOn")
    for status in ("completed", "preparation"):
        message = {"resourceType": "Communication", "status": status,
                   "basedOn": [{"reference": "ServiceRequest/nothing"}]}  # fmt: skip
        refused(write(message), 422, "not-found", "REFERENCE_NOT_FOUND", "basedOn")
