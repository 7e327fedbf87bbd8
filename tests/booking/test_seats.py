"""A slot's seat belongs to one live appointment, whichever door it came through.

https://hl7.org/fhir/R4/appointment.html, https://hl7.org/fhir/R4/slot.html
"""

from __future__ import annotations

import base64
import uuid

import orjson
import pytest
from booking_clinic import FHIR, Clinic, codes

CONFLICT = ("conflict", ["REC_CONFLICT", "SLOT_NOT_AVAILABLE"])
IN_USE = ("conflict", ["REC_CONFLICT", "SLOT_HAS_APPOINTMENT"])


def bundle(kind, *entries):
    return {"resourceType": "Bundle", "type": kind,
            "entry": [{"resource": resource, "request": {"method": method, "url": url}} if resource
                      else {"request": {"method": method, "url": url}}
                      for method, url, resource in entries]}  # fmt: skip


def send(clinic, kind, *entries):
    return clinic.client.post("", json=bundle(kind, *entries), headers=FHIR)


def by_post(clinic, appointment):
    return clinic.post(appointment)


def by_put(clinic, appointment):
    return clinic.put(appointment | {"id": str(uuid.uuid4())})


def by_conditional_create(clinic, appointment):
    return clinic.post(appointment, **{"If-None-Exist": f"identifier=x|{uuid.uuid4()}"})


def by_conditional_update(clinic, appointment):
    path = f"Appointment?identifier=x|{uuid.uuid4()}"
    return clinic.client.put(path, json=appointment, headers=FHIR)


def by_transaction(clinic, appointment):
    return send(clinic, "transaction", ("POST", "Appointment", appointment))


def proposed(clinic, appointment):
    answer = clinic.post(appointment | {"status": "proposed"})
    assert answer.status_code == 201, answer.text
    return answer.json()


def by_update_of_a_proposal(clinic, appointment):
    return clinic.put(proposed(clinic, appointment) | {"status": "booked"})


def by_json_patch(clinic, appointment):
    path = f"Appointment/{proposed(clinic, appointment)['id']}"
    patch = [{"op": "replace", "path": "/status", "value": "booked"}]
    return clinic.client.patch(
        path,
        content=orjson.dumps(patch),
        headers={"Content-Type": "application/json-patch+json"},
    )


def by_conditional_patch(clinic, appointment):
    value = str(uuid.uuid4())
    proposed(clinic, appointment | {"identifier": [{"system": "x", "value": value}]})
    patch = [{"op": "replace", "path": "/status", "value": "booked"}]
    return clinic.client.patch(
        f"Appointment?identifier=x|{value}",
        content=orjson.dumps(patch),
        headers={"Content-Type": "application/json-patch+json"},
    )


def by_patch_in_transaction(clinic, appointment):
    path = f"Appointment/{proposed(clinic, appointment)['id']}"
    patch = base64.b64encode(b'[{"op":"replace","path":"/status","value":"booked"}]').decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch}
    return send(clinic, "transaction", ("PATCH", path, binary))


def by_undelete(clinic, appointment):
    stored = proposed(clinic, appointment)
    assert clinic.client.delete(f"Appointment/{stored['id']}").status_code == 204
    return clinic.put(stored | {"status": "booked"})


DOORS = [by_post, by_put, by_conditional_create, by_conditional_update, by_transaction, by_json_patch,
         by_update_of_a_proposal, by_conditional_patch, by_patch_in_transaction, by_undelete]  # fmt: skip


@pytest.mark.rule(354, "appointment.html")
@pytest.mark.parametrize("door", DOORS, ids=lambda door: door.__name__)
def test_a_free_slot_is_booked_once_through(clinic, door):
    slot = clinic.slot()
    won = door(clinic, clinic.appointment(slot))
    assert won.status_code in (200, 201), won.text
    assert clinic.status(slot) == "busy"
    lost = door(clinic, clinic.appointment(slot))
    assert lost.status_code == 409
    assert codes(lost.json()) == [CONFLICT]
    assert lost.json()["issue"][0]["expression"][0].endswith(("Appointment.slot[0]", ".slot[0]"))
    assert "Patient" not in lost.text


@pytest.mark.rule(354, "appointment.html")
def test_in_a_batch_the_loser_gets_409_in_its_place(clinic):
    slot = clinic.slot()
    entries = [("POST", "Appointment", clinic.appointment(slot)) for _ in range(3)]
    answer = send(clinic, "batch", *entries).json()
    statuses = [entry["response"]["status"] for entry in answer["entry"]]
    assert statuses == ["201 Created", "409 Conflict", "409 Conflict"]
    assert codes(answer["entry"][1]["response"]["outcome"]) == [CONFLICT]


def test_a_transaction_that_books_one_slot_twice_does_nothing(clinic):
    slot, other = clinic.slot(), clinic.slot(5)
    answer = send(clinic, "transaction", ("POST", "Appointment", clinic.appointment(other)),
                  ("POST", "Appointment", clinic.appointment(slot)),
                  ("POST", "Appointment", clinic.appointment(slot)))  # fmt: skip
    assert answer.status_code == 409
    assert clinic.status(slot) == clinic.status(other) == "free"


def test_several_slots_are_taken_all_or_none(clinic):
    slots = [clinic.slot(place) for place in range(3)]
    clinic.book(slots[1])
    lost = clinic.post(clinic.appointment(*slots))
    assert lost.status_code == 409
    assert lost.json()["issue"][0]["expression"] == ["Appointment.slot[1]"]
    assert [clinic.status(slot) for slot in slots] == ["free", "busy", "free"]


def test_capacity_is_counted_in_seats(clinic):
    slot = clinic.slot(capacity=3)
    clinic.book(slot)
    clinic.book(slot)
    assert clinic.status(slot) == "free"
    last = clinic.book(slot)
    assert clinic.status(slot) == "busy"
    assert clinic.post(clinic.appointment(slot)).status_code == 409
    clinic.put(last | {"status": "cancelled"})
    assert clinic.status(slot) == "free"


@pytest.mark.parametrize("status", ["cancelled", "entered-in-error"])
def test_a_slot_is_free_again_when_its_appointment_is(clinic, status):
    slot = clinic.slot()
    made = clinic.book(slot)
    assert clinic.put(made | {"status": status}).status_code == 200
    assert clinic.status(slot) == "free"
    clinic.book(slot)


def test_deleting_an_appointment_frees_its_slot_and_bringing_it_back_needs_the_seat(clinic):
    slot = clinic.slot()
    made = clinic.book(slot)
    assert clinic.client.delete(f"Appointment/{made['id']}").status_code == 204
    assert clinic.status(slot) == "free"
    clinic.book(slot)
    assert clinic.put(made).status_code == 409


def test_a_pending_appointment_makes_the_slot_busy_tentative(clinic):
    slot = clinic.slot()
    made = clinic.book(slot, status="pending")
    assert clinic.status(slot) == "busy-tentative"
    assert clinic.post(clinic.appointment(slot)).status_code == 409
    assert clinic.put(made | {"status": "booked"}).status_code == 200
    assert clinic.status(slot) == "busy"


@pytest.mark.parametrize("status", ["proposed", "waitlist", "cancelled"])
def test_an_appointment_that_is_not_live_needs_no_seat(clinic, status):
    slot = clinic.slot()
    clinic.book(slot)
    clinic.book(slot, status=status)


def test_rescheduling_takes_the_new_slot_and_frees_the_old_one_or_does_neither(clinic):
    old, new, taken = clinic.slot(), clinic.slot(3), clinic.slot(6)
    clinic.book(taken)
    made = clinic.book(old)
    lost = clinic.put(clinic.appointment(taken) | {"id": made["id"]})
    assert lost.status_code == 409
    assert clinic.status(old) == "busy"
    assert clinic.put(clinic.appointment(new) | {"id": made["id"]}).status_code == 200
    assert (clinic.status(old), clinic.status(new)) == ("free", "busy")


def test_two_appointments_change_places_in_one_transaction(clinic):
    slots = clinic.slot(), clinic.slot(3)
    made = [clinic.book(slot) for slot in slots]
    crossed = [
        clinic.appointment(slot) | {"id": old["id"]}
        for slot, old in zip(slots, reversed(made), strict=True)
    ]
    answer = send(clinic, "transaction", *(("PUT", f"Appointment/{item['id']}", item) for item in crossed))  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert [clinic.status(slot) for slot in slots] == ["busy", "busy"]


def test_one_transaction_cancels_and_gives_the_slot_to_another(clinic):
    slot = clinic.slot()
    made = clinic.book(slot)
    answer = send(clinic, "transaction", ("POST", "Appointment", clinic.appointment(slot)),
                  ("PUT", f"Appointment/{made['id']}", made | {"status": "cancelled"}))  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert clinic.status(slot) == "busy"
    assert clinic.post(clinic.appointment(slot)).status_code == 409


def test_a_transaction_may_write_the_slot_too(clinic):
    slot = clinic.slot()
    version = {"method": "PUT", "url": f"Slot/{slot['id']}", "ifMatch": 'W/"1"'}
    wanted = bundle("transaction", ("POST", "Appointment", clinic.appointment(slot)))
    wanted["entry"].append({"resource": slot | {"status": "busy"}, "request": version})
    answer = clinic.client.post("", json=wanted, headers=FHIR)
    assert answer.status_code == 200, answer.text
    assert clinic.read("Slot", slot["id"])["meta"]["versionId"] == "2"
    assert clinic.client.post("", json=wanted, headers=FHIR).status_code in (409, 412)
    made = answer.json()["entry"][0]["resource"]
    freed = send(clinic, "transaction", ("PUT", f"Slot/{slot['id']}", slot),
                 ("PUT", f"Appointment/{made['id']}", made | {"status": "cancelled"}))  # fmt: skip
    assert freed.status_code == 200, freed.text
    assert clinic.status(slot) == "free"


def test_a_transaction_may_book_a_slot_and_change_something_else_of_it(clinic):
    slot = clinic.slot()
    patch = base64.b64encode(b'[{"op":"add","path":"/comment","value":"Room 3"}]').decode()
    binary = {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": patch}
    answer = send(
        clinic,
        "transaction",
        ("PATCH", f"Slot/{slot['id']}", binary),
        ("POST", "Appointment", clinic.appointment(slot)),
    )
    assert answer.status_code == 200, answer.text
    after = clinic.read("Slot", slot["id"])
    assert (after["status"], after["comment"]) == ("busy", "Room 3")


def test_a_transaction_may_make_the_slot_and_its_appointment(clinic):
    slot = clinic.slot_resource()
    answer = send(clinic, "transaction", ("POST", "Appointment", clinic.appointment(slot)),
                  ("PUT", f"Slot/{slot['id']}", slot))  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert clinic.status(slot) == "busy"


def test_an_appointment_and_its_slot_can_be_deleted_together(clinic):
    slot = clinic.slot()
    made = clinic.book(slot)
    answer = send(clinic, "transaction", ("DELETE", f"Slot/{slot['id']}", None),
                  ("DELETE", f"Appointment/{made['id']}", None))  # fmt: skip
    assert answer.status_code == 200, answer.text
    assert clinic.client.get(f"Slot/{slot['id']}").status_code == 410


def test_an_appointment_may_come_before_its_slot(clinic):
    slot = clinic.slot_resource()
    clinic.book(slot)
    assert clinic.post(clinic.appointment(slot)).status_code == 409
    assert clinic.put(slot | {"status": "busy"}).status_code == 201
    assert clinic.status(slot) == "busy"


def test_a_versioned_and_an_absolute_reference_name_the_same_slot(clinic):
    slot = clinic.slot()
    base = str(clinic.client.base_url)
    first = clinic.appointment(slot) | {"slot": [{"reference": f"{base}Slot/{slot['id']}"}]}
    assert clinic.post(first).status_code == 201
    second = clinic.appointment(slot) | {"slot": [{"reference": f"Slot/{slot['id']}/_history/1"}]}
    assert clinic.post(second).status_code == 409


@pytest.mark.parametrize("status", ["busy-unavailable", "entered-in-error"])
def test_a_closed_slot_cannot_be_booked(clinic, status):
    slot = clinic.slot(status=status)
    lost = clinic.post(clinic.appointment(slot))
    assert (lost.status_code, codes(lost.json())) == (409, [CONFLICT])


# --- Direct writes to a slot


def test_a_slot_in_use_cannot_be_set_free(clinic):
    slot = clinic.slot()
    clinic.book(slot)
    lost = clinic.put(slot)
    assert (lost.status_code, codes(lost.json())) == (409, [IN_USE])
    patch = b'[{"op":"replace","path":"/status","value":"free"}]'
    headers = {"Content-Type": "application/json-patch+json"}
    lost = clinic.client.patch(f"Slot/{slot['id']}", content=patch, headers=headers)
    assert (lost.status_code, codes(lost.json())) == (409, [IN_USE])


@pytest.mark.parametrize("change", [{"start": "2035-01-01T00:00:00Z"}, {"end": "2050-01-01T00:00:00Z"},
                                    {"schedule": {"reference": "Schedule/other"}},
                                    {"status": "busy-unavailable"}, {"status": "entered-in-error"}])  # fmt: skip
def test_a_slot_in_use_keeps_its_time_schedule_and_status(clinic, change):
    slot = clinic.slot()
    clinic.book(slot)
    lost = clinic.put(slot | {"status": "busy"} | change)
    assert (lost.status_code, codes(lost.json())) == (409, [IN_USE])


def test_a_slot_in_use_may_get_a_comment(clinic):
    slot = clinic.slot()
    clinic.book(slot)
    assert clinic.put(slot | {"status": "busy", "comment": "Room 3"}).status_code == 200


def test_a_slot_in_use_cannot_be_deleted(clinic):
    slot = clinic.slot()
    made = clinic.book(slot)
    lost = clinic.client.delete(f"Slot/{slot['id']}")
    assert (lost.status_code, codes(lost.json())) == (409, [IN_USE])
    lost = clinic.client.delete("Slot", params={"_id": slot["id"]})
    assert (lost.status_code, codes(lost.json())) == (409, [IN_USE])
    clinic.put(made | {"status": "cancelled"})
    assert clinic.client.delete(f"Slot/{slot['id']}").status_code == 204


def test_capacity_cannot_fall_below_what_is_booked(clinic):
    slot = clinic.slot(capacity=3)
    for _ in range(2):
        clinic.book(slot)
    smaller = {name: value for name, value in slot.items() if name != "extension"}
    lost = clinic.put(smaller | {"status": "busy"})
    assert (lost.status_code, codes(lost.json())) == (409, [IN_USE])


ONE, OTHER = {"NHSD-End-User-Organisation": "b25l"}, {"NHSD-End-User-Organisation": "b3RoZXI="}


def test_the_two_step_habit_works_for_its_owner_only(clinic):
    slot = clinic.slot()
    assert clinic.put(slot | {"status": "busy"}, **ONE).status_code == 200
    lost = clinic.post(clinic.appointment(slot), **OTHER)
    assert (lost.status_code, codes(lost.json())) == (409, [CONFLICT])
    assert clinic.put(slot, **OTHER).status_code == 409
    assert clinic.post(clinic.appointment(slot), **ONE).status_code == 201
    assert clinic.status(slot) == "busy"


def test_who_blocked_a_slot_can_free_it(clinic):
    slot = clinic.slot()
    clinic.put(slot | {"status": "busy"}, **ONE)
    assert clinic.put(slot, **ONE).status_code == 200
    assert clinic.post(clinic.appointment(slot), **OTHER).status_code == 201


def test_a_block_leaves_the_seats_that_are_booked(clinic):
    slot = clinic.slot(capacity=3)
    made = clinic.book(slot)
    assert clinic.put(slot | {"status": "busy"}, **ONE).status_code == 200
    assert clinic.post(clinic.appointment(slot), **OTHER).status_code == 409
    assert clinic.put(slot, **ONE).status_code == 200
    clinic.put(made | {"status": "cancelled"})
    for _ in range(3):
        clinic.book(slot)


# --- Statuses


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("cancelled", "booked"),
        ("fulfilled", "booked"),
        ("entered-in-error", "booked"),
        ("cancelled", "proposed"),
        ("noshow", "cancelled"),
    ],
)
def test_a_status_that_may_not_follow_is_422(clinic, before, after):
    made = clinic.book(start="2020-01-01T09:00:00Z", end="2020-01-01T09:20:00Z", status=before)
    lost = clinic.put(made | {"status": after})
    assert lost.status_code == 422
    assert codes(lost.json()) == [
        ("business-rule", ["REC_UNPROCESSABLE_ENTITY", "INVALID_REQUEST_STATE"])
    ]


def test_a_slot_in_error_stays_so(clinic):
    slot = clinic.slot(status="entered-in-error")
    assert clinic.put(slot | {"status": "free"}).status_code == 422


def test_nobody_misses_what_has_not_begun(clinic):
    slot = clinic.slot()
    made = clinic.book(slot)
    assert clinic.put(made | {"status": "noshow"}).status_code == 422
    assert clinic.status(slot) == "busy"


def test_a_missed_appointment_keeps_its_seat(clinic):
    slot = clinic.slot_resource()
    slot |= {"start": "2020-01-01T09:00:00Z", "end": "2020-01-01T09:20:00Z"}
    assert clinic.put(slot).status_code == 201
    clinic.book(slot, status="noshow")
    assert clinic.status(slot) == "busy"
    assert clinic.post(clinic.appointment(slot, status="fulfilled")).status_code == 409


def test_a_slot_that_has_begun_is_not_offered_again(clinic):
    slot = clinic.slot_resource() | {"start": "2020-01-01T09:00:00Z", "end": "2020-01-01T09:20:00Z"}
    clinic.put(slot)
    made = clinic.book(slot, status="arrived")
    assert clinic.put(made | {"status": "cancelled"}).status_code == 200
    assert clinic.status(slot) == "busy"


def test_overlapping_slots_of_one_schedule_are_a_policy(clinic_of):
    for policy, expected in (("allow", 201), ("refuse", 409)):
        own: Clinic = clinic_of(slot_overlap=policy)
        slot, shifted = own.slot(), own.slot()
        own.book(slot)
        assert own.post(own.appointment(shifted)).status_code == expected
        own.book(own.slot(1))


def test_a_conditional_delete_frees_every_slot(clinic):
    slots = [clinic.slot(place) for place in (0, 3)]
    identifier = [{"system": "x", "value": clinic.number}]
    for slot in slots:
        clinic.book(slot, identifier=identifier)
    answer = clinic.client.delete("Appointment", params={"identifier": f"x|{clinic.number}"})
    assert answer.status_code == 204
    assert [clinic.status(slot) for slot in slots] == ["free", "free"]
