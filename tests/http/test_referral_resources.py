"""The base rules of the resources of referral and booking (https://hl7.org/fhir/R4/workflow.html)."""

import copy

import pytest
from bundles import fresh, patient

SLOT = {
    "resourceType": "Slot",
    "schedule": {"reference": "Schedule/1"},
    "status": "free",
    "start": "2026-03-01T09:00:00Z",
    "end": "2026-03-01T09:20:00Z",
}
SCHEDULE = {"resourceType": "Schedule", "actor": [{"reference": "Practitioner/1"}]}
PARTICIPANT = {"actor": {"reference": "Patient/1"}, "status": "accepted"}
APPOINTMENT = {
    "resourceType": "Appointment",
    "status": "proposed",
    "participant": [PARTICIPANT],
}
TIMES = {"start": "2026-03-01T09:00:00Z", "end": "2026-03-01T09:20:00Z"}
SERVICE_REQUEST = {
    "resourceType": "ServiceRequest",
    "status": "active",
    "intent": "order",
    "subject": {"reference": "Patient/1"},
}
TASK = {"resourceType": "Task", "status": "requested", "intent": "order"}
SUBSCRIPTION = {
    "resourceType": "Subscription",
    "status": "requested",
    "reason": "Tell me of new referrals",
    "criteria": "ServiceRequest?status=active",
    "channel": {"type": "rest-hook", "endpoint": "https://client.example/hook"},
}


def but(resource, **changes):
    """A copy with those elements set; None removes one."""
    made = copy.deepcopy(resource) | changes
    return {name: value for name, value in made.items() if value is not None}


def send(client, resource):
    return client.post(resource["resourceType"], json=resource)


def taken(client, resource):
    answer = send(client, resource)
    assert answer.status_code == 201, answer.text
    read = client.get(answer.headers["Location"]).json()
    return {name: value for name, value in read.items() if name not in ("id", "meta")}


def refused(client, resource, *elements):
    """Refused with 400 or 422, an issue for one of the elements."""
    answer = send(client, resource)
    assert answer.status_code in (400, 422), answer.text
    places = [place for item in answer.json()["issue"] for place in item["expression"]]
    wanted = {f"{resource['resourceType']}{'.' if item else ''}{item}" for item in elements}
    assert wanted & set(places), answer.text
    assert all(item["diagnostics"] for item in answer.json()["issue"])


@pytest.mark.rule(344, "slot")
@pytest.mark.parametrize("element", ["schedule", "status", "start", "end"])
def test_a_slot_needs_schedule_status_start_and_end(client, element):
    assert taken(client, SLOT) == SLOT
    refused(client, but(SLOT, **{element: None}), element)
    refused(client, but(SLOT, **{element: [SLOT[element]]}), element)


@pytest.mark.rule(344, "slot")
@pytest.mark.parametrize("element", ["start", "end"])
@pytest.mark.parametrize("text", ["2026-03-01", "2026-03-01T09:00:00", "2026-03-01T09:00Z", "now"])
def test_the_times_of_a_slot_are_instants(client, element, text):
    refused(client, but(SLOT, **{element: text}), element)


@pytest.mark.rule(345, "slot#bnr")
def test_a_slot_has_one_of_the_five_statuses(client):
    for status in ("busy", "free", "busy-unavailable", "busy-tentative", "entered-in-error"):
        assert taken(client, but(SLOT, status=status))["status"] == status
    for status in ("booked", "Free", "FREE", "unknown", "busy_unavailable"):
        refused(client, but(SLOT, status=status), "status")


@pytest.mark.rule(346, "schedule")
def test_a_schedule_needs_an_actor(client):
    assert taken(client, SCHEDULE) == SCHEDULE
    several = but(SCHEDULE, actor=[{"reference": "Practitioner/1"}, {"reference": "Location/1"}])
    assert taken(client, several) == several
    refused(client, but(SCHEDULE, actor=None), "actor")
    refused(client, but(SCHEDULE, actor=[]), "actor")
    refused(client, but(SCHEDULE, actor=[{"reference": "Slot/1"}]), "actor[0]")


@pytest.mark.rule(347, "appointment")
def test_an_appointment_needs_a_status_and_participants_with_status_and_type_or_actor(client):
    assert taken(client, APPOINTMENT) == APPOINTMENT
    by_type = [{"type": [{"text": "a surgeon"}], "status": "needs-action"}]
    assert taken(client, but(APPOINTMENT, participant=by_type))["participant"] == by_type
    refused(client, but(APPOINTMENT, status=None), "status")
    refused(client, but(APPOINTMENT, participant=None), "participant")
    nameless = [PARTICIPANT, {"status": "accepted"}]
    refused(client, but(APPOINTMENT, participant=nameless), "participant[1]")
    silent = [{"actor": {"reference": "Patient/1"}}]
    refused(client, but(APPOINTMENT, participant=silent), "participant[0].status")
    refused(client, but(APPOINTMENT, status="requested"), "status")


@pytest.mark.rule(348, "appointment#invs")
@pytest.mark.parametrize("status", ["proposed", "booked", "cancelled"])
@pytest.mark.parametrize("missing", ["start", "end"])
def test_an_appointment_has_start_and_end_or_neither(client, status, missing):
    whole = but(APPOINTMENT, status=status, **TIMES)
    assert taken(client, whole) == whole
    refused(client, but(whole, **{missing: None}), "")


@pytest.mark.rule(349, "appointment#invs")
def test_only_proposed_cancelled_and_waitlisted_appointments_may_be_without_times(client):
    for status in ("proposed", "cancelled", "waitlist"):
        assert taken(client, but(APPOINTMENT, status=status))["status"] == status
    for status in (
        "pending",
        "booked",
        "arrived",
        "fulfilled",
        "noshow",
        "checked-in",
        "entered-in-error",
    ):
        refused(client, but(APPOINTMENT, status=status), "")
        assert taken(client, but(APPOINTMENT, status=status, **TIMES))["status"] == status


@pytest.mark.rule(350, "appointment#invs")
def test_a_reason_of_cancelation_goes_with_cancelled_and_noshow_only(client):
    """R4's app-4 compares with 'no-show', which is no status; the errata mean noshow."""
    reason = {"text": "Patient is ill"}
    for status in ("cancelled", "noshow"):
        made = but(APPOINTMENT, status=status, cancelationReason=reason, **TIMES)
        assert taken(client, made)["cancelationReason"] == reason
    for status in ("booked", "proposed", "waitlist", "arrived"):
        refused(client, but(APPOINTMENT, status=status, cancelationReason=reason, **TIMES), "")
    refused(client, but(APPOINTMENT, status="no-show", cancelationReason=reason, **TIMES), "status")


@pytest.mark.rule(351, "servicerequest")
def test_a_service_request_needs_status_intent_and_subject_and_details_a_code(client):
    assert taken(client, SERVICE_REQUEST) == SERVICE_REQUEST
    for element in ("status", "intent", "subject"):
        refused(client, but(SERVICE_REQUEST, **{element: None}), element)
    detail = [{"text": "by boat"}]
    refused(client, but(SERVICE_REQUEST, orderDetail=detail), "")
    coded = but(SERVICE_REQUEST, orderDetail=detail, code={"text": "Transport"})
    assert taken(client, coded) == coded
    refused(client, but(SERVICE_REQUEST, status="requested"), "status")
    refused(client, but(SERVICE_REQUEST, intent="wish"), "intent")


@pytest.mark.rule(352, "task#invs")
def test_a_task_is_not_modified_before_it_was_authored(client):
    right = [
        ("2026-03-01T10:00:00Z", "2026-03-01T10:00:00Z"),
        ("2026-03-01T10:00:00Z", "2026-03-01T10:30:00+00:00"),
        ("2026-03-01T10:00:00+01:00", "2026-03-01T09:30:00Z"),
    ]
    for authored, modified in right:
        made = but(TASK, authoredOn=authored, lastModified=modified)
        assert taken(client, made) == made
    assert taken(client, but(TASK, lastModified="2026-03-01")) == but(
        TASK, lastModified="2026-03-01"
    )
    wrong = [
        ("2026-03-01T10:00:00Z", "2026-03-01T09:59:59Z"),
        ("2026-03-01T10:00:00+01:00", "2026-03-01T08:59:59Z"),
        ("2026-03-02", "2026-03-01"),
    ]
    for authored, modified in wrong:
        refused(client, but(TASK, authoredOn=authored, lastModified=modified), "")


@pytest.mark.rule(353, "subscription")
@pytest.mark.parametrize("element", ["status", "reason", "criteria", "channel"])
def test_a_subscription_needs_status_reason_criteria_and_channel(client, element):
    refused(client, but(SUBSCRIPTION, **{element: None}), element)


@pytest.mark.rule(353, "subscription#status")
def test_a_client_sends_requested_or_off_and_the_server_sets_the_rest(client):
    requested = taken(client, SUBSCRIPTION)
    # Nothing is sent, and the resource says so.
    assert requested["status"] == "error"
    assert requested["error"]
    assert taken(client, but(SUBSCRIPTION, status="off"))["status"] == "off"
    for status in ("active", "error", "on"):
        refused(client, but(SUBSCRIPTION, status=status), "status")


@pytest.mark.rule(353, "subscription#status")
def test_the_rules_of_a_subscription_hold_for_every_way_to_write_it(client):
    name = fresh()
    headers = {"Content-Type": "application/json-patch+json"}
    active = but(SUBSCRIPTION, id=name, status="active")
    assert client.put(f"Subscription/{name}", json=active).status_code == 422
    made = client.put(f"Subscription/{name}", json=but(SUBSCRIPTION, id=name))
    assert made.json()["status"] == "error"
    assert client.put(f"Subscription/{name}", json=active).status_code == 422
    patched = '[{"op":"replace","path":"/status","value":"active"}]'
    answer = client.patch(f"Subscription/{name}", content=patched, headers=headers)
    assert answer.status_code == 422
    entry = {"resource": active, "request": {"method": "PUT", "url": f"Subscription/{name}"}}
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    answer = client.post("", json=bundle)
    assert answer.status_code == 422
    assert answer.json()["issue"][0]["expression"] == ["Bundle.entry[0].resource.status"]
    # What the server has set may be sent back with a change of something else.
    again = client.put(f"Subscription/{name}", json=made.json() | {"reason": "Another"})
    assert (again.status_code, again.json()["status"]) == (200, "error")
    off = client.put(f"Subscription/{name}", json=but(SUBSCRIPTION, id=name, status="off"))
    assert (off.status_code, off.json()["status"]) == (200, "off")


@pytest.mark.rule(353, "subscription#Subscription.criteria")
def test_the_criteria_of_a_subscription_are_without_base_and_slash(client):
    for criteria in ("Observation?code=http://loinc.org|1-1", "Patient"):
        assert taken(client, but(SUBSCRIPTION, criteria=criteria))["criteria"] == criteria
    for criteria in ("/Observation?code=x", "https://example.org/fhir/Observation?code=x", "?x=1"):
        refused(client, but(SUBSCRIPTION, criteria=criteria), "criteria")


# Bundles that are stored (row 323).


@pytest.mark.rule(323, "bundle#invs")
def test_a_message_starts_with_its_header_and_a_document_with_its_composition(client):
    header = {
        "resourceType": "MessageHeader",
        "eventCoding": {"system": "https://example.org", "code": "x"},
        "source": {"endpoint": "https://example.org"},
    }
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "Letter"},
        "date": "2026-03-01",
        "author": [{"display": "A"}],
        "title": "Letter",
    }

    def made(kind, *resources, **elements):
        entries = [
            {"fullUrl": f"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e{number}", "resource": item}
            for number, item in enumerate(resources)
        ]
        return {"resourceType": "Bundle", "type": kind, **elements, "entry": entries}

    assert send(client, made("message", header, patient())).status_code == 201
    named = {
        "identifier": {"system": "https://example.org", "value": fresh()},
        "timestamp": "2026-03-01T10:00:00Z",
    }
    about = {"reference": "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1"}
    whole = made("document", composition | {"subject": about}, patient(), **named)
    assert send(client, whole).status_code == 201
    for wrong in [
        made("message", patient(), header),
        made("document", patient(), composition, **named),
        made("document", composition, timestamp=named["timestamp"]),
        made("document", composition, identifier=named["identifier"]),
    ]:
        answer = send(client, wrong)
        assert answer.status_code in (400, 422), answer.text
        assert answer.json()["issue"][0]["expression"][0].startswith("Bundle")
