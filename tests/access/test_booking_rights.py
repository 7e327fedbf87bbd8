"""Who books, moves and cancels appointments, and who keeps clinics: each by its role, alone and in a transaction."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from access_desk import World
from referral_desk import APPOINTMENT_REASONS, OURS, concept, refused
from test_referral_rights import booked, done, forbidden, no_relationship

Json = dict[str, Any]
PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
RESERVED = f"{OURS}/StructureDefinition/slot-reserved-until"


def soon(minutes: int) -> dict[str, str]:
    """The times of a slot that begins so soon."""
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(minutes=minutes)
    return {"start": start.isoformat(), "end": (start + timedelta(minutes=20)).isoformat()}


@pytest.mark.parametrize("person", ["practice", "patient", "system"])
def test_an_appointment_is_booked_moved_and_cancelled_by_those_who_may(
    world: World, write: Any, person: str
) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    sent = world.desk.appointment(referral, world.desk.slot(service))
    for other in world.outsiders():
        no_relationship(write(other, sent))
    done(write(getattr(world, person), sent))
    found = world.system.client.get("Appointment", params={"based-on": referral["id"]}).json()
    made = found["entry"][0]["resource"]
    slot = world.desk.slot(service)
    moved = made | {"slot": [{"reference": f"Slot/{slot['id']}"}]}
    moved |= {"start": slot["start"], "end": slot["end"]}
    for other in world.outsiders():
        no_relationship(write(other, moved))
    done(write(getattr(world, person), moved))
    cancelled = moved | {
        "status": "cancelled",
        "cancelationReason": concept(APPOINTMENT_REASONS, "PATIENT_ILL"),
    }
    done(write(getattr(world, person), cancelled))


def test_the_free_times_of_a_clinic_are_found_by_patients_too(world: World) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    slot = world.desk.slot(service)
    of_service = f"HealthcareService/{service['id']}"
    own = {"resourceType": "Schedule", "actor": [{"reference": f"Patient/p-{world.number}"}]}
    own = world.system.made(own | {"identifier": [{"value": world.number}]})
    for person in (world.patient, world.stranger, world.practice, world.trust):
        asked = {"schedule.actor": of_service, "status": "free", "_include": "Slot:schedule"}
        found = person.client.get("Slot", params=asked).json()
        listed = {item["resource"]["resourceType"]: item["resource"] for item in found["entry"]}
        assert listed["Slot"]["id"] == slot["id"]
        assert listed["Schedule"]["actor"] == [{"reference": of_service}]
    assert world.patient.sees(own)
    assert not world.stranger.sees(own)
    period = {"start": slot["start"], "end": slot["end"]}
    ubrn = next(item["value"] for item in referral["identifier"] if item["system"].endswith("UBRN"))
    asked = period | {"referral-identifier": f"https://fhir.nhs.uk/Id/UBRN|{ubrn}"}
    for person, times in ((world.patient, 1), (world.practice, 1), (world.stranger, 0)):
        found = person.client.get("Appointment/$find", params=asked).json()
        assert found["total"] == times, found


def test_a_provider_books_any_slot_of_its_own_services(world: World, write: Any) -> None:
    """I4 and I5 are not asked of it: it keeps slots for whom it wants."""
    theirs = world.desk.service(providedBy={"reference": f"Organization/x-trust-{world.number}"})
    service = world.desk.service()
    referral = world.practice.referral(service, theirs)
    told = {"service": service["id"], "reason": "BOOKING_ATTEMPT_PROBLEM"}
    done(world.practice.operation(referral, "defer", **told))
    kept = [{"url": RESERVED, "valueInstant": "2100-01-01T00:00:00Z"}]
    for elements in (
        {"appointmentType": concept(PRIORITY, "TWO_WEEK_WAIT")},
        {"extension": kept},
    ):
        sent = world.desk.appointment(referral, world.desk.slot(service, **elements))
        refused(write(world.practice, sent), 422, "business-rule", "INAPPROPRIATE_SLOT", "slot[0]")
    sent = world.desk.appointment(
        referral,
        world.desk.slot(service, appointmentType=concept(PRIORITY, "URGENT"), extension=kept),
    )
    elsewhere = world.desk.appointment(referral, world.desk.slot(theirs))
    forbidden(write(world.trust, elsewhere), "slot[0]")
    done(write(world.trust, sent))
    found = world.trust.client.get("Appointment", params={"based-on": referral["id"]}).json()
    made = found["entry"][0]["resource"]
    done(write(world.trust, made | {"comment": "come early"}))


def test_a_slot_that_has_begun_is_for_nobody(world: World, write: Any) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    done(world.practice.operation(referral, "defer", reason="BOOKING_ATTEMPT_PROBLEM"))
    sent = world.desk.appointment(referral, world.desk.slot(service, **soon(-10)))
    refused(write(world.trust, sent), 422, "business-rule", "INAPPROPRIATE_SLOT", "slot[0]")


def test_a_patient_books_what_a_referral_is_for(world: World, write: Any) -> None:
    service = world.desk.service()
    sent = world.desk.appointment({"id": "none"}, world.desk.slot(service))
    del sent["basedOn"]
    forbidden(write(world.patient, sent), "basedOn")
    referral = world.practice.referral(service)
    other = world.desk.appointment(referral, world.desk.slot(world.desk.service()))
    refused(write(world.patient, other), 422, "business-rule", "INAPPROPRIATE_VALUE", "slot[0]")


def test_a_patient_neither_books_nor_cancels_at_the_last_moment(world: World, write: Any) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    sent = world.desk.appointment(referral, world.desk.slot(service, **soon(30)))
    refused(write(world.patient, sent), 422, "business-rule", "INAPPROPRIATE_SLOT", "start")
    made = done(world.practice.post(sent))
    cancelled = made | {"status": "cancelled"}
    refused(write(world.patient, cancelled), 422, "business-rule", "INVALID_REQUEST_STATE", "start")
    done(write(world.practice, cancelled))
    later = world.desk.appointment(referral, world.desk.slot(service, **soon(90)))
    made = done(world.patient.post(later))
    done(write(world.patient, made | {"status": "cancelled"}))
    done(write(world.patient, world.patient.read(made) | {"comment": "thanks"}))


@pytest.mark.parametrize(
    ("person", "code", "fits"),
    [
        ("patient", "PATIENT_ILL", True),
        ("patient", "CLINIC_CANCELLED", False),
        ("patient", "REDIRECTED_AGE", False),
        ("practice", "PATIENT_ILL", True),
        ("practice", "REDIRECTED_AGE", True),
        ("practice", "CLINIC_CANCELLED", False),
        ("trust", "CLINIC_CANCELLED", True),
        ("trust", "PATIENT_ILL", False),
        ("trust", "OTHER", False),
        ("system", "CLINIC_CANCELLED", True),
        ("system", "PATIENT_ILL", True),
    ],
)
def test_an_appointment_is_cancelled_for_a_reason_of_the_role(
    world: World, write: Any, person: str, code: str, fits: bool
) -> None:
    _, appointment = booked(world)
    reason = concept(APPOINTMENT_REASONS, code)
    after = appointment | {"status": "cancelled", "cancelationReason": reason, "comment": "told"}
    answer = write(getattr(world, person), after)
    if fits:
        done(answer)
    else:
        refused(answer, 422, "business-rule", "INAPPROPRIATE_VALUE", "cancelationReason")


def test_who_came_and_who_did_not_the_clinic_tells(world: World, write: Any) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    sent = world.desk.appointment(referral, world.desk.slot(service, **soon(-30)))
    for person in (world.practice, world.patient):
        forbidden(write(person, sent | {"status": "arrived"}), "status")
    done(write(world.system, sent | {"status": "arrived"}))


def test_an_appointment_is_deleted_by_the_clinic(world: World) -> None:
    _, appointment = booked(world)
    path = f"Appointment/{appointment['id']}"
    for person in (world.practice, world.patient):
        forbidden(person.client.delete(path), "status")
    assert world.trust.client.delete(path).status_code == 204


def test_the_directory_is_kept_by_the_system(world: World, write: Any) -> None:
    """Whose a service, a role or an organisation is, decides who sees what."""
    service = world.desk.service()
    for sent in (
        service,
        {"resourceType": "Organization", "name": "mine"},
        {"resourceType": "PractitionerRole", "active": True},
    ):
        for person in (world.practice, world.trust, world.patient):
            forbidden(write(person, sent))
        done(write(world.system, sent))


def test_a_patient_writes_only_what_is_for_patients(world: World, write: Any) -> None:
    patient = world.system.read({"resourceType": "Patient", "id": f"p-{world.number}"})
    forbidden(write(world.patient, patient))
    forbidden(write(world.patient, {"resourceType": "Basic", "code": {"text": "x"}}))
    done(write(world.practice, patient))


def test_a_clinic_is_kept_by_the_organisation_whose_service_it_is(world: World, write: Any) -> None:
    service = world.desk.service()
    schedule = {
        "resourceType": "Schedule", "actor": [{"reference": f"HealthcareService/{service['id']}"}],
    }  # fmt: skip
    slot = world.desk.slot(service)
    for person in (world.practice, world.patient):
        forbidden(write(person, schedule))
        forbidden(write(person, slot))
    forbidden(write(world.other_trust, schedule))
    forbidden(write(world.other_trust, slot | {"comment": "x"}))
    forbidden(write(world.trust, {"resourceType": "Schedule", "actor": [{"display": "x"}]}))
    done(write(world.trust, slot | {"comment": "x"}))
    done(write(world.trust, schedule))
    fresh = {name: value for name, value in slot.items() if name not in ("id", "meta")}
    forbidden(write(world.other_trust, fresh))
    done(write(world.trust, fresh))
    assert world.trust.client.delete(f"Slot/{slot['id']}").status_code == 204


def test_a_clinic_stays_with_its_organisation(world: World, write: Any) -> None:
    mine = world.desk.slot(world.desk.service())
    theirs = world.desk.slot(
        world.desk.service(providedBy={"reference": f"Organization/x-trust-{world.number}"})
    )
    forbidden(write(world.trust, mine | {"schedule": theirs["schedule"]}))
    forbidden(write(world.trust, theirs | {"schedule": mine["schedule"]}))


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("Slot/$publish", ["trust", "system"]), ("$reindex", ["system"])],
)
def test_what_runs_a_clinic_or_the_server_is_not_for_everybody(
    world: World, path: str, allowed: list[str]
) -> None:
    body = {"resourceType": "Parameters"}
    for name in ("practice", "trust", "patient", "system"):
        answer = getattr(world, name).client.post(path, json=body)
        assert (answer.status_code == 403) == (name not in allowed), answer.text
