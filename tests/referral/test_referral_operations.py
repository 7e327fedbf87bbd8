"""The operations of referrals do what plain writes do, under the same rules, in one act (docs/referrals.md)."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from referral_desk import (
    AVAILABILITY,
    CONVERSION,
    FHIR,
    PATHWAY,
    STATUS_REASON,
    Desk,
    extension,
    refused,
    state_of,
    ubrn_of,
)

from fhir_server.referral.working_days import after

RULE = "business-rule"


def actions(desk: Desk, resource: dict[str, Any]) -> list[str]:
    answer = desk.client.get(f"ServiceRequest/{resource['id']}/$available-actions")
    assert answer.status_code == 200, answer.text
    listed = [item["resource"] for item in answer.json().get("entry", [])]
    assert {(item["intent"], item["status"]) for item in listed} <= {("proposal", "ready")}
    return [item["code"]["coding"][0]["code"] for item in listed]


def in_triage(desk: Desk, **elements: Any) -> dict[str, Any]:
    service = desk.service("REVIEW")
    referral = desk.referral(service, **elements)
    assert desk.operation(referral, "send-for-triage").status_code == 201
    return referral


def test_a_referral_is_sent_for_triage_with_a_due_date(desk: Desk) -> None:
    service = desk.service("REVIEW")
    for priority, days in (("routine", 40), ("urgent", 5), ("asap", 2)):
        referral = desk.referral(service, priority=priority)
        answer = desk.operation(referral, "send-for-triage", comment="Please look")
        task = answer.json()
        assert (answer.status_code, task["resourceType"]) == (201, "Task")
        assert task["note"] == [{"text": "Please look"}]
        made = date.fromisoformat(task["authoredOn"][:10])
        assert task["restriction"]["period"]["end"] == after(made, days).isoformat()
        assert desk.state(referral) == "AWAITING_TRIAGE"
        (targets,) = desk.provenances(referral)
        assert set(targets) == {
            f"Task/{task['id']}/_history/1",
            f"ServiceRequest/{referral['id']}/_history/2",
        }


def test_a_referral_is_deferred(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    refused(desk.operation(referral, "defer"), 422, "required", "MISSING_VALUE")
    slot = desk.slot(service)
    refused(
        desk.operation(referral, "defer", reason="NO_SLOTS_AT_SERVICE"),
        422,
        RULE,
        "SLOTS_CURRENTLY_AVAILABLE",
    )
    named = {"reference": f"Slot/{slot['id']}"}
    refused(
        desk.operation(referral, "defer", reason="SLOT_NOT_AVAILABLE", slot=named),
        422, RULE, "THIS_SLOT_IS_AVAILABLE",
    )  # fmt: skip
    desk.made(slot | {"status": "busy-unavailable"})
    assert (
        desk.operation(referral, "defer", reason="SLOT_NOT_AVAILABLE", slot=named).status_code
        == 201
    )
    assert desk.state(referral) == "DEFERRED_TO_PROVIDER"
    desk.made(desk.appointment(referral, desk.slot(service)))
    assert desk.state(referral) == "BOOKED"


def test_an_outcome_accepts_and_may_change_the_priority_in_one_act(desk: Desk) -> None:
    referral = in_triage(desk)
    refused(
        desk.operation(referral, "record-outcome", outcome="ACCEPT"),
        422,
        "required",
        "MISSING_VALUE",
    )
    answer = desk.operation(
        referral, "record-outcome", outcome="ACCEPT", comment="Agreed", priority="URGENT"
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["priority"], state_of(answer.json())) == (
        "urgent",
        "TRIAGED_PROVIDER_TO_ACTION",
    )
    (triage,) = desk.tasks(referral, "TRIAGE_DEFERRAL")
    (rebook,) = desk.tasks(referral, "REBOOK_REFER")
    (targets,) = desk.provenances(rebook)
    assert {item.split("/_history")[0] for item in targets} == {
        f"Task/{triage['id']}", f"Task/{rebook['id']}", f"ServiceRequest/{referral['id']}",
    }  # fmt: skip


def test_an_outcome_returns_with_advice_without_another_priority(desk: Desk) -> None:
    referral = in_triage(desk)
    send = {"outcome": "RETURN_WITH_ADVICE", "comment": "Diet first"}
    refused(
        desk.operation(referral, "record-outcome", **send, priority="urgent"),
        422,
        RULE,
        "PRIORITY_NOT_CURRENT",
    )
    assert desk.state(referral) == "AWAITING_TRIAGE"
    answer = desk.operation(referral, "record-outcome", **send, priority="routine")
    assert state_of(answer.json()) == "TRIAGE_RESPONSE"
    refused(desk.operation(referral, "record-outcome", **send), 422, RULE, "INVALID_REQUEST_STATE")


def test_an_outcome_rejects_a_booking(desk: Desk) -> None:
    service = desk.service()
    referral, slot = desk.referral(service), desk.slot(service)
    booked = desk.made(desk.appointment(referral, slot))
    refused(
        desk.operation(referral, "record-outcome", outcome="REJECT"),
        422,
        "required",
        "MISSING_VALUE",
    )
    refused(
        desk.operation(referral, "record-outcome", outcome="REJECT", reason="PATIENT_ILL"),
        422, RULE, "INAPPROPRIATE_VALUE",
    )  # fmt: skip
    answer = desk.operation(
        referral, "record-outcome", outcome="REJECT", reason="SERVICE_INAPPROPRIATE"
    )
    assert state_of(answer.json()) == "REJECTED"
    assert (desk.read(booked)["status"], desk.read(slot)["status"]) == ("cancelled", "free")


def test_an_outcome_accepts_a_booking(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    desk.made(desk.appointment(referral, desk.slot(service)))
    answer = desk.operation(referral, "record-outcome", outcome="ACCEPT")
    assert state_of(answer.json()) == "BOOKED"
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["accepted"]


def test_an_outcome_books_at_once(desk: Desk) -> None:
    referral = in_triage(desk)
    service = {"id": referral["performer"][0]["reference"].split("/")[1]}
    slot = desk.slot(service)
    send = {"outcome": "REFER_OR_BOOK_NOW", "comment": "At once"}
    named = {"reference": f"Slot/{slot['id']}"}
    answer = desk.operation(referral, "record-outcome", **send, slot=named)
    assert answer.status_code == 200, answer.text
    assert state_of(answer.json()) == "BOOKED"
    assert desk.read(slot)["status"] == "busy"
    assert [item["status"] for item in desk.tasks(referral, "REBOOK_REFER")] == ["completed"]


def test_an_outcome_refers_on_and_the_clock_goes_on(desk: Desk) -> None:
    referral = in_triage(desk)
    other = desk.service()
    send = {"outcome": "REFER_OR_BOOK_NOW", "comment": "Theirs"}
    closed = {"reference": f"HealthcareService/{desk.service(active=False)['id']}"}
    refused(
        desk.operation(referral, "record-outcome", **send, service=closed),
        422,
        RULE,
        "SERVICE_UNAVAILABLE",
    )
    assert desk.state(referral) == "AWAITING_TRIAGE"  # nothing of it has happened
    named = {"reference": f"HealthcareService/{other['id']}"}
    answer = desk.operation(referral, "record-outcome", **send, service=named)
    assert state_of(answer.json()) == "COMPLETED", answer.text
    found = desk.client.get(
        "ServiceRequest", params={"based-on": f"ServiceRequest/{referral['id']}"}
    ).json()
    (onward,) = [item["resource"] for item in found["entry"]]
    assert (state_of(onward), onward["performer"]) == ("NOT_BOOKED", [named])
    assert extension(onward, PATHWAY) == extension(referral, PATHWAY)
    assert ubrn_of(onward) != ubrn_of(referral)
    assert {item["status"] for item in desk.tasks(referral)} == {"cancelled", "accepted"}


def test_an_outcome_adds_documents_that_are_clean(desk: Desk) -> None:
    referral = in_triage(desk)
    letter = {"resourceType": "DocumentReference", "status": "current",
              "content": [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}]}  # fmt: skip
    waiting = desk.made(letter | {"extension": [{"url": AVAILABILITY, "valueCode": "PENDING"}]})
    clean = {"reference": f"DocumentReference/{desk.made(letter)['id']}"}
    send = {"outcome": "ACCEPT", "comment": "See the letter"}
    named = {"reference": f"DocumentReference/{waiting['id']}"}
    refused(
        desk.operation(referral, "record-outcome", **send, document=named),
        422,
        "transient",
        "PENDING",
    )
    answer = desk.operation(referral, "record-outcome", **send, document=clean)
    assert answer.json()["supportingInfo"] == [clean]


def test_a_referral_is_cancelled_once(desk: Desk) -> None:
    service = desk.service()
    referral, slot = desk.referral(service), desk.slot(service)
    booked = desk.made(desk.appointment(referral, slot))
    refused(desk.operation(referral, "cancel"), 422, "required", "MISSING_VALUE")
    refused(
        desk.operation(referral, "cancel", reason="TRIAGE_ENDED"), 422, RULE, "INAPPROPRIATE_VALUE"
    )
    answer = desk.operation(referral, "cancel", reason="PATIENT_DIED", comment="On Monday")
    assert (answer.status_code, state_of(answer.json())) == (200, "CANCELLED_REFERRAL")
    assert extension(answer.json(), STATUS_REASON) is not None
    assert (desk.read(booked)["status"], desk.read(slot)["status"]) == ("cancelled", "free")
    again = desk.operation(referral, "cancel", reason="PATIENT_DIED")
    assert (again.status_code, again.json()) == (200, answer.json())


def test_the_actions_are_those_of_the_state(desk: Desk) -> None:
    service = desk.service()
    referral = desk.referral(service)
    assert actions(desk, referral) == ["shortlist", "book", "defer", "triage", "cancel"]
    booked = desk.made(desk.appointment(referral, desk.slot(service)))
    assert actions(desk, referral) == ["record-outcome", "cancel-appointment", "cancel"]
    desk.operation(referral, "record-outcome", outcome="ACCEPT")
    assert actions(desk, referral) == ["cancel-appointment", "cancel"]
    desk.made(booked | {"status": "cancelled"})
    assert actions(desk, referral) == ["shortlist", "book", "defer", "triage", "cancel"]
    desk.operation(referral, "cancel", reason="PATIENT_DIED")
    assert actions(desk, referral) == []


def test_an_operation_names_what_it_is_about(desk: Desk) -> None:
    assert desk.operation({"id": "nothing"}, "cancel").status_code == 404
    plain = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "subject": desk.patient,
    }
    order = desk.made(plain)
    for code in ("cancel", "defer", "send-for-triage", "convert-advice"):
        refused(desk.operation(order, code), 422, RULE, "INVALID_REQUEST_STATE")
    assert desk.read(order) == order
    answer = desk.client.get(f"ServiceRequest/{order['id']}/$cancel")
    assert answer.status_code == 405


def test_an_operation_sent_again_under_its_key_happens_once(desk: Desk) -> None:
    referral = desk.referral(desk.service("REVIEW"))
    send = {
        "url": f"ServiceRequest/{referral['id']}/$send-for-triage",
        "json": {"resourceType": "Parameters"},
        "headers": FHIR | {"Idempotency-Key": f"key-{desk.number}"},
    }
    first, second = desk.client.post(**send), desk.client.post(**send)
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json() == second.json()
    assert len(desk.tasks(referral)) == 1


def test_an_operation_within_a_transaction_is_undone_with_it(desk: Desk) -> None:
    referral = desk.referral(desk.service("REVIEW"))
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {"resource": {"resourceType": "Parameters"},
             "request": {"method": "POST", "url": f"ServiceRequest/{referral['id']}/$send-for-triage"}},
            {"resource": desk.referral_to(desk.service(active=False)),
             "request": {"method": "POST", "url": "ServiceRequest"}},
        ],
    }  # fmt: skip
    refused(desk.client.post("", json=bundle, headers=FHIR), 422, RULE, "SERVICE_UNAVAILABLE")
    assert desk.state(referral) == "NOT_BOOKED"
    assert desk.tasks(referral) == []


def _turn(desk: Desk, request: dict[str, Any]) -> Any:
    (turn,) = [item for item in desk.tasks(request, "ADVICE_TURN") if item["status"] == "requested"]
    return turn["owner"]


def _message(
    desk: Desk, request: dict[str, Any], sender: dict[str, Any] | None, **elements: Any
) -> Any:
    made = {
        "resourceType": "Communication",
        "status": "completed",
        "basedOn": [{"reference": f"ServiceRequest/{request['id']}"}],
        "payload": [{"contentString": "What about the dose?"}],
    }
    return desk.post(made | ({"sender": sender} if sender else {}) | elements)


def test_a_conversation_tells_whose_turn_it_is(desk: Desk) -> None:
    request = desk.made(desk.advice_to(desk.service("ADVICE_AND_GUIDANCE")))
    service = request["performer"][0]
    assert state_of(request) is None
    assert extension(request, PATHWAY) is None
    assert _turn(desk, request) == service
    assert _message(desk, request, service).status_code == 201
    assert _turn(desk, request) == desk.requester
    assert _message(desk, request, desk.requester).status_code == 201
    assert _turn(desk, request) == service
    draft = _message(desk, request, service, status="in-progress").json()
    assert _turn(desk, request) == service
    desk.made(draft | {"status": "completed"})
    assert _turn(desk, request) == desk.requester
    assert _message(desk, request, None).status_code == 201
    assert _turn(desk, request) == service
    assert actions(desk, request) == ["reply", "cancel"]
    answer = desk.operation(request, "cancel")
    assert answer.status_code == 200, answer.text
    refused(_message(desk, request, service), 422, RULE, "INVALID_REQUEST_STATE")
    assert [item["status"] for item in desk.tasks(request)] == ["cancelled"]


def test_advice_becomes_a_referral_under_its_ubrn(desk: Desk) -> None:
    service = desk.service("ADVICE_AND_GUIDANCE")
    plain = desk.made(desk.advice_to(service))
    refused(desk.operation(plain, "convert-advice"), 403, "forbidden", "FORBIDDEN")
    allowed = {"extension": [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]}
    request = desk.made(desk.advice_to(service, **allowed))
    assert actions(desk, request) == ["reply", "convert", "cancel"]
    answer = desk.operation(
        request, "convert-advice", guidance="We shall see her", priority="urgent"
    )
    referral = answer.json()
    assert answer.status_code == 201, answer.text
    assert ubrn_of(referral) == ubrn_of(request)
    assert (state_of(referral), referral["priority"]) == ("TRIAGED_PROVIDER_TO_ACTION", "urgent")
    assert desk.read(request)["status"] == "completed"
    assert [item["status"] for item in desk.tasks(request)] == ["completed"]
    assert [item["status"] for item in desk.tasks(referral, "REBOOK_REFER")] == ["requested"]
    refused(desk.operation(request, "convert-advice"), 422, RULE, "INVALID_REQUEST_STATE")
    (targets,) = desk.provenances(referral)
    assert len(targets) >= 5


@pytest.mark.parametrize(
    "code",
    ["defer", "send-for-triage", "record-outcome", "convert-advice", "cancel", "available-actions"],
)
def test_every_operation_is_defined_and_declared(desk: Desk, code: str) -> None:
    definition = desk.client.get(f"OperationDefinition/ServiceRequest-{code}")
    assert definition.status_code == 200
    assert definition.json()["code"] == code
    (rest,) = desk.client.get("metadata").json()["rest"]
    (told,) = [item for item in rest["resource"] if item["type"] == "ServiceRequest"]
    assert code in [item["name"] for item in told["operation"]]
