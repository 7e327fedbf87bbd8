"""Every worklist is a plain search (https://hl7.org/fhir/R4/search.html)."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest
from district import NHS_NUMBER, PRIORITY, SERVICE_ID, District, coded, days_ago

MINE = "requester:PractitionerRole.organization=Organization/#-practice"
OWNED = "owner=HealthcareService/#-service"


R4_REASONS = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
REASONS = "https://fhir-server.example.org/CodeSystem/referral-appointment-cancellation-reason"
CANCELLATIONS = "https://fhir-server.example.org/CodeSystem/referral-cancellation-reason"
STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
FLOW = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
DUE = "2026-10-15T17:00:00Z"


@pytest.fixture(scope="module")
def district(client):
    made = District(client)
    made.put("HealthcareService", "triage", characteristic=[coded(FLOW, "REVIEW")])
    for label in ("unbooked", "assessed", "deferred", "letterless", "rejected", "booked"):
        made.referral(label)
    for label in ("missed", "called-off", "withdrawn"):
        made.referral(label)
    both = [{"reference": made.service}, made.reference("HealthcareService", "triage")]
    for label in ("triage", "returned"):
        made.referral(label, performer=both)
    made.referral("long-waiting", days=330)
    made.referral("theirs", by="elsewhere")
    reason = {"reasonCode": {"coding": [{"code": "NO_SLOTS_AT_SERVICE"}]}}
    late = "2026-10-10T17:00:00Z"
    made.task("late", "APPOINTMENT_DEFERRAL", "requested", "deferred", late, **reason)
    to_triage = {"owner": made.reference("HealthcareService", "triage")}
    made.task(
        "triage", "TRIAGE_DEFERRAL", "requested", "triage", "2026-11-10T17:00:00Z", **to_triage
    )
    made.task("returned", "TRIAGE_DEFERRAL", "requested", "returned", DUE, **to_triage)
    advice = {"note": [{"text": "Please treat as described"}]}
    made.task("returned", "TRIAGE_DEFERRAL", "rejected", "returned", DUE, **to_triage, **advice)
    for label in ("booked", "rejected", "missed", "called-off"):
        made.appointment(label, "booked", label)
    reason = coded(REASONS, "SERVICE_INAPPROPRIATE")
    made.change(made.review("rejected"), status="rejected", statusReason=reason)
    made.appointment("missed", "noshow", "missed")
    reason = coded(R4_REASONS, "pat-crs")
    made.appointment("called-off", "cancelled", "called-off", cancelationReason=reason)
    made.task("assessed", "ASSESSMENT", "completed", "assessed", DUE)
    made.task("letter", "LETTER_OUTSTANDING", "requested", "letterless", DUE)
    made.task("advice", "ADVICE_TURN", "requested", "unbooked", DUE)
    withdrawn = made.read("ServiceRequest", "withdrawn")
    died = {"url": STATUS_REASON, "valueCodeableConcept": coded(CANCELLATIONS, "PATIENT_DIED")}
    made.change(withdrawn, status="revoked", extension=[*withdrawn["extension"], died])
    assert {label: made.state(label) for label in STATES} == STATES
    return made


STATES = {
    "unbooked": "NOT_BOOKED",
    "long-waiting": "NOT_BOOKED",
    "theirs": "NOT_BOOKED",
    "letterless": "NOT_BOOKED",
    "deferred": "DEFERRED_TO_PROVIDER",
    "triage": "AWAITING_TRIAGE",
    "returned": "TRIAGE_RESPONSE",
    "rejected": "REJECTED",
    "booked": "BOOKED",
    "missed": "DID_NOT_ATTEND",
    "called-off": "APPT_CANCELLED_BY_PATIENT",
    "assessed": "ASSESSMENT_RESULT",
    "withdrawn": "CANCELLED_REFERRAL",
}


def test_referrals_for_review_the_first_due_first_with_what_they_are_about(district):
    owners = f"{OWNED},HealthcareService/#-triage"
    query = (
        f"Task?code=REVIEW,TRIAGE_DEFERRAL&status=requested&{owners}&_include=Task:focus&_sort=due"
    )
    # The review of a booked referral has no date.
    assert district.find(query) == ["triage", "booked"]
    assert set(district.find(query, "include")) == {"booked", "triage"}
    of_specialty = query + "&focus:ServiceRequest.performer-type="
    assert district.find(of_specialty + "DERMATOLOGY") == ["triage", "booked"]
    assert district.find(of_specialty + "CARDIOLOGY") == []


def test_appointment_slot_issues_that_are_overdue(district):
    query = f"Task?code=APPOINTMENT_DEFERRAL&status=requested,accepted&{OWNED}&due=lt2026-10-"
    assert district.find(query + "11") == ["late"]
    assert district.find(query + "10T16:59:59Z") == []


def test_rejected_and_returned_of_the_practice_that_asked(district):
    query = f"ServiceRequest?referral-state=REJECTED,TRIAGE_RESPONSE&{MINE}"
    assert set(district.find(query)) == {"rejected", "returned"}


def test_assessed_cancelled_or_not_attended(district):
    query = (
        f"ServiceRequest?referral-state=ASSESSMENT_RESULT,CANCELLED_REFERRAL,DID_NOT_ATTEND&{MINE}"
    )
    assert set(district.find(query)) == {"assessed", "withdrawn", "missed"}


def test_awaiting_booking(district):
    states = "NOT_BOOKED,DEFERRED_TO_PROVIDER,AWAITING_TRIAGE,APPT_CANCELLED_BY_PATIENT,APPT_CANCELLED_BY_PROVIDER"
    found = district.find(f"ServiceRequest?status=active&referral-state={states}&{MINE}")
    assert set(found) == {
        "unbooked", "long-waiting", "letterless", "deferred", "triage", "called-off"
    }  # fmt: skip


def test_letters_outstanding(district):
    assert district.find(f"Task?code=LETTER_OUTSTANDING&status=requested&{OWNED}") == ["letter"]


def test_advice_and_guidance_is_the_task_of_whose_turn_it_is(district):
    assert district.find(f"Task?code=ADVICE_TURN&{OWNED}") == ["advice"]


def test_the_waiting_list_the_longest_wait_first(district):
    query = "ServiceRequest?status=active&performer=HealthcareService/#-service&_sort=pathway-start"
    assert district.find(query + f"&pathway-start=le{days_ago(300)}") == ["long-waiting"]
    everybody = district.find(query)
    assert everybody[0] == "long-waiting"
    assert len(everybody) == len(STATES) - 1


def test_a_worklist_is_counted_paged_and_asked_for_what_is_new(district):
    query = f"Task?status=requested&{OWNED}"
    client = district.client
    path = query.replace("#", district.mark)
    assert client.get(f"{path}&_summary=count").json()["total"] == 4
    first = client.get(f"{path}&_sort=due&_count=2").json()
    following = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert len(client.get(following).json()["entry"]) == 2
    assert district.find(f"{query}&_lastUpdated=gt2099") == []


def test_free_slots_of_a_service_by_reference_and_by_identifier(district):
    actor = {"reference": district.service}
    district.put("Schedule", "clinic", actor=[actor])
    begin = datetime(2036, 7, 1, 9, tzinfo=UTC)
    slots = {
        "busy": (0, "busy-unavailable", "ROUTINE"),
        "second": (2, "free", "ROUTINE"),
        "first": (1, "free", "URGENT"),
        "cancer": (3, "free", "TWO_WEEK_WAIT"),
        "later": (24 * 20, "free", "ROUTINE"),
    }
    for label, (hours, status, priority) in slots.items():
        start = begin + timedelta(hours=hours)
        district.put(
            "Slot",
            label,
            schedule=district.reference("Schedule", "clinic"),
            status=status,
            start=start.isoformat(),
            end=(start + timedelta(minutes=20)).isoformat(),
            appointmentType=coded(PRIORITY, priority),
        )
    rest = (
        "&start=ge2036-07-01&start=lt2036-07-15&appointment-type=URGENT,ROUTINE"
        "&_include=Slot:schedule&_sort=start&_count=100"
    )
    by_reference = f"Slot?status=free&schedule.actor={district.service}{rest}"
    assert district.find(by_reference) == ["first", "second"]
    assert district.find(by_reference, "include") == ["clinic"]
    by_identifier = f"schedule.actor:HealthcareService.identifier={SERVICE_ID}|#"
    assert district.find(f"Slot?status=free&{by_identifier}{rest}") == ["first", "second"]
    ended = "Slot?schedule=Schedule/#-clinic&end=le2036-07-01T10:20:00Z&_sort=-end"
    assert district.find(ended) == ["first", "busy"]


def test_the_patients_own_view(district):
    query = (
        f"ServiceRequest?patient:identifier={NHS_NUMBER}|#&category=3457005"
        "&_revinclude=Appointment:based-on&_revinclude=Task:focus&_count=50"
    )
    assert set(district.find(query)) == set(STATES)
    included = set(district.find(query, "include"))
    assert {"booked", "missed", "late", "triage", "letter"} <= included


def test_appointments_by_when_they_were_made(district):
    query = f"Appointment?actor={district.service}&created="
    assert len(district.find(query + "le2026-10-01")) == 4
    assert district.find(query + "ge2026-10-02") == []


def test_services_by_their_capacity(district):
    service = {"name": district.mark, "active": True}
    district.put("HealthcareService", "full", **service)
    actor = district.reference("HealthcareService", "full")
    district.put("Schedule", "full", actor=[actor])
    far = {"start": "2036-01-01T09:00:00Z", "end": "2036-01-01T09:20:00Z"}
    district.put(
        "Slot", "full", schedule=district.reference("Schedule", "full"), status="free", **far
    )
    named = f"HealthcareService?name={district.mark}&capacity-alert="
    # The server computes it, and has a minute for it.
    until = time.monotonic() + 60
    while not district.find(named + "LIMITED"):
        assert time.monotonic() < until
        time.sleep(0.2)
    assert district.find(named + "AVAILABLE") == []
