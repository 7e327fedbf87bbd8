"""What a service shows of its waits is computed from slots and appointments, and is nobody else's to write.

https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from service_directory import FHIR, WAIT, Directory, instant, started


@pytest.fixture
def service(directory: Directory) -> dict:
    return directory.service()


@pytest.fixture
def clinic(directory: Directory, service: dict) -> str:
    return directory.schedule(service)


def in_days(directory: Directory, days: float) -> object:
    return (directory.now + timedelta(days=days)).replace(microsecond=0)


def test_free_slots_are_counted_by_the_end_of_day_7_and_28(directory, service, clinic):
    for days in (1, 2, 6, 10, 27, 40):
        directory.slot(clinic, in_days(directory, days))
    directory.slot(clinic, in_days(directory, 3), status="busy-unavailable")
    shown = directory.until(service, lambda found: found.get("free-slots-28-days") == 5)
    assert shown["free-slots-7-days"] == 3
    assert shown["capacity-alert"] == "AVAILABLE"
    assert shown["sample-size"] == 0
    assert "median-wait" not in shown


def test_the_first_free_slot_is_told_for_each_priority_that_may_take_it(directory, service, clinic):
    soonest = directory.slot(clinic, in_days(directory, 2), "TWO_WEEK_WAIT")
    sooner = directory.slot(clinic, in_days(directory, 3), "URGENT")
    later = directory.slot(clinic, in_days(directory, 9), "ROUTINE")
    shown = directory.until(service, lambda found: found.get("free-slots-28-days") == 3)
    assert shown["first-free-slot-two-week-wait"][:19] == soonest["start"][:19]
    assert shown["first-free-slot-urgent"][:19] == sooner["start"][:19]
    assert shown["first-free-slot-routine"][:19] == later["start"][:19]


def test_the_first_free_routine_slot_is_found_behind_many_that_are_urgent(
    directory, service, clinic
):
    for number in range(25):
        directory.slot(clinic, in_days(directory, 1 + number / 24), "URGENT")
    routine = directory.slot(clinic, in_days(directory, 20))
    shown = directory.until(service, lambda found: found.get("free-slots-28-days") == 26)
    assert shown["first-free-slot-routine"][:19] == routine["start"][:19]


def test_a_booking_and_its_cancellation_change_the_figures_within_a_minute(
    directory, service, clinic
):
    slot = directory.slot(clinic, in_days(directory, 2))
    later = directory.slot(clinic, in_days(directory, 4))
    directory.until(service, lambda found: found.get("free-slots-7-days") == 2)
    appointment = directory.book(slot, service)
    shown = directory.until(service, lambda found: found.get("free-slots-7-days") == 1)
    assert shown["first-free-slot-routine"][:19] == later["start"][:19]
    directory.put(appointment | {"status": "cancelled"})
    directory.until(service, lambda found: found.get("free-slots-7-days") == 2)


def test_waits_run_from_the_start_of_the_clock_to_the_appointment(directory, service, clinic):
    for waited in (10, 20, 60):
        start = in_days(directory, 5 + waited / 100)
        referral = directory.referral(service, **started(start - timedelta(days=waited)))
        directory.book(directory.slot(clinic, start), service, referral)
    shown = directory.until(service, lambda found: found.get("sample-size") == 3)
    assert shown["median-wait"] == pytest.approx(20)
    assert shown["percentile-92-wait"] == pytest.approx(53.6)
    assert shown["capacity-alert"] == "LIMITED"


def test_a_service_without_a_clinic_shows_nothing(directory, service):
    other = directory.service()
    directory.slot(directory.schedule(other), in_days(directory, 1))
    directory.until(other, bool)
    assert directory.waits(service) == {}


def test_new_figures_are_a_version_that_is_valid_and_unchanged_ones_are_none(
    directory, service, clinic
):
    directory.slot(clinic, in_days(directory, 1))
    directory.until(service, bool)
    read = directory.client.get(f"HealthcareService/{service['id']}")
    assert read.headers["etag"] == f'W/"{read.json()["meta"]["versionId"]}"'
    history = directory.client.get(f"HealthcareService/{service['id']}/_history").json()
    assert history["total"] == int(read.json()["meta"]["versionId"])
    answer = directory.client.post(
        "HealthcareService/$validate", content=read.content, headers=FHIR
    )
    severities = {item["severity"] for item in answer.json()["issue"]}
    assert severities <= {"information"}, answer.text


def test_a_client_that_writes_waits_is_refused(directory):
    made = {
        "resourceType": "HealthcareService",
        "extension": [
            {
                "url": WAIT,
                "extension": [
                    {"url": "as-of", "valueInstant": instant(directory.now)},
                    {"url": "capacity-alert", "valueCode": "AVAILABLE"},
                ],
            }
        ],
    }
    answer = directory.client.post("HealthcareService", json=made, headers=FHIR)
    assert answer.status_code == 422
    (issue,) = answer.json()["issue"]
    assert issue["details"]["coding"][1]["code"] == "STATE_IS_DERIVED"
    assert issue["expression"] == ["HealthcareService.extension[0]"]


def test_a_client_that_alters_waits_is_refused_by_put_patch_and_transaction(
    directory, service, clinic
):
    directory.slot(clinic, in_days(directory, 1))
    directory.until(service, bool)
    url = f"HealthcareService/{service['id']}"
    read = directory.client.get(url).json()
    altered = json.loads(json.dumps(read).replace("AVAILABLE", "LIMITED"))
    assert directory.client.put(url, json=altered, headers=FHIR).status_code == 422
    patch = [{"op": "replace", "path": "/extension/0/extension/1/valueUnsignedInt", "value": 9}]
    headers = {"Content-Type": "application/json-patch+json"}
    assert directory.client.patch(url, json=patch, headers=headers).status_code == 422
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [{"resource": altered, "request": {"method": "PUT", "url": url}}],
    }
    assert directory.client.post("", json=bundle, headers=FHIR).status_code == 422
    assert directory.client.get(url).json() == read


def test_a_client_that_leaves_waits_alone_or_out_keeps_them(directory, service, clinic):
    directory.slot(clinic, in_days(directory, 1))
    shown = directory.until(service, bool)
    url = f"HealthcareService/{service['id']}"
    read = directory.client.get(url).json()
    directory.put(read | {"name": "Renamed"})
    assert directory.waits(service) == shown
    bare = {name: value for name, value in read.items() if name != "extension"}
    stored = directory.put(bare | {"name": "Renamed again"})
    assert stored["extension"] == read["extension"]
    assert directory.waits(service) == shown


def test_a_slot_that_moves_to_another_clinic_counts_there(directory, service, clinic):
    other = directory.service()
    elsewhere = directory.schedule(other)
    slot = directory.slot(clinic, in_days(directory, 1))
    directory.until(service, lambda found: found.get("free-slots-7-days") == 1)
    directory.put(slot | {"schedule": {"reference": elsewhere}})
    directory.until(other, lambda found: found.get("free-slots-7-days") == 1)
    directory.until(service, lambda found: found.get("free-slots-7-days") == 0)


def test_a_slot_that_is_deleted_counts_no_more(directory, service, clinic):
    slot = directory.slot(clinic, in_days(directory, 1))
    directory.until(service, lambda found: found.get("free-slots-7-days") == 1)
    assert directory.client.delete(f"Slot/{slot['id']}").status_code == 204
    directory.until(service, lambda found: found.get("capacity-alert") == "LIMITED")
