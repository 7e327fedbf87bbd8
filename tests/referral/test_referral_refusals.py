"""The rules that only somebody meets who does what nobody should: each is needed, as the mutants show."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from referral_desk import (
    AVAILABILITY,
    CONVERSION,
    PATHWAY,
    PRIORITY,
    STATE,
    STOP,
    TASKS,
    WORKFLOW,
    Desk,
    concept,
    extension,
    refused,
    revoked,
    state_of,
    with_extension,
)

RULE = "business-rule"


def reference(resource: dict[str, Any]) -> dict[str, str]:
    return {"reference": f"{resource['resourceType']}/{resource['id']}"}


def in_triage(desk: Desk, **elements: Any) -> dict[str, Any]:
    referral = desk.referral(desk.service(), **elements)
    assert desk.operation(referral, "send-for-triage").status_code == 201
    return desk.read(referral)


def test_the_stop_of_the_clock_stays(desk: Desk) -> None:
    over = desk.made(revoked(desk.referral(desk.service())))
    other = [{"url": "instant", "valueInstant": "2026-01-01T09:00:00Z"},
             {"url": "reason", "valueCodeableConcept": {"text": "Treated"}}]  # fmt: skip
    refused(desk.put(with_extension(over, STOP, extension=other)), 422, RULE, "STATE_IS_DERIVED")
    assert extension(desk.made(with_extension(over, STOP)), STOP) == extension(over, STOP)


def test_the_state_tells_why(desk: Desk) -> None:
    over = desk.made(revoked(desk.referral(desk.service())))
    parts = {item["url"]: item for item in extension(over, STATE)["extension"]}
    (coding,) = parts["reason"]["valueCodeableConcept"]["coding"]
    assert coding["code"] == "PATIENT_DIED"


def test_a_letter_that_is_named_is_there(desk: Desk) -> None:
    named = [{"reference": "DocumentReference/nothing"}]
    sent = desk.referral_to(desk.service(), supportingInfo=named)
    refused(desk.post(sent), 422, "not-found", "REFERENCE_NOT_FOUND", "supportingInfo[0]")


def test_a_service_that_went_or_closed_is_not_sent_anything(desk: Desk) -> None:
    gone, closed = desk.service(), desk.service()
    referral = desk.referral(gone, closed)
    reason = concept(WORKFLOW, "BOOKING_ATTEMPT_PROBLEM")
    desk.made(closed | {"active": False})
    assert desk.client.delete(f"HealthcareService/{gone['id']}").status_code == 204
    for service, code, rule in (
        (gone, "not-found", "REFERENCE_NOT_FOUND"),
        (closed, RULE, "SERVICE_UNAVAILABLE"),
    ):
        task = desk.task(referral, "APPOINTMENT_DEFERRAL", service, reasonCode=reason)
        refused(desk.post(task), 422, code, rule, "owner")


def test_a_task_keeps_its_code_and_its_referral(desk: Desk) -> None:
    service = desk.service()
    referral, other = desk.referral(service), desk.referral(service)
    task = desk.made(desk.task(referral, "LETTER_OUTSTANDING", service))
    changed = task | {"code": concept(TASKS, "CANCEL_IN_PAS")}
    refused(desk.put(changed), 422, RULE, "CONFLICTING_VALUES", "code")
    refused(desk.put(task | {"focus": reference(other)}), 422, RULE, "CONFLICTING_VALUES", "focus")


def test_nothing_is_asked_about_a_referral_that_is_over(desk: Desk) -> None:
    over = desk.made(revoked(desk.referral(desk.service())))
    task = desk.task(over, "LETTER_OUTSTANDING", desk.service())
    refused(desk.post(task), 422, RULE, "INVALID_REQUEST_STATE", "focus")


def test_a_deferral_and_its_booking_in_one_bundle_make_one_version_of_the_referral(
    desk: Desk,
) -> None:
    service = desk.service()
    referral, slot = desk.referral(service), desk.slot(service)
    reason = concept(WORKFLOW, "BOOKING_ATTEMPT_PROBLEM")
    task = desk.task(referral, "APPOINTMENT_DEFERRAL", service, reasonCode=reason)
    answer = desk.transaction(("POST", task), ("POST", desk.appointment(referral, slot)))
    assert answer.status_code == 200, answer.text
    stored = desk.read(referral)
    assert (state_of(stored), stored["meta"]["versionId"]) == ("BOOKED", "2")
    (deferral,) = desk.tasks(referral, "APPOINTMENT_DEFERRAL")
    assert deferral["status"] == "completed"


def test_a_request_for_advice_that_is_no_draft_any_more_gives_the_service_its_turn(
    desk: Desk,
) -> None:
    draft = desk.made(desk.advice_to(desk.service(), status="draft"))
    assert desk.tasks(draft) == []
    desk.made(draft | {"status": "active"})
    (turn,) = desk.tasks(draft, "ADVICE_TURN")
    assert turn["owner"] == draft["performer"][0]


def test_a_message_gives_the_turn_again_after_somebody_has_ended_it(desk: Desk) -> None:
    request = desk.made(desk.advice_to(desk.service()))
    (turn,) = desk.tasks(request, "ADVICE_TURN")
    desk.made(turn | {"status": "completed"})
    message = {"resourceType": "Communication", "status": "completed",
               "basedOn": [reference(request)], "sender": request["performer"][0]}  # fmt: skip
    desk.made(message)
    waiting = [item for item in desk.tasks(request, "ADVICE_TURN") if item["status"] == "requested"]
    assert [item["owner"] for item in waiting] == [request["requester"]]


def test_a_displaced_appointment_and_its_referral_are_told_by_one_provenance(desk: Desk) -> None:
    service = desk.service()
    referral, slot = desk.referral(service), desk.slot(service)
    booked = desk.made(desk.appointment(referral, slot))
    answer = desk.put(desk.read(slot) | {"status": "free"}, Prefer="handling=lenient")
    assert answer.status_code == 200, answer.text
    wanted = {
        f"{item['resourceType']}/{item['id']}/_history/{desk.read(item)['meta']['versionId']}"
        for item in (referral, booked)
    }
    assert any(wanted <= set(targets) for targets in desk.provenances(booked))


def test_an_operation_of_what_was_deleted_is_410(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    assert desk.client.delete(f"ServiceRequest/{referral['id']}").status_code == 204
    assert desk.operation(referral, "cancel", reason="PATIENT_DIED").status_code == 410


@pytest.mark.parametrize(
    ("given", "code"),
    [
        ({"outcome": "PERHAPS"}, "invalid"),
        ({"outcome": "ACCEPT", "priority": "soon"}, "invalid"),
        ({"outcome": "REFER_OR_BOOK_NOW"}, "required"),
        ({"outcome": "REFER_OR_BOOK_NOW", "slot": "Slot/1", "service": "1"}, "required"),
    ],
)
def test_an_outcome_that_cannot_be_read_is_400(desk: Desk, given: Any, code: str) -> None:
    referral = in_triage(desk)
    answer = desk.operation(referral, "record-outcome", comment="x", **given)
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (400, code)
    assert desk.read(referral) == referral


def test_an_outcome_books_a_slot_that_is_there(desk: Desk) -> None:
    referral = in_triage(desk)
    given = {"outcome": "REFER_OR_BOOK_NOW", "comment": "x", "slot": "Slot/nothing"}
    answer = desk.operation(referral, "record-outcome", **given)
    refused(answer, 422, "not-found", "REFERENCE_NOT_FOUND")
    assert desk.read(referral) == referral


def test_the_actions_have_no_parameters(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    answer = desk.client.get(f"ServiceRequest/{referral['id']}/$available-actions?who=me")
    assert answer.status_code == 400


def test_what_an_operation_writes_is_valid(desk: Desk) -> None:
    service = desk.service()
    authorised = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    request, slot = desk.made(desk.advice_to(service, extension=authorised)), desk.slot(service)
    answer = desk.operation(request, "convert-advice", service=f"Slot/{slot['id']}")
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (
        422,
        ["ServiceRequest.performer[0]"],
    )
    referral = in_triage(desk)
    given = {
        "outcome": "RETURN_WITH_ADVICE",
        "comment": "x",
        "reason": {"coding": [{"display": 5}]},
    }
    answer = desk.operation(referral, "record-outcome", **given)
    assert (answer.status_code, answer.json()["issue"][0]["expression"]) == (
        400,
        ["Task.statusReason.coding[0].display"],
    )
    assert desk.read(referral) == referral


def test_an_outcome_changes_both_priorities(desk: Desk) -> None:
    coding = {"system": "https://fhir.nhs.uk/CodeSystem/eRS-Priority", "code": "ROUTINE"}
    referral = in_triage(desk, extension=[{"url": PRIORITY, "valueCoding": coding}])
    given = {"outcome": "ACCEPT", "comment": "x", "priority": "urgent"}
    assert desk.operation(referral, "record-outcome", **given).status_code == 200
    stored = desk.read(referral)
    assert stored["priority"] == "urgent"
    assert extension(stored, PRIORITY)["valueCoding"]["code"] == "URGENT"


def test_a_referral_that_was_a_question_keeps_the_start_of_its_clock(desk: Desk) -> None:
    start = (datetime.now(UTC) - timedelta(days=9)).isoformat(timespec="seconds")
    told = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"},
            {"url": PATHWAY, "valueInstant": start}]  # fmt: skip
    request = desk.made(desk.advice_to(desk.service(), extension=told))
    answer = desk.operation(request, "convert-advice")
    assert answer.status_code == 201, answer.text
    assert extension(answer.json(), PATHWAY)["valueInstant"] == start


def test_a_task_that_is_sent_gets_the_day_by_which_it_is_to_be_done(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    task = desk.made(desk.task(referral, "TRIAGE_DEFERRAL", service))
    assert task["restriction"]["period"]["end"] > datetime.now(UTC).isoformat()


def test_an_operation_sends_to_services_that_take_it(desk: Desk) -> None:
    review, bookable = desk.service("REVIEW"), desk.service("BOOKABLE")
    referral = desk.referral(review, bookable)
    for service in (bookable, desk.service("REVIEW")):  # it does not triage; it is not asked
        answer = desk.operation(referral, "send-for-triage", service=service["id"])
        refused(answer, 422, RULE, "INAPPROPRIATE_VALUE", "owner")
    booking = desk.appointment(referral, desk.slot(review))
    parameter = {"name": "appointment-resource", "resource": booking}
    body = {"resourceType": "Parameters", "parameter": [parameter]}
    answer = desk.client.post("Appointment/$book", json=body)
    (entry,) = answer.json()["entry"]
    (issue,) = entry["resource"]["issue"]
    assert (answer.status_code, issue["code"]) == (422, RULE)
    assert issue["details"]["coding"][1]["code"] == "INAPPROPRIATE_VALUE"
    assert state_of(desk.read(referral)) == "NOT_BOOKED"


def test_a_conversion_names_services_as_a_shortlist_does(desk: Desk) -> None:
    authorised = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    request = desk.made(desk.advice_to(desk.service(), extension=authorised))
    once, closed = desk.service()["id"], desk.service(active=False)["id"]
    for services, code, rule in (
        ([once] * 2, "duplicate", "DUPLICATE_SERVICE"),
        ([once, closed], RULE, "SERVICE_UNAVAILABLE"),
        ([once, "nowhere"], "not-found", "REFERENCE_NOT_FOUND"),
        ([f"s-{number}" for number in range(21)], RULE, "TOO_MANY_ITEMS"),
    ):
        listed = [{"name": "service", "valueString": item} for item in services]
        body = {"resourceType": "Parameters", "parameter": listed}
        answer = desk.client.post(f"ServiceRequest/{request['id']}/$convert-advice", json=body)
        refused(answer, 422, code, rule, "performer[1]" if len(services) == 2 else "performer")
    assert desk.read(request) == request


@pytest.mark.parametrize(
    ("availability", "code"), [("THREATS_FOUND", "security"), ("VALIDATION_FAILED", "invalid")]
)
def test_an_outcome_adds_no_document_that_is_not_clean(
    desk: Desk, availability: str, code: str
) -> None:
    referral = in_triage(desk)
    content = [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}]
    told = [{"url": AVAILABILITY, "valueCode": availability}]
    letter = desk.made({"resourceType": "DocumentReference", "status": "current",
                        "content": content, "extension": told})  # fmt: skip
    given = {"outcome": "ACCEPT", "comment": "x", "document": reference(letter)}
    answer = desk.operation(referral, "record-outcome", **given)
    refused(answer, 422, code, availability, "supportingInfo[0]")
    assert desk.read(referral) == referral
