"""$find, $hold, $book, $cancel and $rebook of IHE ITI Scheduling, with Argonaut's names too.

https://profiles.ihe.net/ITI/Scheduling, https://www.fhir.org/guides/argonaut/scheduling
"""

from __future__ import annotations

import time
import uuid
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from booking_clinic import FHIR, Clinic, codes

NS = "{http://hl7.org/fhir}"
ONE, OTHER = {"NHSD-End-User-Organisation": "b25l"}, {"NHSD-End-User-Organisation": "b3RoZXI="}


def parameters(**given):
    listed = []
    for name, values in given.items():
        for value in values if isinstance(values, list) else [values]:
            name = name.replace("_", "-") if name != "_count" else name
            if isinstance(value, dict) and "resourceType" in value:
                listed.append({"name": name, "resource": value})
            elif isinstance(value, dict) and "reference" in value:
                listed.append({"name": name, "valueReference": value})
            elif isinstance(value, dict):
                listed.append({"name": name, "valueIdentifier": value})
            else:
                listed.append({"name": name, "valueString": str(value)})
    return {"resourceType": "Parameters", "parameter": listed}


def call(clinic, operation, headers=None, **given):
    return clinic.client.post(
        f"Appointment/{operation}", json=parameters(**given), headers=FHIR | (headers or {})
    )


def find(clinic, **given):
    period = {
        "start": clinic.start.isoformat(),
        "end": (clinic.start + timedelta(hours=10)).isoformat(),
    }
    answer = call(clinic, "$find", **(period | {"practitioner": ref(clinic.doctor)} | given))
    assert answer.status_code == 200, answer.text
    return answer.json()


def matches(bundle):
    return [
        item["resource"] for item in bundle.get("entry", []) if item["search"]["mode"] == "match"
    ]


def ref(text):
    return {"reference": text}


def slots_of(appointment):
    return [item["reference"].removeprefix("Slot/") for item in appointment["slot"]]


@pytest.fixture
def clinic(client):
    return with_doctor(Clinic(client))


def with_doctor(clinic):
    clinic.doctor, clinic.room = (
        f"Practitioner/dr-{clinic.number}",
        f"Location/room-{clinic.number}",
    )
    schedule = clinic.read("Schedule", clinic.schedule)
    clinic.put(schedule | {"actor": [*schedule["actor"], ref(clinic.doctor)]})
    return clinic


# --- $find (ITI-115)


def test_find_proposes_the_free_slots_soonest_first(clinic):
    late, early, taken = clinic.slot(4), clinic.slot(1), clinic.slot(2)
    clinic.book(taken)
    bundle = find(clinic)
    assert (bundle["type"], bundle["total"]) == ("searchset", 2)
    assert [slots_of(item) for item in matches(bundle)] == [[early["id"]], [late["id"]]]
    first = matches(bundle)[0]
    assert first["status"] == "proposed"
    assert ref(clinic.doctor) in [item["actor"] for item in first["participant"]]
    assert bundle["entry"][0]["fullUrl"].endswith(f"/Appointment/{first['id']}")


def test_find_of_nothing_is_an_empty_searchset(clinic):
    bundle = find(clinic)
    assert (bundle["total"], matches(bundle)) == (0, [])


def test_kinds_of_parameters_are_anded_and_repeats_ored(clinic):
    heart, skin = clinic.slot(0, specialty=[{"coding": [{"system": "s", "code": "heart"}]}]), clinic.slot(
        1, specialty=[{"coding": [{"system": "s", "code": "skin"}]}])  # fmt: skip
    clinic.slot(2)
    assert len(matches(find(clinic, specialty=["s|heart", "s|skin"]))) == 2
    assert [slots_of(item) for item in matches(find(clinic, specialty="s|skin"))] == [[skin["id"]]]
    assert matches(find(clinic, specialty="s|heart", practitioner=ref("Practitioner/nobody"))) == []
    both = [ref("Practitioner/nobody"), ref(clinic.doctor)]
    found = matches(find(clinic, specialty="s|heart", practitioner=both))
    assert [slots_of(item) for item in found] == [[heart["id"]]]


def test_find_needs_both_ends_of_the_period_or_none(clinic):
    lost = call(clinic, "$find", start="2035-01-01T09:00:00Z")
    assert (lost.status_code, lost.json()["issue"][0]["code"]) == (400, "required")
    open_period = call(clinic, "$find", practitioner=ref(clinic.doctor))
    assert open_period.status_code == 200
    assert open_period.json()["entry"][-1]["search"]["mode"] == "outcome"
    strict = call(clinic, "$find", {"Prefer": "handling=strict"}, practitioner=ref(clinic.doctor))
    assert strict.status_code == 400


def test_find_pages_and_the_pages_hold_every_proposal_once(clinic):
    slots = [clinic.slot(place)["id"] for place in range(5)]
    bundle, seen = find(clinic, _count=2), []
    assert bundle["total"] == 5
    while True:
        seen += [slots_of(item)[0] for item in matches(bundle)]
        link = [item["url"] for item in bundle["link"] if item["relation"] == "next"]
        if not link:
            break
        bundle = clinic.client.get(link[0]).json()
    assert seen == slots


def test_find_by_get_and_with_argonauts_uris_gives_the_same(clinic):
    slot = clinic.slot()
    period = {
        "start": clinic.start.isoformat(),
        "end": (clinic.start + timedelta(hours=1)).isoformat(),
    }
    answer = clinic.client.get("Appointment/$find", params=period | {"practitioner": clinic.doctor})
    assert [slots_of(item) for item in matches(answer.json())] == [[slot["id"]]]


def test_a_duration_is_made_of_adjacent_slots(clinic):
    for place in (0, 1, 2, 4):
        clinic.slot(place)
    found = matches(find(clinic, duration=40))
    assert [len(item["slot"]) for item in found] == [2, 2]
    assert found[0]["minutesDuration"] == 40
    made = call(clinic, "$book", appointment_reference=ref(f"Appointment/{found[0]['id']}"))
    assert made.status_code == 200, made.text
    assert matches(find(clinic, duration=40)) == []


def test_a_window_is_a_time_of_the_local_day(clinic):
    clinic.slot(0), clinic.slot(6)
    local = clinic.start.astimezone(ZoneInfo("Europe/London"))
    hour = f"{local:%H:%M}-{local + timedelta(hours=1):%H:%M}"
    assert len(matches(find(clinic, window=hour))) == 1
    assert len(matches(find(clinic, window="06:00-22:00"))) == 2
    assert len(matches(find(clinic, window=f"{local:%a} 06:00-22:00"))) == 2
    other = f"{local + timedelta(days=1):%a} 06:00-22:00"
    assert matches(find(clinic, window=other)) == []
    assert len(matches(find(clinic, window=[hour, other]))) == 1
    wrong = call(clinic, "$find", start="2035-01-01", end="2035-01-02", window="nine")
    assert wrong.status_code == 400


def test_a_practitioner_and_a_room_must_both_be_free(clinic):
    room = f"room-schedule-{clinic.number}"
    clinic.put({"resourceType": "Schedule", "id": room, "actor": [ref(clinic.room)]})
    first, second = clinic.slot(0), clinic.slot(1)
    clinic.slot(0, schedule=ref(f"Schedule/{room}"))
    other = clinic.slot(1, schedule=ref(f"Schedule/{room}"))
    clinic.book(other)
    found = matches(find(clinic, location_reference=ref(clinic.room)))
    assert len(found) == 1
    assert first["id"] in slots_of(found[0])
    assert len(slots_of(found[0])) == 2
    assert (
        call(
            clinic, "$book", appointment_reference=ref(f"Appointment/{found[0]['id']}")
        ).status_code
        == 200
    )
    assert clinic.status(first) == "busy"
    assert clinic.status(second) == "free"


def test_several_patients_must_all_have_time(clinic):
    clinic.slot(0), clinic.slot(1)
    engaged = f"Patient/engaged-{clinic.number}"
    times = {
        "start": clinic.start.isoformat(),
        "end": (clinic.start + timedelta(minutes=20)).isoformat(),
    }
    clinic.book(participant=[{"actor": ref(engaged), "status": "accepted"}], **times)
    found = matches(find(clinic, patient_reference=[ref(engaged), ref("Patient/other")]))
    assert len(found) == 1
    actors = [item["actor"]["reference"] for item in found[0]["participant"]]
    assert engaged in actors
    assert "Patient/other" in actors


def test_find_by_referral_looks_at_its_services(clinic):
    slot = clinic.slot()
    value = str(uuid.uuid4())
    referral = clinic.post(
        {"resourceType": "ServiceRequest", "status": "active", "intent": "order", "subject": {"display": "x"},
         "identifier": [{"system": "u", "value": value}],
         "performer": [ref(f"HealthcareService/service-{clinic.number}")]}
    ).json()  # fmt: skip
    period = {
        "start": clinic.start.isoformat(),
        "end": (clinic.start + timedelta(hours=9)).isoformat(),
    }
    answer = call(clinic, "$find", **period, referral_identifier={"system": "u", "value": value})
    (proposal,) = matches(answer.json())
    assert slots_of(proposal) == [slot["id"]]
    # What is booked of it is booked for the referral.
    based_on = [ref(f"ServiceRequest/{referral['id']}")]
    assert proposal["basedOn"] == based_on
    (hold,) = matches(
        call(clinic, "$hold", appointment_reference=ref(f"Appointment/{proposal['id']}")).json()
    )
    answer = call(clinic, "$book", appointment_reference=ref(f"Appointment/{hold['id']}"))
    (booked,) = matches(answer.json())
    assert (booked["status"], booked["basedOn"]) == ("booked", based_on)


def test_an_unknown_parameter_is_400(clinic):
    assert call(clinic, "$find", colour="red").status_code == 400


# --- $hold (ITI-116)


def held(clinic, headers=None, **given):
    proposal = matches(find(clinic))[0]
    given = given or {"appointment_reference": ref(f"Appointment/{proposal['id']}")}
    return call(clinic, "$hold", headers, **given)


def test_a_hold_is_pending_expires_and_is_not_found_by_others(clinic):
    slot = clinic.slot()
    proposal = matches(find(clinic))[0]
    answer = call(clinic, "$hold", appointment_reference=ref(f"Appointment/{proposal['id']}"))
    assert answer.status_code == 200, answer.text
    assert answer.headers["expires"].endswith("GMT")
    (hold,) = matches(answer.json())
    assert hold["status"] == "pending"
    assert clinic.status(slot) == "busy-tentative"
    assert matches(find(clinic)) == []
    lost = call(clinic, "$hold", appointment_reference=ref(f"Appointment/{proposal['id']}"))
    assert lost.status_code == 409
    (entry,) = lost.json()["entry"]
    assert codes(entry["resource"]) == [("conflict", ["REC_CONFLICT", "SLOT_NOT_AVAILABLE"])]
    assert entry["resource"]["issue"][0]["severity"] == "fatal"
    assert clinic.post(clinic.appointment(slot)).status_code == 409


def test_a_hold_is_booked(clinic):
    slot = clinic.slot()
    (hold,) = matches(held(clinic).json())
    answer = call(
        clinic, "$book", appointment_reference=ref(f"Appointment/{hold['id']}"), comment="By phone"
    )
    assert answer.status_code == 200, answer.text
    (booked,) = matches(answer.json())
    assert (booked["id"], booked["status"], booked["comment"]) == (hold["id"], "booked", "By phone")
    assert clinic.status(slot) == "busy"


def test_a_hold_belongs_to_who_asked_for_it(clinic):
    clinic.slot()
    (hold,) = matches(held(clinic, ONE).json())
    lost = call(clinic, "$book", OTHER, appointment_reference=ref(f"Appointment/{hold['id']}"))
    assert lost.status_code == 409
    assert codes(lost.json()["entry"][0]["resource"]) == [
        ("conflict", ["REC_CONFLICT", "HOLD_EXPIRED"])
    ]
    lost = clinic.put(hold | {"status": "booked"}, **OTHER)
    assert codes(lost.json()) == [("conflict", ["REC_CONFLICT", "HOLD_EXPIRED"])]
    assert (
        call(
            clinic, "$book", ONE, appointment_reference=ref(f"Appointment/{hold['id']}")
        ).status_code
        == 200
    )


def test_a_hold_is_released_by_cancelling_it(clinic):
    slot = clinic.slot()
    (hold,) = matches(held(clinic).json())
    answer = clinic.client.post(f"Appointment/{hold['id']}/$cancel")
    assert (answer.status_code, answer.json()["status"]) == (200, "cancelled")
    assert clinic.status(slot) == "free"


def test_what_cannot_be_held_is_404(clinic):
    lost = call(clinic, "$hold", appointment_reference=ref("Appointment/nothing"))
    assert (lost.status_code, lost.json()["resourceType"]) == (404, "Bundle")
    assert call(clinic, "$hold").status_code == 400
    assert clinic.client.get("Appointment/$hold").status_code == 405


def lapsing(clinic_of, **settings):
    clinic = with_doctor(clinic_of(hold_seconds="1", **settings))
    return clinic, clinic.slot()


def until(holds, seconds=20):
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_hold_lapses_by_itself(clinic_of):
    clinic, slot = lapsing(clinic_of)
    (hold,) = matches(held(clinic).json())
    until(lambda: clinic.status(slot) == "free")
    assert len(matches(find(clinic))) == 1
    assert clinic.read("Appointment", hold["id"])["status"] == "cancelled"
    late = call(clinic, "$book", appointment_reference=ref(f"Appointment/{hold['id']}"))
    assert late.status_code == 409
    assert codes(late.json()["entry"][0]["resource"]) == [
        ("expired", ["REC_CONFLICT", "HOLD_EXPIRED"])
    ]
    late = clinic.put(hold | {"status": "booked"})
    assert (late.status_code, codes(late.json())) == (
        409,
        [("expired", ["REC_CONFLICT", "HOLD_EXPIRED"])],
    )
    clinic.book(slot)


def test_an_expired_hold_is_taken_over_before_anybody_swept(clinic_of):
    clinic, slot = lapsing(clinic_of)
    (hold,) = matches(held(clinic).json())
    until(lambda: clinic.post(clinic.appointment(slot)).status_code == 201)
    assert clinic.status(slot) == "busy"
    assert clinic.read("Appointment", hold["id"])["status"] == "cancelled"


def test_a_hold_is_renewed(clinic_of):
    clinic = with_doctor(clinic_of(hold_seconds="2"))
    slot = clinic.slot()
    (hold,) = matches(held(clinic).json())
    for _ in range(5):
        time.sleep(0.7)
        again = clinic.client.post(f"Appointment/{hold['id']}/$hold")
        assert again.status_code == 200, again.text
        assert "expires" in again.headers
    assert clinic.status(slot) == "busy-tentative"
    assert clinic.read("Appointment", hold["id"])["meta"]["versionId"] == "1"


def test_a_client_holds_no_more_than_it_may(clinic_of):
    clinic = with_doctor(clinic_of(maximum_holds="2"))
    for place in range(4):
        clinic.slot(place)
    statuses = [held(clinic, ONE).status_code for _ in range(3)]
    assert statuses == [200, 200, 409]
    assert held(clinic, OTHER).status_code == 200


# --- $book (ITI-117)


def test_book_a_proposal_with_a_patient_that_is_sent(clinic):
    slot = clinic.slot()
    proposal = matches(find(clinic))[0]
    patient = {"resourceType": "Patient", "identifier": [{"system": "n", "value": clinic.number}],
               "name": [{"family": "Zoë"}]}  # fmt: skip
    answer = call(
        clinic,
        "$book",
        appointment_reference=ref(f"Appointment/{proposal['id']}"),
        patient_resource=patient,
    )
    assert answer.status_code == 200, answer.text
    (booked,) = matches(answer.json())
    assert booked["status"] == "booked"
    assert {item["status"] for item in booked["participant"]} == {"accepted"}
    found = clinic.client.get("Patient", params={"identifier": f"n|{clinic.number}"}).json()
    assert ref(f"Patient/{found['entry'][0]['resource']['id']}") in [
        item["actor"] for item in booked["participant"]
    ]
    assert clinic.status(slot) == "busy"


def test_the_patients_of_find_take_part_in_the_booking(clinic):
    clinic.slot()
    clinic.put({"resourceType": "Patient", "id": clinic.patient})
    proposal = matches(find(clinic, patient_reference=ref(f"Patient/{clinic.patient}")))[0]
    (booked,) = matches(
        call(clinic, "$book", appointment_reference=ref(f"Appointment/{proposal['id']}")).json()
    )
    assert f"Patient/{clinic.patient}" in [
        item["actor"]["reference"] for item in booked["participant"]
    ]


def test_book_a_resource_change_it_and_cancel_it(clinic):
    slot, later = clinic.slot(), clinic.slot(3)
    answer = call(clinic, "$book", appointment_resource=clinic.appointment(slot, status="pending"))
    (booked,) = matches(answer.json())
    assert booked["status"] == "booked"
    moved = clinic.appointment(later) | {"id": booked["id"]}
    (changed,) = matches(call(clinic, "$book", appointment_resource=moved).json())
    assert (changed["meta"]["versionId"], clinic.status(slot), clinic.status(later)) == (
        "2",
        "free",
        "busy",
    )
    (gone,) = matches(
        call(clinic, "$book", appointment_resource=changed | {"status": "cancelled"}).json()
    )
    assert gone["status"] == "cancelled"
    assert clinic.status(later) == "free"


def test_a_failed_booking_is_a_bundle_with_only_the_outcome(clinic):
    slot = clinic.slot()
    clinic.book(slot)
    lost = call(clinic, "$book", appointment_resource=clinic.appointment(slot))
    assert lost.status_code == 409
    assert [item["resource"]["resourceType"] for item in lost.json()["entry"]] == [
        "OperationOutcome"
    ]


def test_argonauts_names_work_and_reschedule_in_one_act(clinic):
    old, new = clinic.slot(), clinic.slot(3)
    made = clinic.book(old)
    answer = call(clinic, "$book", appt_resource=clinic.appointment(new), cancelled_appt_id=made["id"],
                  patient_id=f"Patient/{clinic.patient}")  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert (clinic.status(old), clinic.status(new)) == ("free", "busy")
    again = clinic.slot(6)
    clinic.book(again)
    booked = matches(answer.json())[0]
    lost = call(
        clinic, "$book", appt_resource=clinic.appointment(again), cancelled_appt_id=booked["id"]
    )
    assert lost.status_code == 409
    assert clinic.read("Appointment", booked["id"])["status"] == "booked"
    assert clinic.status(new) == "busy"


def test_hold_and_book_at_the_instance_level(clinic):
    slot = clinic.slot()
    stored = clinic.book(slot, status="proposed")
    assert clinic.client.post(f"Appointment/{stored['id']}/$hold").status_code == 200
    answer = clinic.client.post(f"Appointment/{stored['id']}/$book")
    assert matches(answer.json())[0]["status"] == "booked"
    assert clinic.status(slot) == "busy"


def test_booking_what_is_booked_already_changes_nothing(clinic):
    clinic.slot()
    (hold,) = matches(held(clinic).json())
    given = {"appointment_reference": ref(f"Appointment/{hold['id']}")}
    first = matches(call(clinic, "$book", **given).json())[0]
    assert matches(call(clinic, "$book", **given).json())[0] == first


def test_the_same_in_xml(clinic):
    from lxml import etree

    slot = clinic.slot()
    headers = {"Content-Type": "application/fhir+xml", "Accept": "application/fhir+xml"}

    def send(operation, *given):
        body = "".join(
            f'<parameter><name value="{name}"/>{value}</parameter>' for name, value in given
        )
        body = f'<Parameters xmlns="http://hl7.org/fhir">{body}</Parameters>'
        return clinic.client.post(f"Appointment/{operation}", content=body, headers=headers)

    def named(text):
        return f'<valueReference><reference value="{text}"/></valueReference>'

    end = (clinic.start + timedelta(hours=1)).isoformat()
    answer = send(
        "$find",
        ("start", f'<valueDateTime value="{clinic.start.isoformat()}"/>'),
        ("end", f'<valueDateTime value="{end}"/>'),
        ("practitioner", named(clinic.doctor)),
    )
    (found,) = etree.fromstring(answer.content).findall(f".//{NS}Appointment/{NS}id")
    given = ("appointment-reference", named(f"Appointment/{found.get('value')}"))
    booked = etree.fromstring(send("$book", given).content)
    assert booked.find(f".//{NS}Appointment/{NS}status").get("value") == "booked"
    assert clinic.status(slot) == "busy"
    assert b"SLOT_NOT_AVAILABLE" in send("$book", given).content


# --- $cancel and $rebook


def test_cancel_gives_the_reason_and_frees_the_slot_once(clinic):
    slot = clinic.slot()
    made = clinic.book(slot)
    reasons = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"
    reason = {"coding": [{"system": reasons, "code": "pat"}]}
    body = parameters(comment="Feels better")
    body["parameter"].append({"name": "reason", "valueCodeableConcept": reason})
    answer = clinic.client.post(f"Appointment/{made['id']}/$cancel", json=body, headers=FHIR)
    assert answer.status_code == 200, answer.text
    assert answer.json()["cancelationReason"]["coding"][0]["code"] == "pat"
    assert clinic.status(slot) == "free"
    again = clinic.client.post(f"Appointment/{made['id']}/$cancel", json=body, headers=FHIR)
    assert again.json()["meta"]["versionId"] == "2"
    assert clinic.client.post("Appointment/nobody/$cancel").status_code == 404


def test_rebook_moves_the_appointment_or_leaves_it(clinic):
    old, new, taken = clinic.slot(), clinic.slot(3), clinic.slot(6)
    clinic.book(taken)
    made = clinic.book(old)

    def rebook(*slots):
        body = parameters(slot=[ref(f"Slot/{slot['id']}") for slot in slots])
        return clinic.client.post(f"Appointment/{made['id']}/$rebook", json=body, headers=FHIR)

    lost = rebook(taken)
    assert (lost.status_code, codes(lost.json())) == (
        409,
        [("conflict", ["REC_CONFLICT", "SLOT_NOT_AVAILABLE"])],
    )
    assert clinic.status(old) == "busy"
    answer = rebook(new)
    assert answer.status_code == 200, answer.text
    assert (answer.json()["start"], clinic.status(old), clinic.status(new)) == (
        new["start"],
        "free",
        "busy",
    )
    assert rebook().status_code == 400


def test_the_capability_statement_lists_the_operations(clinic):
    statement = clinic.client.get("metadata").json()
    (appointment,) = [
        item for item in statement["rest"][0]["resource"] if item["type"] == "Appointment"
    ]
    assert {"find", "hold", "book", "cancel", "rebook"} <= {
        item["name"] for item in appointment["operation"]
    }


def test_operations_and_the_sweep_need_no_if_match_where_updates_do(clinic_of):
    clinic = clinic_of(require_if_match="true", hold_seconds="1")
    number = [{"system": "https://example.org/slots", "value": clinic.number}]
    slots = [clinic.slot(), clinic.slot(1, identifier=number), clinic.slot(2)]
    first, second = (clinic.book(slot) for slot in slots[:2])
    answer = call(clinic, "$hold", appointment_resource=clinic.appointment(slots[2]))
    assert answer.status_code == 200, answer.text
    answer = call(clinic, f"{first['id']}/$cancel", reason="pat")
    assert answer.status_code == 200, answer.text
    answer = call(clinic, f"{second['id']}/$rebook", slot=ref(f"Slot/{slots[0]['id']}"))
    assert answer.status_code == 200, answer.text
    sent = slots[1] | {"comment": "Room 3"}
    answer = clinic.client.post("Slot/$publish", json=sent, headers=FHIR)
    assert answer.json()["entry"][0]["response"]["status"].startswith("200"), answer.text
    deadline = time.monotonic() + 10
    while clinic.status(slots[2]) != "free":
        assert time.monotonic() < deadline
        time.sleep(0.1)
