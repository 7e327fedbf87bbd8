"""Who may do what about a referral: each act by its role, alone and in a transaction (I14, I16, I23)."""

from __future__ import annotations

from typing import Any

import pytest
from access_desk import Person, World
from referral_desk import (
    CONVERSION,
    OURS,
    REFERRAL_REASONS,
    STATUS_REASON,
    WORKFLOW,
    concept,
    refused,
    revoked,
    with_extension,
    without,
)

Json = dict[str, Any]
NO_SLOTS = concept(WORKFLOW, "NO_SLOTS_AT_SERVICE")
SELF = [concept(f"{OURS}/CodeSystem/referral-method", "self")]


def no_relationship(answer: Any) -> None:
    refused(answer, 403, "forbidden", "NO_RELATIONSHIP")


def forbidden(answer: Any, *places: str) -> None:
    """places: elements; a whole resource has another name in a Bundle."""
    refused(answer, 403, "forbidden", "FORBIDDEN", *places)


def done(answer: Any) -> Json:
    assert answer.status_code in (200, 201), answer.text
    body: Json = answer.json()
    return body["entry"][0].get("resource") if body["resourceType"] == "Bundle" else body


def booked(world: World, service: Json | None = None) -> tuple[Json, Json]:
    """(referral, its appointment) of the practice at the trust."""
    service = service or world.desk.service()
    referral = world.practice.referral(service)
    slot = world.desk.slot(service)
    return referral, world.practice.made(world.practice.appointment(referral, slot))


def in_triage(world: World) -> tuple[Json, Json]:
    """(referral, its TRIAGE_DEFERRAL) of the practice, with a letter."""
    referral = world.practice.referral(world.desk.service("REVIEW"))
    world.letter(referral)
    return referral, done(world.practice.operation(referral, "send-for-triage"))


def test_an_organisation_refers_for_itself(world: World, write: Any) -> None:
    sent = world.desk.referral_to(world.desk.service())
    no_relationship(write(world.other_practice, sent))
    made_by = {"requester": sent["requester"]["reference"]}
    assert world.system.client.get("ServiceRequest", params=made_by).json()["total"] == 0
    done(write(world.practice, sent))
    done(write(world.system, sent))


def test_a_referral_is_changed_by_those_who_have_to_do_with_it(world: World, write: Any) -> None:
    referral, _ = booked(world)
    for person in world.outsiders():
        no_relationship(write(person, referral | {"priority": "asap"}))
        no_relationship(person.put(referral, **{"If-Match": 'W/"77"'}))
        no_relationship(person.client.delete(f"ServiceRequest/{referral['id']}"))
    assert world.system.read(referral)["priority"] == "routine"
    done(write(world.practice, world.practice.read(referral) | {"priority": "asap"}))


@pytest.mark.parametrize("kind", ["Task", "Appointment", "DocumentReference", "Communication"])
def test_nobody_writes_about_a_referral_of_others(world: World, write: Any, kind: str) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    about = {"reference": f"ServiceRequest/{referral['id']}"}
    made: dict[str, Json] = {
        "Task": world.desk.task(referral, "LETTER_OUTSTANDING", service),
        "Appointment": world.desk.appointment(referral, world.desk.slot(service)),
        "DocumentReference": {
            "resourceType": "DocumentReference", "status": "current",
            "content": [{"attachment": {"title": "x"}}], "context": {"related": [about]},
        },
        "Communication": {"resourceType": "Communication", "status": "completed", "basedOn": [about]},
    }  # fmt: skip
    for person in (world.other_practice, world.other_trust, world.trust):
        no_relationship(write(person, made[kind]))
    done(write(world.practice, made[kind]))


def test_what_is_about_two_referrals_is_written_by_who_sees_both(world: World, write: Any) -> None:
    mine = world.practice.referral(world.desk.service())
    requester = {"reference": world.other_requester}
    theirs = world.other_practice.referral(world.desk.service(), requester=requester)
    sent = {
        "resourceType": "Communication", "status": "completed",
        "basedOn": [{"reference": f"ServiceRequest/{item['id']}"} for item in (mine, theirs)],
    }  # fmt: skip
    no_relationship(write(world.practice, sent))
    based = world.desk.referral_to(world.desk.service(), basedOn=[sent["basedOn"][1]])
    no_relationship(write(world.practice, based))
    done(write(world.system, sent))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("performer", None),
        ("authoredOn", "2026-02-02T09:00:00Z"),
        ("extension", [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]),
    ],
)
def test_a_provider_leaves_what_was_asked_for_as_it_is(
    world: World, write: Any, name: str, value: Any
) -> None:
    request = world.practice.made(world.practice.advice_to(world.desk.service()))
    value = value or [{"reference": f"HealthcareService/{world.desk.service()['id']}"}]
    forbidden(write(world.trust, request | {name: value}), name)
    done(write(world.practice, request | {name: value}))


def test_a_provider_changes_priority_notes_and_documents(world: World, write: Any) -> None:
    referral, _ = booked(world)
    after = world.trust.read(referral) | {"priority": "urgent", "note": [{"text": "soon"}]}
    assert done(write(world.trust, after))
    assert world.practice.read(referral)["priority"] == "urgent"
    forbidden(
        write(world.trust, world.trust.read(referral) | {"status": "entered-in-error"}), "status"
    )
    forbidden(world.trust.client.delete(f"ServiceRequest/{referral['id']}"))


def test_a_provider_refers_on_what_it_was_sent(world: World, write: Any) -> None:
    referral, _ = booked(world)
    other = world.desk.service(providedBy={"reference": f"Organization/x-trust-{world.number}"})
    sent = world.desk.referral_to(other)
    forbidden(write(world.trust, sent), "basedOn")
    based_on = [{"reference": f"ServiceRequest/{referral['id']}"}]
    no_relationship(write(world.other_trust, sent | {"basedOn": based_on}))
    done(write(world.trust, sent | {"basedOn": based_on}))
    found = world.trust.client.get("ServiceRequest", params={"based-on": referral["id"]}).json()
    (onward,) = [item["resource"] for item in found["entry"]]
    third = world.desk.service()
    changed = onward | {"performer": [{"reference": f"HealthcareService/{third['id']}"}]}
    done(write(world.trust, changed))


def test_a_patient_asks_for_the_referral_to_be_cancelled(world: World, write: Any) -> None:
    service = world.desk.service()
    referral = world.practice.referral(service)
    forbidden(write(world.patient, revoked(referral)), "status")
    forbidden(world.patient.operation(referral, "cancel", reason="PATIENT_DIED"), "status")
    forbidden(write(world.patient, referral | {"priority": "asap"}))
    request = world.desk.task(referral, "CANCELLATION_REQUEST")
    forbidden(write(world.practice, request), "code")
    no_relationship(write(world.stranger, request))
    done(write(world.patient, request))
    (task,) = world.practice.tasks(referral, "CANCELLATION_REQUEST")
    forbidden(write(world.patient, task | {"status": "completed"}), "status")
    done(world.practice.operation(referral, "cancel", reason="TREATMENT_NO_LONGER_REQUIRED"))
    assert world.patient.tasks(referral, "CANCELLATION_REQUEST")[0]["status"] == "completed"


def test_patients_refer_themselves_where_that_is_offered(world: World, write: Any) -> None:
    closed, open_to_all = world.desk.service(), world.desk.service(referralMethod=SELF)
    mine = {"requester": world.desk.patient}
    forbidden(write(world.patient, world.desk.referral_to(closed, **mine)), "performer")
    forbidden(
        write(world.patient, world.desk.referral_to(open_to_all, closed, **mine)), "performer"
    )
    forbidden(
        write(world.patient, without(world.desk.referral_to(**mine), "performer")), "performer"
    )
    no_relationship(write(world.stranger, world.desk.referral_to(open_to_all, **mine)))
    done(write(world.patient, world.desk.referral_to(open_to_all, status="draft", **mine)))
    made_by = {"requester": mine["requester"]["reference"]}
    found = world.patient.client.get("ServiceRequest", params=made_by)
    (referral,) = [item["resource"] for item in found.json()["entry"]]
    done(write(world.patient, referral | {"status": "active"}))
    referral = world.patient.read(referral)
    forbidden(write(world.patient, referral | {"status": "on-hold"}), "status")
    done(write(world.patient, referral | {"priority": "urgent"}))


@pytest.mark.parametrize(
    ("role", "told"),
    [("SERVICE_PROVIDER_ADMIN", {}), ("SERVICE_PROVIDER_CLINICIAN_ADMIN", {}), ("system", None)],
)
def test_a_clinician_decides_about_a_referral(world: World, role: str, told: Any) -> None:
    person = world.system if told is None else world.at(role, world.trust_id)
    referral, _ = in_triage(world)
    forbidden(person.operation(referral, "record-outcome", outcome="ACCEPT", comment="x"), "status")
    forbidden(world.practice.operation(referral, "record-outcome", outcome="ACCEPT", comment="x"))
    told = {"NHSD_eRS_On_Behalf_Of_User_ID": "021600556514"}
    administrator = world.at("SERVICE_PROVIDER_CLINICIAN_ADMIN", world.trust_id, **told)
    answer = administrator.operation(referral, "record-outcome", outcome="ACCEPT", comment="x")
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("code", "status", "allowed", "refused_to"),
    [
        ("REVIEW", "accepted", ["trust", "system"], ["clerk", "practice", "patient"]),
        ("REVIEW", "rejected", ["trust"], ["system", "clerk", "practice", "patient"]),
        ("TRIAGE_DEFERRAL", "accepted", ["trust"], ["system", "clerk", "practice", "patient"]),
        ("TRIAGE_DEFERRAL", "rejected", ["trust"], ["system", "clerk", "practice", "patient"]),
        ("TRIAGE_DEFERRAL", "cancelled", ["practice", "clerk"], ["patient"]),
        ("APPOINTMENT_DEFERRAL", "accepted", ["clerk", "system"], ["practice", "patient"]),
        ("APPOINTMENT_DEFERRAL", "rejected", ["trust"], ["system", "clerk", "practice", "patient"]),
    ],
)
def test_a_task_is_answered_by_its_role(
    world: World, write: Any, code: str, status: str, allowed: list[str], refused_to: list[str]
) -> None:
    people = {name: getattr(world, name) for name in ("trust", "system", "practice", "patient")}
    people["clerk"] = world.at("SERVICE_PROVIDER_ADMIN", world.trust_id)
    for name in allowed:
        if code == "REVIEW":
            referral, _ = booked(world)
        elif code == "TRIAGE_DEFERRAL":
            referral, _ = in_triage(world)
        else:
            referral = world.practice.referral(world.desk.service())
            done(world.practice.operation(referral, "defer", reason=NO_SLOTS))
        (task,) = world.system.tasks(referral, code)
        reason = concept(f"{OURS}/CodeSystem/referral-appointment-cancellation-reason", "OTHER")
        after = task | {"status": status, "statusReason": reason, "note": [{"text": "why"}]}
        for other in refused_to:
            forbidden(write(people[other], after), "status")
        done(write(people[name], after))


def test_a_task_is_answered_by_the_service_that_it_is_for(world: World, write: Any) -> None:
    other = world.desk.service(providedBy={"reference": f"Organization/x-trust-{world.number}"})
    service = world.desk.service()
    referral = world.practice.referral(service, other)
    world.practice.made(world.practice.appointment(referral, world.desk.slot(other)))
    appointment = world.practice.client.get("Appointment", params={"based-on": referral["id"]})
    cancelled = appointment.json()["entry"][0]["resource"] | {"status": "cancelled"}
    world.practice.made(cancelled)
    world.practice.made(world.practice.appointment(referral, world.desk.slot(service)))
    reviews = world.practice.tasks(referral, "REVIEW")
    (review,) = [item for item in reviews if item["status"] == "requested"]
    assert world.other_trust.sees(review)
    forbidden(write(world.other_trust, review | {"status": "accepted"}), "owner")
    done(write(world.trust, review | {"status": "accepted"}))


@pytest.mark.parametrize(
    ("code", "allowed", "refused_to"),
    [
        ("APPOINTMENT_DEFERRAL", ["practice", "patient"], ["trust"]),
        ("REBOOK_REFER", ["trust"], ["practice", "patient"]),
        ("LETTER_OUTSTANDING", ["practice", "trust"], ["patient"]),
        ("ADVICE_TURN", ["system"], ["practice", "trust", "patient"]),
    ],
)
def test_a_task_is_asked_for_by_its_role(
    world: World, write: Any, code: str, allowed: list[str], refused_to: list[str]
) -> None:
    for name in allowed:
        service = world.desk.service()
        referral, appointment = booked(world, service)
        if code == "APPOINTMENT_DEFERRAL":
            world.practice.made(appointment | {"status": "cancelled"})
        reason = concept(WORKFLOW, "BOOKING_ATTEMPT_PROBLEM")
        task = world.desk.task(referral, code, service, reasonCode=reason)
        for other in refused_to:
            forbidden(write(getattr(world, other), task), "code")
        done(write(getattr(world, name), task))


def test_a_patient_writes_no_other_task(world: World, write: Any) -> None:
    sent = {"resourceType": "Task", "status": "requested", "intent": "order", "for": world.desk.patient}  # fmt: skip
    forbidden(write(world.patient, sent), "code")
    done(write(world.practice, sent))


def test_a_task_is_changed_without_an_answer_by_those_it_is_between(
    world: World, write: Any
) -> None:
    _, task = in_triage(world)
    after = task | {"description": "see the letter"}
    done(write(world.practice, after))
    referral, _ = booked(world)
    (review,) = world.patient.tasks(referral, "REVIEW")
    forbidden(write(world.patient, review | {"description": "please"}))


@pytest.mark.parametrize(
    ("person", "triaged", "code", "fits"),
    [
        ("practice", False, "PATIENT_DIED", True),
        ("practice", False, "RAISED_IN_ERROR", True),
        ("practice", False, "BOOKED_OUTSIDE_CAB", False),
        ("practice", False, "TRIAGE_ENDED", False),
        ("practice", True, "RAISED_IN_ERROR", True),
        ("practice", True, "TRIAGE_ENDED", False),
        ("trust", False, "BOOKED_OUTSIDE_CAB", True),
        ("trust", False, "PATIENT_DIED", True),
        ("trust", False, "RAISED_IN_ERROR", False),
        ("trust", False, "TRIAGE_ENDED", False),
        ("trust", True, "TRIAGE_ENDED", True),
        ("trust", True, "PATIENT_DIED", False),
        ("system", False, "RAISED_IN_ERROR", True),
        ("system", True, "TRIAGE_ENDED", True),
    ],
)
def test_a_referral_is_cancelled_for_a_reason_of_the_role_and_state(
    world: World, write: Any, person: str, triaged: bool, code: str, fits: bool
) -> None:
    if triaged:
        referral, _ = in_triage(world)
        done(world.trust.operation(referral, "record-outcome", outcome="ACCEPT", comment="x"))
    else:
        referral, _ = booked(world)
    asking: Person = getattr(world, person)
    after = with_extension(
        asking.read(referral), STATUS_REASON, valueCodeableConcept=concept(REFERRAL_REASONS, code)
    ) | {"status": "revoked", "note": [{"text": "told"}]}  # fmt: skip
    if fits:
        done(write(asking, after))
    else:
        refused(write(asking, after), 422, "business-rule", "INAPPROPRIATE_VALUE", "extension")


@pytest.mark.parametrize("authorised", [True, False])
def test_advice_is_converted_by_a_clinician_whom_the_referrer_has_authorised(
    world: World, authorised: bool
) -> None:
    told = "AUTHORISED_TO_CONVERT" if authorised else "NOT_AUTHORISED_TO_CONVERT"
    extension = [{"url": CONVERSION, "valueCode": told}]
    advice = world.practice.advice_to(world.desk.service(), extension=extension)
    request = world.practice.made(advice)
    clerk = world.at("SERVICE_PROVIDER_ADMIN", world.trust_id)
    for person in (world.practice, clerk):
        forbidden(person.operation(request, "convert-advice"), "basedOn")
    answer = world.trust.operation(request, "convert-advice")
    if not authorised:
        forbidden(answer, "basedOn")
        return
    assert answer.status_code == 201, answer.text
    for person in (world.practice, world.trust, world.patient):
        assert person.sees(answer.json())


def test_the_actions_are_those_of_the_role(world: World) -> None:
    referral, _ = in_triage(world)
    clerk = world.at("SERVICE_PROVIDER_ADMIN", world.trust_id)
    told = []
    for person in (world.practice, world.trust, clerk, world.patient):
        answer = person.client.get(f"ServiceRequest/{referral['id']}/$available-actions").json()
        told.append([item["resource"]["id"] for item in answer.get("entry", [])])
    assert told == [["cancel"], ["record-outcome", "cancel"], ["cancel"], []]
