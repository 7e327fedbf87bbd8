"""GP Connect's rules hold where a deployment asks for them, and nowhere else.

https://developer.nhs.uk/apis/gpconnect-1-2-7/appointments.html
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from booking_clinic import FHIR, Clinic, codes


@pytest.fixture
def strict(clinic_of):
    return clinic_of(gp_connect="true")


def search(clinic, days=13, **changed):
    end = clinic.start + timedelta(days=days)
    given = {
        "status": "free",
        "_include": "Slot:schedule",
        "schedule": f"Schedule/{clinic.schedule}",
    }
    given |= {"start": [f"ge{clinic.start:%Y-%m-%d}", f"le{end:%Y-%m-%d}"]} | changed
    given = {name: value for name, value in given.items() if value}
    return clinic.client.get("Slot", params=given)


def spine(answer):
    return [codes(answer.json())[0][1][0], answer.status_code]


def refused(answer, code="INVALID_RESOURCE", status=422):
    assert spine(answer) == [code, status], answer.text


def test_a_slot_search_covers_two_weeks_of_free_slots_with_their_schedules(strict):
    slot = strict.slot()
    found = search(strict, searchFilter="https://example.org|unknown")
    assert found.status_code == 200
    assert found.json()["entry"][0]["resource"]["id"] == slot["id"]
    refused(search(strict, days=20), "INVALID_PARAMETER")
    refused(search(strict, start=None), "INVALID_PARAMETER")
    refused(search(strict, status=None), "BAD_REQUEST", 400)
    refused(search(strict, status="free,busy"), "BAD_REQUEST", 400)
    refused(search(strict, _include=None), "BAD_REQUEST", 400)


def test_a_slot_that_is_taken_is_a_duplicate(strict):
    slot = strict.slot()
    strict.book(slot)
    refused(strict.post(strict.appointment(slot)), "DUPLICATE_REJECTED", 409)


def test_adjacent_slots_are_alike(strict):
    coded = {"serviceType": [{"text": "Smear"}]}
    first, second, third = strict.slot(0), strict.slot(1), strict.slot(2, **coded)
    elsewhere = strict.slot(1, schedule={"reference": "Schedule/other"})
    refused(strict.post(strict.appointment(second, third)))
    refused(strict.post(strict.appointment(first, elsewhere)))
    refused(strict.post(strict.appointment(strict.slot_resource())), "REFERENCE_NOT_FOUND")
    assert strict.post(strict.appointment(first, second)).status_code == 201


@pytest.mark.parametrize(
    "elements",
    [
        {"description": "x" * 101},
        {"comment": "x" * 501},
        {"specialty": [{"text": "x"}]},
        {"reasonCode": [{"text": "x"}]},
    ],
)
def test_a_booking_says_little(strict, elements):
    slot = strict.slot()
    refused(strict.post(strict.appointment(slot, **elements)))


def test_an_amendment_changes_a_text_only(strict):
    made = strict.book(strict.slot())
    amended = strict.put(made | {"comment": "Wheelchair"}, **{"If-Match": 'W/"1"'})
    assert amended.status_code == 200
    assert strict.put(made, **{"If-Match": 'W/"1"'}).status_code == 412
    refused(strict.put(amended.json() | {"priority": 3}))
    refused(strict.put(amended.json() | {"status": "cancelled"}))
    gone = amended.json() | {"status": "cancelled", "cancelationReason": {"text": "Better"}}
    refused(strict.put(gone | {"priority": 3}))
    assert strict.put(gone).status_code == 200
    refused(strict.put(gone | {"comment": "Again"}))


def test_a_patients_appointments_are_asked_for_by_coming_days(strict):
    strict.put({"resourceType": "Patient", "id": strict.patient})
    path = f"Patient/{strict.patient}/Appointment"
    coming = [f"ge{strict.start:%Y-%m-%d}", f"le{strict.start:%Y-%m-%d}"]
    assert strict.client.get(path, params={"date": coming}).status_code == 200
    refused(strict.client.get(path, params={"date": "ge2020-01-01"}), "INVALID_PARAMETER")
    refused(strict.client.get(path, params={"date": "ge2035-01-01T09:00:00Z"}), "INVALID_PARAMETER")


def test_an_embargo_hides_slots_that_begin_soon(clinic_of):
    clinic: Clinic = clinic_of(slot_embargo_minutes="120")
    soon = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=30)
    ids = []
    for hours in (0, 5):
        start = soon + timedelta(hours=hours)
        slot = clinic.slot_resource() | {
            "start": start.isoformat(),
            "end": (start + timedelta(minutes=20)).isoformat(),
        }
        assert clinic.put(slot).status_code == 201
        ids.append(slot["id"])
    found = clinic.client.get("Slot", params={"schedule": f"Schedule/{clinic.schedule}"}).json()
    assert [item["resource"]["id"] for item in found["entry"]] == ids[1:]


def test_without_the_setting_nothing_of_it_holds(clinic):
    slot = clinic.slot()
    assert (
        clinic.client.get("Slot", params={"start": "ge2000-01-01"}, headers=FHIR).status_code == 200
    )
    made = clinic.book(slot, description="x" * 200)
    assert clinic.put(made | {"priority": 3}).status_code == 200
