"""What each function of the e-Referral Service does is done here by a plain R4 request (docs/e-rs.md)."""

from __future__ import annotations

import base64
import re
import sys
from pathlib import Path
from typing import Any

import httpx
from referral_desk import (
    APPOINTMENT_REASONS,
    CONVERSION,
    FHIR,
    REFERRAL_REASONS,
    UBRN,
    Desk,
    concept,
    refused,
    state_of,
    ubrn_of,
)

PAGE = Path(__file__).resolve().parents[2] / "docs" / "e-rs.md"
RULE = "business-rule"
NUMBERS = (4, 5, 6, 7, 8, *range(10, 17), *range(19, 39), *range(40, 45))


def test_the_page_and_the_tests_have_every_function_once() -> None:
    expected = [f"A{number:03}" for number in NUMBERS]
    assert len(expected) == 37
    rows = re.findall(r"^\| (A\d{3}) \|", PAGE.read_text("utf-8"), re.MULTILINE)
    assert rows == expected
    names = [name for name in vars(sys.modules[__name__]) if re.match(r"test_a\d{3}_", name)]
    assert sorted(name[5:9].upper() for name in names) == expected


def found(desk: Desk, query: str) -> list[dict[str, Any]]:
    """The matches of a search."""
    answer = desk.client.get(query)
    assert answer.status_code == 200, answer.text
    entries = answer.json().get("entry", [])
    return [item["resource"] for item in entries if item["search"]["mode"] == "match"]


def ids(desk: Desk, query: str) -> set[str]:
    return {item["id"] for item in found(desk, query)}


def booked(desk: Desk) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A referral, its booked Appointment, and the Slot."""
    service = desk.service("BOOKABLE")
    referral, slot = desk.referral(service), desk.slot(service)
    return referral, desk.made(desk.appointment(referral, slot)), slot


def asked(desk: Desk, **elements: Any) -> dict[str, Any]:
    """A request for advice."""
    return desk.made(desk.advice_to(desk.service("ADVICE_AND_GUIDANCE"), **elements))


def said(desk: Desk, request: dict[str, Any], sender: dict[str, Any], text: str) -> httpx.Response:
    return desk.post({
        "resourceType": "Communication",
        "status": "completed",
        "basedOn": [{"reference": f"ServiceRequest/{request['id']}"}],
        "sender": sender,
        "payload": [{"contentString": text}],
    })  # fmt: skip


def letter(desk: Desk, referral: dict[str, Any]) -> dict[str, Any]:
    return desk.made({
        "resourceType": "DocumentReference",
        "status": "current",
        "content": [{"attachment": {"contentType": "text/plain", "data": "SGVsbG8="}}],
        "context": {"related": [{"reference": f"ServiceRequest/{referral['id']}"}]},
    })  # fmt: skip


def pdf(desk: Desk, resource: dict[str, Any], kind: str) -> None:
    answer = desk.client.get(
        f"ServiceRequest/{resource['id']}/$document",
        params={"type": kind},
        headers={"Accept": "application/pdf"},
    )
    assert (answer.status_code, answer.content[:5]) == (200, b"%PDF-"), answer.text


def performer_of(*services: dict[str, Any]) -> dict[str, Any]:
    """A FHIRPath Patch that replaces the shortlist."""
    parts = [
        {"name": "type", "valueCode": "delete"},
        {"name": "path", "valueString": "ServiceRequest.performer[0]"},
    ]
    operations = [{"name": "operation", "part": parts}]
    for service in services:
        value = {"reference": f"HealthcareService/{service['id']}"}
        added = [
            {"name": "type", "valueCode": "add"},
            {"name": "path", "valueString": "ServiceRequest"},
            {"name": "name", "valueString": "performer"},
            {"name": "value", "valueReference": value},
        ]
        operations.append({"name": "operation", "part": added})
    return {"resourceType": "Parameters", "parameter": operations}


def test_a004_reference_data_are_code_systems_with_properties(desk: Desk) -> None:
    (stored,) = found(desk, f"CodeSystem?url={REFERRAL_REASONS}")
    assert len(stored["concept"]) == 18
    query = {"system": APPOINTMENT_REASONS, "code": "PATIENT_OTHER_ENGAGEMENT"}
    looked = desk.client.get(
        "CodeSystem/$lookup", params=query | {"property": "commentIsMandatory"}
    )
    assert looked.status_code == 200, looked.text
    assert "commentIsMandatory" in looked.text


def test_a005_a_referral_is_read_in_every_version_with_what_belongs_to_it(desk: Desk) -> None:
    referral, appointment, _ = booked(desk)
    assert desk.state(referral) == "BOOKED"
    first = desk.client.get(f"ServiceRequest/{referral['id']}/_history/1").json()
    assert state_of(first) == "NOT_BOOKED"
    query = f"ServiceRequest?_id={referral['id']}&_revinclude=Appointment:based-on"
    listed = [item["resource"]["id"] for item in desk.client.get(query).json()["entry"]]
    assert listed == [referral["id"], appointment["id"]]


def uploaded(desk: Desk) -> str:
    answer = desk.client.post("Binary", content=b"Dear", headers={"Content-Type": "text/plain"})
    assert answer.status_code == 201, answer.text
    location: str = answer.headers["Location"]
    return location.split("/_history")[0].rpartition("/")[2]


def test_a006_an_attachment_is_read_as_a_resource(desk: Desk) -> None:
    headers = {"Accept": "application/fhir+json"}
    read = desk.client.get(f"Binary/{uploaded(desk)}", headers=headers).json()
    assert (read["contentType"], base64.b64decode(read["data"])) == ("text/plain", b"Dear")


def test_a007_the_clinical_summary_of_a_referral_is_a_document(desk: Desk) -> None:
    pdf(desk, desk.referral(desk.service()), "summary")


def test_a008_worklists_are_searches(desk: Desk) -> None:
    referral, appointment, _ = booked(desk)
    owner = desk.read(referral)["performer"][0]["reference"]
    (review,) = found(desk, f"Task?code=REVIEW&status=requested&owner={owner}&_sort=due")
    assert review["reasonReference"] == {"reference": f"Appointment/{appointment['id']}"}
    returned = "ServiceRequest?referral-state=REJECTED,TRIAGE_RESPONSE"
    assert referral["id"] not in ids(desk, f"{returned}&subject={desk.patient['reference']}")
    desk.operation(referral, "record-outcome", outcome="REJECT", reason="OTHER")
    assert ids(desk, f"{returned}&subject={desk.patient['reference']}") == {referral["id"]}


def test_a010_services_are_found_for_a_patient(desk: Desk) -> None:
    specialty = [concept("https://example.org/specialty", f"s-{desk.number}")]
    service = desk.service("BOOKABLE", specialty=specialty)
    desk.service("REVIEW", specialty=specialty)
    query = f"HealthcareService/$find-for-referral?specialty=s-{desk.number}"
    assert ids(desk, f"{query}&type=appointment&sort=wait") == {service["id"]}


def test_a011_a_referral_is_created_with_a_shortlist_of_up_to_twenty(desk: Desk) -> None:
    services = [desk.service() for _ in range(21)]
    made = desk.referral(*services[:20])
    assert (state_of(made), len(ubrn_of(made))) == ("NOT_BOOKED", 12)
    refused(desk.post(desk.referral_to(*services)), 422, RULE, "TOO_MANY_ITEMS")


def test_a012_letters_are_added_and_replaced_but_the_last_stays(desk: Desk) -> None:
    referral = desk.referral(desk.service("REVIEW"))
    old = letter(desk, referral)
    assert desk.operation(referral, "send-for-triage").status_code == 201
    gone = f"DocumentReference/{old['id']}"
    refused(desk.client.delete(gone), 422, RULE, "VALUE_IS_REQUIRED")
    new = letter(desk, referral)
    assert desk.client.delete(gone).status_code == 204
    query = f"DocumentReference?related=ServiceRequest/{referral['id']}"
    assert ids(desk, query) == {new["id"]}


def test_a013_a_booked_referral_is_accepted(desk: Desk) -> None:
    referral, _, _ = booked(desk)
    answer = desk.operation(referral, "record-outcome", outcome="ACCEPT")
    assert (answer.status_code, state_of(answer.json())) == (200, "BOOKED")
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["accepted"]


def test_a014_a_booked_referral_is_rejected_and_its_slot_is_free(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    answer = desk.operation(
        referral, "record-outcome", outcome="REJECT", reason="SERVICE_INAPPROPRIATE"
    )
    assert (answer.status_code, state_of(answer.json())) == (200, "REJECTED")
    assert (desk.read(appointment)["status"], desk.read(slot)["status"]) == ("cancelled", "free")


def test_a015_free_slots_of_a_service_are_searched_by_date_too(desk: Desk) -> None:
    service = desk.service("BOOKABLE")
    first, second = desk.slot(service), desk.slot(service)
    desk.made(second | {"status": "busy-unavailable"})
    query = f"Slot?schedule.actor=HealthcareService/{service['id']}&status=free"
    assert ids(desk, f"{query}&start=ge2036-01-01&_sort=start&_count=100") == {first["id"]}
    assert ids(desk, f"{query}&start=lt2036-01-01") == set()


def test_a016_a_slot_is_booked_or_the_referral_is_deferred_or_sent_for_triage(desk: Desk) -> None:
    referral, _, slot = booked(desk)
    assert (desk.state(referral), desk.read(slot)["status"]) == ("BOOKED", "busy")
    deferred = desk.referral(desk.service("BOOKABLE"))
    assert desk.operation(deferred, "defer", reason="NO_SLOTS_AT_SERVICE").status_code == 201
    assert desk.state(deferred) == "DEFERRED_TO_PROVIDER"
    triaged = desk.referral(desk.service("REVIEW"))
    assert desk.operation(triaged, "send-for-triage").status_code == 201
    assert desk.state(triaged) == "AWAITING_TRIAGE"


def test_a019_the_letter_to_the_patient_is_a_document(desk: Desk) -> None:
    pdf(desk, booked(desk)[0], "patient-letter")


def test_a020_a_file_is_uploaded_as_it_is(desk: Desk) -> None:
    assert uploaded(desk)


def test_a021_a_referral_is_created_and_sent_for_triage_in_one_transaction(desk: Desk) -> None:
    service = desk.service("REVIEW")
    referral = desk.referral_to(service) | {"id": f"a021-{desk.number}"}
    task = desk.task(referral, "TRIAGE_DEFERRAL", service)
    answer = desk.transaction(("PUT", referral), ("POST", task))
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "AWAITING_TRIAGE"


def test_a022_a_booking_is_cancelled_for_the_provider_to_act_on_later(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    reason = concept(APPOINTMENT_REASONS, "PROVIDER_CANCELLATION")
    cancelled = {"status": "cancelled", "cancelationReason": reason, "comment": "Theatre closed"}
    task = desk.task(referral, "REBOOK_REFER") | {"owner": desk.provider}
    answer = desk.transaction(("PUT", appointment | cancelled), ("POST", task))
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "TRIAGED_PROVIDER_TO_ACTION"
    assert desk.read(slot)["status"] == "free"


def test_a023_the_requests_for_advice_that_wait_for_a_side_are_a_search(desk: Desk) -> None:
    request = asked(desk)
    service, query = request["performer"][0], "Task?code=ADVICE_TURN&status=requested&owner="
    (turn,) = found(desk, query + service["reference"])
    assert turn["focus"] == {"reference": f"ServiceRequest/{request['id']}"}
    assert said(desk, request, service, "Rest").status_code == 201
    assert found(desk, query + service["reference"]) == []
    assert ids(desk, query + desk.requester["reference"]) == {turn["id"]}


def test_a024_a_request_for_advice_is_read(desk: Desk) -> None:
    request = asked(desk)
    assert (
        desk.read(request) == desk.client.get(f"ServiceRequest/{request['id']}/_history/1").json()
    )


def test_a025_the_conversation_is_a_search(desk: Desk) -> None:
    request = asked(desk)
    made = said(desk, request, desk.requester, "What dose?").json()
    query = f"Communication?based-on=ServiceRequest/{request['id']}&_include=Communication:sender"
    assert ids(desk, query) == {made["id"]}


def test_a026_an_answer_gives_the_turn_to_the_requester(desk: Desk) -> None:
    request = asked(desk)
    assert said(desk, request, request["performer"][0], "Five milligrams").status_code == 201
    (turn,) = desk.tasks(request, "ADVICE_TURN")
    assert turn["owner"] == desk.requester


def test_a027_advice_is_converted_under_its_ubrn_if_that_was_allowed(desk: Desk) -> None:
    refused(desk.operation(asked(desk), "convert-advice"), 403, "forbidden", "FORBIDDEN")
    allowed = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    request = asked(desk, extension=allowed)
    answer = desk.operation(request, "convert-advice", guidance="We shall see her")
    assert (answer.status_code, state_of(answer.json())) == (201, "TRIAGED_PROVIDER_TO_ACTION")
    assert ubrn_of(answer.json()) == ubrn_of(request)


def test_a028_the_outcome_of_triage_is_recorded(desk: Desk) -> None:
    states = {"ACCEPT": "TRIAGED_PROVIDER_TO_ACTION", "RETURN_WITH_ADVICE": "TRIAGE_RESPONSE"}
    for outcome, state in states.items():
        referral = desk.referral(desk.service("REVIEW"))
        desk.operation(referral, "send-for-triage")
        answer = desk.operation(referral, "record-outcome", outcome=outcome, comment="Diet first")
        assert (answer.status_code, state_of(answer.json())) == (200, state)


def test_a029_what_can_be_done_now_is_asked(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    answer = desk.client.get(f"ServiceRequest/{referral['id']}/$available-actions").json()
    codes = [item["resource"]["code"]["coding"][0]["code"] for item in answer["entry"]]
    assert codes == ["shortlist", "book", "defer", "triage", "cancel"]


def role(desk: Desk, practitioner: str) -> dict[str, Any]:
    desk.put({"resourceType": "Practitioner", "id": practitioner})
    return desk.made({
        "resourceType": "PractitionerRole",
        "active": True,
        "practitioner": {"reference": f"Practitioner/{practitioner}"},
        "organization": desk.provider,
    })  # fmt: skip


def test_a030_the_roles_of_a_practitioner_are_a_search(desk: Desk) -> None:
    made = role(desk, f"me-{desk.number}")
    query = f"PractitionerRole?practitioner=Practitioner/me-{desk.number}&active=true"
    assert ids(desk, query) == {made["id"]}


def test_a031_the_shortlist_is_patched(desk: Desk) -> None:
    referral, other = desk.referral(desk.service()), desk.service()
    path = f"ServiceRequest/{referral['id']}"
    answer = desk.client.patch(path, json=performer_of(other), headers=FHIR)
    assert answer.status_code == 200, answer.text
    assert answer.json()["performer"] == [{"reference": f"HealthcareService/{other['id']}"}]
    twice = desk.client.patch(path, json=performer_of(other, other), headers=FHIR)
    refused(twice, 422, "duplicate", "DUPLICATE_SERVICE")


def test_a032_the_shortlist_is_changed_and_sent_for_triage_in_one_transaction(desk: Desk) -> None:
    referral, service = desk.referral(desk.service()), desk.service("REVIEW")
    changed = referral | {"performer": [{"reference": f"HealthcareService/{service['id']}"}]}
    task = desk.task(referral, "TRIAGE_DEFERRAL", service)
    answer = desk.transaction(("PUT", changed), ("POST", task))
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "AWAITING_TRIAGE"


def test_a033_a_service_is_read_and_its_type_is_a_list(desk: Desk) -> None:
    service = desk.service(type=[concept("https://example.org/type", "knee")])
    assert isinstance(desk.read(service)["type"], list)


def test_a034_an_appointment_is_cancelled_with_a_reason(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    path = f"Appointment/{appointment['id']}/$cancel"
    reason = {
        "name": "reason",
        "valueCoding": {"system": APPOINTMENT_REASONS, "code": "PATIENT_ILL"},
    }
    body = {"resourceType": "Parameters", "parameter": [reason]}
    answer = desk.client.post(path, json=body, headers=FHIR)
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "APPT_CANCELLED_BY_PATIENT"
    assert desk.read(slot)["status"] == "free"


def test_a035_services_are_searched_by_id(desk: Desk) -> None:
    services = [desk.service()["id"] for _ in range(3)]
    assert ids(desk, f"HealthcareService?_id={','.join(services)}") == set(services)


def test_a036_a_referral_is_cancelled_with_its_appointment(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    answer = desk.operation(referral, "cancel", reason="INTEND_PRIVATE")
    assert (answer.status_code, state_of(answer.json())) == (200, "CANCELLED_REFERRAL")
    assert (desk.read(appointment)["status"], desk.read(slot)["status"]) == ("cancelled", "free")


def test_a037_the_version_of_a_service_is_in_its_etag(desk: Desk) -> None:
    service = desk.service()
    path = f"HealthcareService/{service['id']}"
    answer = desk.client.head(path)
    assert (answer.status_code, answer.content, answer.headers["ETag"]) == (200, b"", 'W/"1"')
    assert desk.client.get(path, headers={"If-None-Match": 'W/"1"'}).status_code == 304


def test_a038_an_appointment_is_read_in_every_version(desk: Desk) -> None:
    _, appointment, _ = booked(desk)
    desk.made(appointment | {"status": "arrived"})
    path = f"Appointment/{appointment['id']}"
    history = desk.client.get(f"{path}/_history").json()["entry"]
    assert [item["resource"]["status"] for item in history] == ["arrived", "booked"]
    assert desk.client.get(f"{path}/_history/1").json()["status"] == "booked"


def test_a040_the_colleagues_of_an_organisation_are_a_search(desk: Desk) -> None:
    made = {role(desk, f"{name}-{desk.number}")["id"] for name in ("one", "two")}
    query = f"PractitionerRole?organization={desk.provider['reference']}"
    assert ids(desk, f"{query}&active=true&_include=PractitionerRole:practitioner") == made


def test_a041_a_ubrn_finds_the_referral_and_the_advice_that_it_came_of(desk: Desk) -> None:
    allowed = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    request = asked(desk, extension=allowed)
    referral = desk.operation(request, "convert-advice").json()
    query = f"ServiceRequest?identifier={UBRN}|{ubrn_of(request)}"
    assert ids(desk, query) == {request["id"], referral["id"]}


def test_a042_an_attachment_is_read_as_it_was_sent(desk: Desk) -> None:
    answer = desk.client.get(f"Binary/{uploaded(desk)}", headers={"Accept": "text/plain"})
    assert (answer.status_code, answer.content) == (200, b"Dear")


def test_a043_the_overview_of_a_request_for_advice_is_a_document(desk: Desk) -> None:
    pdf(desk, asked(desk), "summary")


def test_a044_advice_is_asked_of_exactly_one_service(desk: Desk) -> None:
    service = desk.service("ADVICE_AND_GUIDANCE")
    made = desk.post(desk.advice_to(service))
    assert made.status_code == 201, made.text
    both = [{"reference": f"HealthcareService/{item['id']}"} for item in (service, desk.service())]
    refused(desk.post(desk.advice_to(service, performer=both)), 422, RULE, "TOO_MANY_ITEMS")
