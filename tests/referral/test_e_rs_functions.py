"""Every function of the NHS e-Referral Service's API, done here by the request that docs/e-rs.md names."""

from __future__ import annotations

import base64
import re
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import httpx
import pytest
from referral_desk import (
    CONVERSION,
    FHIR,
    FLOW,
    REFERRAL_REASONS,
    Desk,
    concept,
    extension,
    refused,
    state_of,
    ubrn_of,
)

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "e-rs.md"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"


def found(answer: httpx.Response) -> list[dict[str, Any]]:
    assert answer.status_code == 200, answer.text
    return [item["resource"] for item in answer.json().get("entry", [])]


def letter(desk: Desk, referral: dict[str, Any], text: str = "Dear all") -> dict[str, Any]:
    attachment = {"contentType": "text/plain", "data": base64.b64encode(text.encode()).decode()}
    return {
        "resourceType": "DocumentReference",
        "status": "current",
        "subject": desk.patient,
        "content": [{"attachment": attachment}],
        "context": {"related": [{"reference": f"ServiceRequest/{referral['id']}"}]},
    }


def in_triage(desk: Desk) -> dict[str, Any]:
    referral = desk.referral(desk.service("REVIEW"))
    assert desk.operation(referral, "send-for-triage").status_code == 201
    return referral


def booked(desk: Desk) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A referral, its appointment and the slot of that."""
    service = desk.service()
    referral, slot = desk.referral(service), desk.slot(service)
    return referral, desk.made(desk.appointment(referral, slot)), slot


def advice(desk: Desk, **elements: Any) -> dict[str, Any]:
    allowed = {"extension": [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]}
    return desk.made(desk.advice_to(desk.service("ADVICE_AND_GUIDANCE"), **allowed | elements))


def message(desk: Desk, request: dict[str, Any], sender: dict[str, Any]) -> dict[str, Any]:
    return desk.made(
        {
            "resourceType": "Communication",
            "status": "completed",
            "basedOn": [{"reference": f"ServiceRequest/{request['id']}"}],
            "sender": sender,
            "payload": [{"contentString": "A question"}],
        }
    )


def test_a004_reference_data_with_its_rules(desk: Desk) -> None:
    (system,) = found(desk.client.get("CodeSystem", params={"url": REFERRAL_REASONS}))
    assert {item["code"] for item in system["property"]} >= {"type", "commentIsMandatory"}
    looked_up = desk.client.get(
        "CodeSystem/$lookup", params={"system": REFERRAL_REASONS, "code": "PATIENT_DIED"}
    )
    assert looked_up.status_code == 200


def test_a005_a_referral_with_its_state(desk: Desk) -> None:
    referral, _, _ = booked(desk)
    read = desk.client.get(f"ServiceRequest/{referral['id']}")
    assert state_of(read.json()) == "BOOKED"
    version = desk.client.get(f"ServiceRequest/{referral['id']}/_history/1")
    assert state_of(version.json()) == "NOT_BOOKED"


def test_a006_an_attachment(desk: Desk) -> None:
    made = desk.client.post(
        "Binary", content=b"%PDF-1.4", headers={"Content-Type": "application/pdf"}
    )
    assert made.status_code == 201
    answer = desk.client.get(f"Binary/{made.json()['id']}", headers={"Accept": "application/pdf"})
    assert answer.content == b"%PDF-1.4"


def test_a007_the_clinical_information_as_pdf(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    answer = desk.client.get(
        f"ServiceRequest/{referral['id']}/$document",
        params={"type": "summary"},
        headers={"Accept": "application/pdf"},
    )
    assert answer.status_code == 200
    assert answer.content.startswith(b"%PDF-")


def test_a008_worklists(desk: Desk) -> None:
    referral, _, _ = booked(desk)
    owner = referral["performer"][0]["reference"]
    review = desk.client.get(
        "Task", params={"code": "REVIEW", "status": "requested", "owner": owner}
    )
    assert [item["focus"]["reference"] for item in found(review)] == [
        f"ServiceRequest/{referral['id']}"
    ]
    waiting = desk.referral(desk.service())
    unbooked = desk.client.get(
        "ServiceRequest",
        params={"referral-state": "NOT_BOOKED", "requester": desk.requester["reference"]},
    )
    assert [item["id"] for item in found(unbooked)] == [waiting["id"]]


def test_a010_services_for_a_referral(desk: Desk) -> None:
    specialty = f"S{desk.number}"
    service = desk.service(
        "BOOKABLE", specialty=[concept("https://fhir.nhs.uk/CodeSystem/eRS-Specialty", specialty)]
    )
    answer = desk.client.get(
        "HealthcareService/$find-for-referral",
        params={"specialty": specialty, "type": "appointment"},
    )
    assert [
        item["id"] for item in found(answer) if item["resourceType"] == "HealthcareService"
    ] == [service["id"]]


def test_a011_a_referral_with_a_shortlist(desk: Desk) -> None:
    shortlist = [desk.service() for _ in range(20)]
    referral = desk.referral(*shortlist)
    assert re.fullmatch("[0-9]{12}", ubrn_of(referral))
    assert state_of(referral) == "NOT_BOOKED"
    refused(
        desk.post(desk.referral_to(*shortlist, desk.service())),
        422,
        "business-rule",
        "TOO_MANY_ITEMS",
    )


def test_a012_letters_one_by_one(desk: Desk) -> None:
    referral = in_triage(desk)
    first, second = (desk.made(letter(desk, referral, text)) for text in ("One", "Two"))
    assert desk.client.delete(f"DocumentReference/{first['id']}").status_code == 204
    refused(
        desk.client.delete(f"DocumentReference/{second['id']}"),
        422,
        "business-rule",
        "VALUE_IS_REQUIRED",
    )


def test_a013_a_booked_referral_is_accepted(desk: Desk) -> None:
    referral, _, _ = booked(desk)
    answer = desk.operation(referral, "record-outcome", outcome="ACCEPT", comment="Good")
    assert (answer.status_code, state_of(answer.json())) == (200, "BOOKED")
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["accepted"]


def test_a014_a_booked_referral_is_rejected(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    answer = desk.operation(
        referral,
        "record-outcome",
        outcome="REJECT",
        reason="SERVICE_INAPPROPRIATE",
        comment="Not ours",
    )
    assert state_of(answer.json()) == "REJECTED"
    assert (desk.read(appointment)["status"], desk.read(slot)["status"]) == ("cancelled", "free")


def test_a015_free_slots_of_a_service(desk: Desk) -> None:
    service = desk.service()
    slot = desk.slot(service)
    answer = desk.client.get(
        "Slot",
        params={
            "schedule.actor": f"HealthcareService/{service['id']}",
            "status": "free",
            "start": f"ge{slot['start'][:10]}",
            "_include": "Slot:schedule",
            "_count": 5,
        },
    )
    assert [item["resourceType"] for item in found(answer)] == ["Slot", "Schedule"]


def test_a016_a_slot_is_booked_or_the_provider_is_asked(desk: Desk) -> None:
    referral, _, slot = booked(desk)
    assert (desk.state(referral), desk.read(slot)["status"]) == ("BOOKED", "busy")
    other = desk.referral(desk.service())
    assert desk.operation(other, "defer", reason="NO_SLOTS_AT_SERVICE").status_code == 201
    assert desk.state(other) == "DEFERRED_TO_PROVIDER"
    assert desk.state(in_triage(desk)) == "AWAITING_TRIAGE"


def test_a019_the_letter_to_the_patient(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    answer = desk.client.get(
        f"ServiceRequest/{referral['id']}/$document",
        params={"type": "patient-letter"},
        headers={"Accept": "text/html"},
    )
    assert answer.status_code == 200
    assert ubrn_of(referral) in answer.text


def test_a020_a_file_is_uploaded(desk: Desk) -> None:
    answer = desk.client.post("Binary", content=b"scan", headers={"Content-Type": "image/png"})
    assert answer.status_code == 201
    assert "Binary/" in answer.headers["location"]


def test_a021_a_referral_straight_into_triage(desk: Desk) -> None:
    service = desk.service("REVIEW")
    made = desk.referral_to(service)
    urn = "urn:uuid:8a4c3f1e-2b1d-4a56-9f0e-0123456789ab"
    task = desk.task({"id": "x"}, "TRIAGE_DEFERRAL", service) | {"focus": {"reference": urn}}
    answer = desk.client.post(
        "",
        json={
            "resourceType": "Bundle",
            "type": "transaction",
            "entry": [
                {
                    "fullUrl": urn,
                    "resource": made,
                    "request": {"method": "POST", "url": "ServiceRequest"},
                },
                {"resource": task, "request": {"method": "POST", "url": "Task"}},
            ],
        },
        headers=FHIR,
    )
    assert answer.status_code == 200, answer.text
    referral = answer.json()["entry"][0]["response"]["location"].split("/_history")[0]
    assert state_of(desk.client.get(referral).json()) == "AWAITING_TRIAGE"


def test_a022_the_provider_cancels_and_acts_later(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    body = {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "reason", "valueCodeableConcept": {"coding": [{
                "system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
                "code": "prov",
            }]}},
            {"name": "comment", "valueString": "Clinician away"},
        ],
    }  # fmt: skip
    answer = desk.client.post(f"Appointment/{appointment['id']}/$cancel", json=body, headers=FHIR)
    assert answer.status_code == 200, answer.text
    assert (desk.state(referral), desk.read(slot)["status"]) == (
        "APPT_CANCELLED_BY_PROVIDER",
        "free",
    )
    owner = desk.provider
    later = desk.made(desk.task(referral, "REBOOK_REFER") | {"owner": owner})
    assert later["status"] == "requested"
    assert desk.state(referral) == "TRIAGED_PROVIDER_TO_ACTION"


def test_a023_requests_for_advice_that_wait(desk: Desk) -> None:
    request = advice(desk)
    owner = request["performer"][0]["reference"]
    turn = desk.client.get(
        "Task", params={"code": "ADVICE_TURN", "owner": owner, "status": "requested"}
    )
    assert [item["focus"]["reference"] for item in found(turn)] == [
        f"ServiceRequest/{request['id']}"
    ]


def test_a024_a_request_for_advice(desk: Desk) -> None:
    request = advice(desk)
    read = desk.client.get(f"ServiceRequest/{request['id']}").json()
    assert read["code"]["coding"][0]["code"] == "advice-and-guidance"


def test_a025_its_conversation(desk: Desk) -> None:
    request = advice(desk)
    sent = message(desk, request, desk.requester)
    answer = desk.client.get(
        "Communication", params={"based-on": f"ServiceRequest/{request['id']}", "_sort": "sent"}
    )
    assert [item["id"] for item in found(answer)] == [sent["id"]]


def test_a026_the_provider_answers(desk: Desk) -> None:
    request = advice(desk)
    message(desk, request, request["performer"][0])
    (turn,) = desk.tasks(request, "ADVICE_TURN")
    assert turn["owner"] == desk.requester


def test_a027_advice_becomes_a_referral(desk: Desk) -> None:
    request = advice(desk)
    answer = desk.operation(request, "convert-advice", guidance="We shall see her")
    assert answer.status_code == 201
    assert (ubrn_of(answer.json()), state_of(answer.json())) == (
        ubrn_of(request),
        "TRIAGED_PROVIDER_TO_ACTION",
    )


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("RETURN_WITH_ADVICE", "TRIAGE_RESPONSE"), ("ACCEPT", "TRIAGED_PROVIDER_TO_ACTION")],
)
def test_a028_the_outcome_of_triage(desk: Desk, outcome: str, state: str) -> None:
    referral = in_triage(desk)
    answer = desk.operation(referral, "record-outcome", outcome=outcome, comment="As discussed")
    assert state_of(answer.json()) == state


def test_a029_what_may_be_done_now(desk: Desk) -> None:
    referral = desk.referral(desk.service())
    answer = desk.client.get(f"ServiceRequest/{referral['id']}/$available-actions")
    codes = [item["code"]["coding"][0]["code"] for item in found(answer)]
    assert {"shortlist", "book", "defer", "cancel"} <= set(codes)


def test_a030_my_roles(desk: Desk) -> None:
    practitioner = desk.made({"resourceType": "Practitioner"})
    me = f"Practitioner/{practitioner['id']}"
    role = desk.made(
        {
            "resourceType": "PractitionerRole",
            "practitioner": {"reference": me},
            "organization": desk.provider,
        }
    )
    answer = desk.client.get("PractitionerRole", params={"practitioner": me})
    assert [item["id"] for item in found(answer)] == [role["id"]]


def test_a031_the_shortlist_is_changed(desk: Desk) -> None:
    first, second = desk.service(), desk.service()
    referral = desk.referral(first)
    patch = [{"op": "replace", "path": "/performer", "value": [
        {"reference": f"HealthcareService/{second['id']}"}
    ]}]  # fmt: skip
    answer = desk.client.patch(
        f"ServiceRequest/{referral['id']}",
        json=patch,
        headers={"Content-Type": "application/json-patch+json", "If-Match": 'W/"1"'},
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["performer"][0]["reference"].endswith(second["id"])
    stale = desk.client.patch(
        f"ServiceRequest/{referral['id']}",
        json=patch,
        headers={"Content-Type": "application/json-patch+json", "If-Match": 'W/"1"'},
    )
    assert stale.status_code == 412


def test_a032_the_shortlist_is_changed_and_sent_for_triage(desk: Desk) -> None:
    referral, triage = desk.referral(desk.service()), desk.service("REVIEW")
    changed = referral | {"performer": [{"reference": f"HealthcareService/{triage['id']}"}]}
    answer = desk.transaction(
        ("PUT", changed), ("POST", desk.task(referral, "TRIAGE_DEFERRAL", triage))
    )
    assert answer.status_code == 200, answer.text
    assert desk.state(referral) == "AWAITING_TRIAGE"


def test_a033_a_service(desk: Desk) -> None:
    service = desk.service("BOOKABLE")
    read = desk.client.get(f"HealthcareService/{service['id']}").json()
    assert read["characteristic"] == [concept(FLOW, "BOOKABLE")]


def test_a034_the_referrer_cancels_the_appointment(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    reasoned = appointment | {
        "status": "cancelled",
        "cancelationReason": {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason",
                    "code": "pat",
                }
            ]
        },
    }
    assert desk.put(reasoned).status_code == 200
    assert (desk.state(referral), desk.read(slot)["status"]) == (
        "APPT_CANCELLED_BY_PATIENT",
        "free",
    )


def test_a035_services_by_id(desk: Desk) -> None:
    ids = [desk.service()["id"] for _ in range(2)]
    answer = desk.client.get("HealthcareService", params={"_id": ",".join(ids)})
    assert {item["id"] for item in found(answer)} == set(ids)


def test_a036_a_referral_is_cancelled_with_its_appointment(desk: Desk) -> None:
    referral, appointment, slot = booked(desk)
    answer = desk.operation(referral, "cancel", reason="PATIENT_DIED", comment="On Monday")
    assert (answer.json()["status"], state_of(answer.json())) == ("revoked", "CANCELLED_REFERRAL")
    assert (desk.read(appointment)["status"], desk.read(slot)["status"]) == ("cancelled", "free")


def test_a037_the_version_of_a_service(desk: Desk) -> None:
    service = desk.service()
    answer = desk.client.head(f"HealthcareService/{service['id']}")
    assert (answer.headers["etag"], answer.content) == ('W/"1"', b"")


def test_a038_an_appointment(desk: Desk) -> None:
    _, appointment, _ = booked(desk)
    path = f"Appointment/{appointment['id']}"
    assert desk.client.get(path).json()["status"] == "booked"
    assert desk.client.get(f"{path}/_history/1").json()["status"] == "booked"


def test_a040_whom_one_may_act_for(desk: Desk) -> None:
    role = desk.made({"resourceType": "PractitionerRole", "organization": desk.provider})
    answer = desk.client.get(
        "PractitionerRole", params={"organization": desk.provider["reference"]}
    )
    assert [item["id"] for item in found(answer)] == [role["id"]]


def test_a041_the_requests_of_a_ubrn(desk: Desk) -> None:
    request = advice(desk)
    referral = desk.operation(request, "convert-advice", guidance="We shall see her").json()
    answer = desk.client.get(
        "ServiceRequest", params={"identifier": f"https://fhir.nhs.uk/Id/UBRN|{ubrn_of(request)}"}
    )
    assert {item["id"] for item in found(answer)} == {request["id"], referral["id"]}


def test_a042_an_attachment_as_it_is(desk: Desk) -> None:
    made = desk.client.post("Binary", content=b"\x89PNG", headers={"Content-Type": "image/png"})
    answer = desk.client.get(f"Binary/{made.json()['id']}", headers={"Accept": "image/png"})
    assert (answer.headers["content-type"], answer.content) == ("image/png", b"\x89PNG")


def test_a043_a_request_for_advice_as_pdf(desk: Desk) -> None:
    request = advice(desk)
    answer = desk.client.get(
        f"ServiceRequest/{request['id']}/$document",
        params={"type": "summary", "_format": "application/pdf"},
    )
    assert answer.content.startswith(b"%PDF-")


def test_a044_advice_is_asked_for(desk: Desk) -> None:
    request = advice(desk)
    assert extension(request, CONVERSION) is not None
    two = desk.advice_to(desk.service("ADVICE_AND_GUIDANCE"))
    two["performer"] = [*two["performer"], *request["performer"]]
    refused(desk.post(two), 422, "business-rule", "TOO_MANY_ITEMS")


def test_pc_a001_the_view_of_a_patient(desk: Desk) -> None:
    number = f"{int(desk.number, 16) % 10**10:010d}"
    subject = desk.patient | {"identifier": {"system": NHS_NUMBER, "value": number}}
    service = desk.service()
    referral = desk.referral(service, subject=subject)
    appointment = desk.made(desk.appointment(referral, desk.slot(service)))
    (review,) = desk.tasks(referral, "REVIEW")
    answer = desk.client.get(
        f"ServiceRequest?patient:identifier={NHS_NUMBER}|{number}&category=3457005"
        "&_revinclude=Appointment:based-on&_revinclude=Task:focus"
    )
    assert {item["id"] for item in found(answer)} == {
        referral["id"],
        appointment["id"],
        review["id"],
    }


def test_pc_a002_a_service_for_the_patient(desk: Desk) -> None:
    service = desk.service(telecom=[{"system": "phone", "value": "01632 960000"}])
    assert desk.client.get(f"HealthcareService/{service['id']}").json()["telecom"]


def test_the_document_lists_exactly_these() -> None:
    written = set(re.findall(r"^\| (PC-A\d{3}|A\d{3}) \|", DOCUMENT.read_text(), re.MULTILINE))
    tried = {
        match[1].upper().replace("_", "-")
        for match in re.finditer(
            r"^def test_((?:pc_)?a\d{3})_", Path(__file__).read_text(), re.MULTILINE
        )
    }
    assert written == tried


def test_every_test_that_the_document_names_is_there() -> None:
    folder = Path(__file__).parent
    names = re.findall(
        r"^def (test_\w+)", "".join(item.read_text() for item in folder.glob("*.py")), re.MULTILINE
    )
    for pattern in re.findall(r"`(test_\w+\*?)`", DOCUMENT.read_text()):
        assert any(fnmatch(name, pattern) for name in names), pattern
