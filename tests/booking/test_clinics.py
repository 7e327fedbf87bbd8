"""Whole clinics at once: $publish, $generate and $cancel-clinic (https://hl7.org/fhir/R4/schedule.html)."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest
from booking_clinic import FHIR, codes

CODE = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"


def published(clinic, place, **elements):
    slot = clinic.slot_resource(place, **elements)
    value = f"{clinic.number}-{place}"
    return {name: item for name, item in slot.items() if name != "id"} | {
        "identifier": [{"system": "usrn", "value": value}]
    }


def publish(clinic, slots):
    body = {
        "resourceType": "Bundle",
        "type": "collection",
        "entry": [{"resource": item} for item in slots],
    }
    return clinic.client.post("Slot/$publish", json=body, headers=FHIR)


def statuses(answer):
    assert answer.status_code == 200, answer.text
    return [item["response"]["status"].partition(" ")[0] for item in answer.json()["entry"]]


def stored(clinic, place):
    found = clinic.client.get("Slot", params={"identifier": f"usrn|{clinic.number}-{place}"}).json()
    (entry,) = found["entry"]
    return entry["resource"]


def test_publish_creates_updates_and_leaves_what_is_the_same(clinic):
    slots = [published(clinic, place) for place in range(3)]
    assert statuses(publish(clinic, slots)) == ["201", "201", "201"]
    slots[1]["comment"] = "Room 2"
    assert statuses(publish(clinic, slots)) == ["200", "200", "200"]
    assert [stored(clinic, place)["meta"]["versionId"] for place in range(3)] == ["1", "2", "1"]


def test_publish_never_overwrites_a_slot_in_use(clinic):
    slots = [published(clinic, place) for place in range(2)]
    publish(clinic, slots)
    clinic.book(stored(clinic, 0))
    slots[0]["comment"] = slots[1]["comment"] = "Moved"
    answer = publish(clinic, slots)
    assert statuses(answer) == ["409", "200"]
    outcome = answer.json()["entry"][0]["response"]["outcome"]
    assert codes(outcome) == [("conflict", ["REC_CONFLICT", "SLOT_HAS_APPOINTMENT"])]
    assert "comment" not in stored(clinic, 0)
    assert stored(clinic, 0)["status"] == "busy"


def test_publish_reads_ndjson(clinic):
    lines = "\n".join(json.dumps(published(clinic, place)) for place in range(2))
    headers = {"Content-Type": "application/fhir+ndjson"}
    answer = clinic.client.post("Slot/$publish", content=lines, headers=headers)
    assert statuses(answer) == ["201", "201"]


@pytest.mark.parametrize("change", [{"identifier": []}, {"status": "open"}, {"start": None}])
def test_publish_stores_nothing_when_a_slot_is_wrong(clinic, change):
    wrong = {name: item for name, item in (published(clinic, 1) | change).items() if item}
    answer = publish(clinic, [published(clinic, 0), wrong])
    assert 400 <= answer.status_code < 500
    assert "Bundle.entry[1].resource" in answer.json()["issue"][0]["expression"][0]
    found = clinic.client.get("Slot", params={"identifier": f"usrn|{clinic.number}-0"}).json()
    assert found["total"] == 0


def generate(clinic, **given):
    listed = [
        {"name": name.replace("_", "-"), "valueString": str(value)} for name, value in given.items()
    ]
    body = {"resourceType": "Parameters", "parameter": listed}
    return clinic.client.post(f"Schedule/{clinic.schedule}/$generate", json=body, headers=FHIR)


def starts(clinic):
    found = clinic.client.get(
        "Slot",
        params={"schedule": f"Schedule/{clinic.schedule}", "_sort": "start", "_count": "200"},
    )
    return [item["resource"]["start"] for item in found.json().get("entry", [])]


def test_a_clinic_stays_at_nine_when_the_clocks_change(clinic):
    answer = generate(
        clinic, start="2035-03-22T09:00", rrule="FREQ=WEEKLY;BYDAY=TH;COUNT=3", slot_minutes=30
    )
    assert statuses(answer) == ["201", "201", "201"]
    assert starts(clinic) == [
        "2035-03-22T09:00:00Z",
        "2035-03-29T08:00:00Z",
        "2035-04-05T08:00:00Z",
    ]


def test_the_hour_that_is_skipped_and_the_hour_that_comes_twice(clinic):
    # In London the clocks jump from 01:00 to 02:00 on 25 March 2035, and back from 02:00 to 01:00 on 28 October.
    generate(clinic, start="2035-03-25T00:30", session_minutes=60, slot_minutes=30)
    assert starts(clinic) == ["2035-03-25T00:30:00Z", "2035-03-25T01:00:00Z"]
    generate(clinic, start="2035-10-28T01:30", slot_minutes=30)
    assert starts(clinic)[-1] == "2035-10-28T00:30:00Z"
    generate(clinic, start="2035-10-28T01:30", slot_minutes=30, time_zone="Etc/UTC")
    assert starts(clinic)[-1] == "2035-10-28T01:30:00Z"


def test_generating_again_makes_no_slot_twice_and_spares_what_is_booked(clinic):
    given = {
        "start": "2035-05-07T09:00",
        "rrule": "FREQ=DAILY;UNTIL=20350509T235959Z",
        "slot_minutes": 20,
        "session_minutes": 60,
    }
    assert statuses(generate(clinic, **given)) == ["201"] * 9
    first = clinic.client.get(
        "Slot", params={"schedule": f"Schedule/{clinic.schedule}", "_sort": "start"}
    ).json()
    clinic.book(first["entry"][0]["resource"])
    assert statuses(generate(clinic, **given)) == ["409"] + ["200"] * 8
    assert len(starts(clinic)) == 9


@pytest.mark.parametrize(
    "given",
    [
        {"start": "2035-05-07T09:00"},
        {"start": "soon", "slot_minutes": 20},
        {"start": "2035-05-07T09:00", "slot_minutes": 20, "rrule": "FREQ=WEEKLY"},
        {"start": "2035-05-07T09:00", "slot_minutes": 20, "rrule": "FREQ=SECONDLY;COUNT=5"},
        {"start": "2035-05-07T09:00", "slot_minutes": 20, "rrule": "FREQ=DAILY;COUNT=5;INTERVAL=0"},
        {"start": "2035-05-07T09:00", "slot_minutes": 20, "rrule": "nonsense"},
        {"start": "2035-05-07T09:00", "slot_minutes": 20, "time_zone": "Mars"},
        {"start": "2035-05-07T09:00", "slot_minutes": 0},
    ],
)
def test_what_cannot_be_generated_is_400(clinic, given):
    answer = generate(clinic, **given)
    assert answer.status_code == 400, answer.text
    assert starts(clinic) == []


def test_too_many_slots_are_refused(clinic):
    answer = generate(
        clinic, start="2035-05-07T09:00", rrule="FREQ=DAILY;COUNT=5000", slot_minutes=20
    )
    assert (answer.status_code, answer.json()["issue"][0]["code"]) == (403, "too-costly")


def cancel_clinic(clinic, minutes=600, **given):
    end = clinic.start + timedelta(minutes=minutes)
    listed = [
        {"name": "start", "valueDateTime": clinic.start.isoformat()},
        {"name": "end", "valueDateTime": end.isoformat()},
    ]
    listed += [{"name": name, "valueString": value} for name, value in given.items()]
    body = {"resourceType": "Parameters", "parameter": listed}
    return clinic.client.post(f"Schedule/{clinic.schedule}/$cancel-clinic", json=body, headers=FHIR)


def of_type(answer, resource_type):
    assert answer.status_code == 200, answer.text
    found = [item["resource"] for item in answer.json().get("entry", [])]
    return [item for item in found if item["resourceType"] == resource_type]


def test_cancelling_a_clinic_displaces_every_appointment_in_one_act(clinic):
    slots = [clinic.slot(place) for place in range(4)]
    long = clinic.book(slots[0], slots[1])
    pending = clinic.book(slots[2], status="pending")
    later = clinic.slot(40)
    kept = clinic.book(later)
    answer = cancel_clinic(clinic, reason="Dr Smith is ill")
    assert {item["id"] for item in of_type(answer, "Appointment")} == {long["id"], pending["id"]}
    tasks = of_type(answer, "Task")
    assert {item["focus"]["reference"] for item in tasks} == {
        f"Appointment/{long['id']}",
        f"Appointment/{pending['id']}",
    }
    assert {item["code"]["coding"][0]["code"] for item in tasks} == {"DISPLACED_APPOINTMENT"}
    assert {item["status"] for item in tasks} == {"requested"}
    assert all(item["for"]["reference"].startswith("Patient/") for item in tasks)
    assert clinic.read("Appointment", long["id"])["status"] == "cancelled"
    assert {clinic.status(slot) for slot in slots} == {"busy-unavailable"}
    assert clinic.read("Slot", slots[3]["id"])["meta"]["versionId"] == "2"
    assert clinic.read("Appointment", kept["id"])["status"] == "booked"
    assert clinic.status(later) == "busy"
    assert clinic.post(clinic.appointment(slots[0])).status_code == 409
    assert of_type(cancel_clinic(clinic), "Task") == []


def test_a_slot_of_the_appointment_elsewhere_is_free_again(clinic):
    inside, outside = clinic.slot(0), clinic.slot(1)
    clinic.book(inside, outside)
    cancel_clinic(clinic, minutes=10)
    assert (clinic.status(inside), clinic.status(outside)) == ("busy-unavailable", "free")


def test_a_provider_that_insists_displaces_the_appointment(clinic):
    slot, other = clinic.slot(0), clinic.slot(1)
    made = clinic.book(slot, other)
    lenient = {"Prefer": "handling=lenient"}
    assert clinic.put(slot).status_code == 409
    answer = clinic.put(slot | {"status": "free"}, **lenient)
    assert answer.status_code == 200, answer.text
    assert clinic.read("Appointment", made["id"])["status"] == "cancelled"
    assert (clinic.status(slot), clinic.status(other)) == ("free", "free")
    found = clinic.client.get("Task", params={"focus": f"Appointment/{made['id']}"}).json()
    assert found["entry"][0]["resource"]["code"]["coding"][0]["code"] == "DISPLACED_APPOINTMENT"
    again = clinic.book(slot)
    assert clinic.client.delete(f"Slot/{slot['id']}", headers=lenient).status_code == 204
    assert clinic.read("Appointment", again["id"])["status"] == "cancelled"


def test_starts_are_where_they_were_asked_for():
    assert datetime.fromisoformat("2035-03-22T09:00").strftime("%a") == "Thu"
