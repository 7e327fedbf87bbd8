"""The rules between appointment, slot and referral: each on REST, in a transaction and through the operation.

https://hl7.org/fhir/R4/appointment.html
"""

from __future__ import annotations

import base64
import json
import time
import uuid

import psycopg
import pytest
from booking_clinic import FHIR, OURS, codes

from fhir_server.store.sqlite_driver import connect

PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
RESERVED = f"{OURS}/StructureDefinition/slot-reserved-until"


def ref(text):
    return {"reference": text}


def over_rest(clinic, appointment, **headers):
    write = clinic.put if "id" in appointment else clinic.post
    answer = write(appointment, **headers)
    return answer, answer.json()


def transaction(clinic, *requests, **headers):
    """POST a transaction of (method, url, resource or None)."""
    entries = [
        {"request": {"method": method, "url": url}} | ({"resource": resource} if resource else {})
        for method, url, resource in requests
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    return clinic.client.post("", json=bundle, headers=FHIR | headers)


def in_transaction(clinic, appointment, **headers):
    request = ("POST", "Appointment", appointment)
    if "id" in appointment:
        request = ("PUT", f"Appointment/{appointment['id']}", appointment)
    answer = transaction(clinic, request, **headers)
    return answer, answer.json()


def by_operation(clinic, appointment, **headers):
    parameter = {"name": "appointment-resource", "resource": appointment}
    body = {"resourceType": "Parameters", "parameter": [parameter]}
    answer = clinic.client.post("Appointment/$book", json=body, headers=FHIR | headers)
    shown = answer.json()
    if answer.status_code != 200:
        (entry,) = shown["entry"]
        shown = entry["resource"]
    return answer, shown


DOORS = [over_rest, in_transaction, by_operation]


@pytest.fixture(params=DOORS, ids=lambda door: door.__name__)
def door(request):
    return request.param


def refused(clinic, door, appointment, status, code, rule, expression=None):
    answer, outcome = door(clinic, appointment)
    assert answer.status_code == status, answer.text
    http = {409: "REC_CONFLICT", 422: "REC_UNPROCESSABLE_ENTITY"}[status]
    assert codes(outcome) == [(code, [http, rule])]
    if expression is not None:
        assert outcome["issue"][0]["expression"][0].endswith(expression)


def accepted(clinic, door, appointment):
    answer, _ = door(clinic, appointment)
    assert answer.status_code in (200, 201), answer.text
    return answer


def referral(clinic, **elements):
    resource = {"resourceType": "ServiceRequest", "status": "active", "intent": "order",
                "subject": {"display": "x"}} | elements  # fmt: skip
    answer = clinic.post(resource)
    assert answer.status_code == 201, answer.text
    return [ref(f"ServiceRequest/{answer.json()['id']}")]


def test_i1_a_slot_is_never_booked_beyond_its_capacity(clinic, door):
    slot = clinic.slot(capacity=2)
    accepted(clinic, door, clinic.appointment(slot))
    accepted(clinic, door, clinic.appointment(slot))
    refused(
        clinic, door, clinic.appointment(slot), 409, "conflict", "SLOT_NOT_AVAILABLE", ".slot[0]"
    )


def test_i2_times_are_those_of_the_slots(clinic, door):
    first, second, third = (clinic.slot(place) for place in range(3))
    rule = 422, "business-rule", "CONFLICTING_VALUES"
    wrong = clinic.appointment(first, end=second["end"])
    refused(clinic, door, wrong, *rule, ".end")
    refused(clinic, door, clinic.appointment(second, start=first["start"]), *rule, ".start")
    refused(clinic, door, clinic.appointment(first, third), *rule, ".slot[1]")
    other = clinic.slot(1, schedule=ref(f"Schedule/other-{clinic.number}"))
    refused(clinic, door, clinic.appointment(first, other), *rule)
    assert clinic.status(first) == "free"
    accepted(clinic, door, clinic.appointment(first, second))


def test_i3_the_service_is_one_that_the_referral_names(clinic, door):
    slot = clinic.slot()
    own = referral(clinic, performer=[ref("HealthcareService/elsewhere")])
    rule = 422, "business-rule", "INAPPROPRIATE_VALUE", ".slot[0]"
    refused(clinic, door, clinic.appointment(slot, basedOn=own), *rule)
    service = ref(f"HealthcareService/service-{clinic.number}")
    own = referral(clinic, performer=[ref("HealthcareService/elsewhere"), service])
    accepted(clinic, door, clinic.appointment(slot, basedOn=own))


def test_i4_a_slot_for_urgent_referrals_is_kept_for_them(clinic, door):
    kept = {"coding": [{"system": PRIORITY, "code": "URGENT"}]}
    slot = clinic.slot(appointmentType=kept)
    routine = referral(clinic, priority="routine")
    rule = 422, "business-rule", "INAPPROPRIATE_SLOT", ".slot[0]"
    refused(clinic, door, clinic.appointment(slot, basedOn=routine), *rule)
    accepted(clinic, door, clinic.appointment(slot, basedOn=referral(clinic, priority="asap")))


def test_i5_what_has_begun_or_is_reserved_cannot_be_booked(clinic, door):
    past = clinic.slot(start="2020-01-01T09:00:00Z", end="2020-01-01T09:20:00Z")
    rule = 422, "business-rule", "INAPPROPRIATE_SLOT", ".slot[0]"
    refused(clinic, door, clinic.appointment(past), *rule)
    until = [{"url": RESERVED, "valueInstant": "2034-12-31T00:00:00Z"}]
    refused(clinic, door, clinic.appointment(clinic.slot(extension=until)), *rule)
    until = [{"url": RESERVED, "valueInstant": "2020-01-01T00:00:00Z"}]
    accepted(clinic, door, clinic.appointment(clinic.slot(3, extension=until)))


def test_i5_a_deployment_has_a_booking_window(clinic_of):
    clinic = clinic_of(booking_window_days="7")
    appointment = clinic.appointment(clinic.slot())
    refused(clinic, over_rest, appointment, 422, "business-rule", "INAPPROPRIATE_SLOT", ".slot[0]")


def test_i6_a_named_clinician_is_the_schedules(clinic, door):
    schedule = clinic.read("Schedule", clinic.schedule)
    clinic.put(schedule | {"actor": [ref("Practitioner/anna")]})
    slot = clinic.slot()
    other = referral(clinic, performer=[ref("Practitioner/bela")])
    rule = 422, "business-rule", "INAPPROPRIATE_VALUE", ".slot[0]"
    refused(clinic, door, clinic.appointment(slot, basedOn=other), *rule)
    anna = referral(clinic, performer=[ref("Practitioner/anna")])
    accepted(clinic, door, clinic.appointment(slot, basedOn=anna))


def test_i7_a_referral_has_one_live_first_appointment(clinic, door):
    own = referral(clinic)
    made = clinic.book(clinic.slot(), basedOn=own)
    second = clinic.appointment(clinic.slot(1), basedOn=own)
    refused(clinic, door, second, 409, "conflict", "INVALID_REQUEST_STATE", ".basedOn")
    follow_up = {
        "coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0276", "code": "FOLLOWUP"}]
    }
    accepted(
        clinic, door, clinic.appointment(clinic.slot(2), basedOn=own, appointmentType=follow_up)
    )
    clinic.put(made | {"status": "cancelled"})
    accepted(clinic, door, second)


def test_i7_two_first_appointments_in_one_transaction_are_refused(clinic):
    own = referral(clinic)
    both = [clinic.appointment(clinic.slot(place), basedOn=own) for place in range(2)]
    answer = transaction(clinic, *[("POST", "Appointment", item) for item in both])
    assert (answer.status_code, codes(answer.json())[0][1][1]) == (409, "INVALID_REQUEST_STATE")


IN_USE = (409, [("conflict", ["REC_CONFLICT", "SLOT_HAS_APPOINTMENT"])])


def told(answer):
    return answer.status_code, codes(answer.json())


@pytest.fixture(params=["booked", "held"])
def used(request, clinic):
    """A slot with an identifier, that an appointment has."""
    slot = clinic.slot(identifier=[{"system": "usrn", "value": clinic.number}])
    if request.param == "booked":
        clinic.book(slot)
    else:
        hold(clinic, slot)
    return slot


def test_i21_a_slot_in_use_is_not_set_free_or_removed(clinic, used):
    path, by_identifier = f"Slot/{used['id']}", f"Slot?identifier=usrn|{clinic.number}"
    patch = [{"op": "replace", "path": "/status", "value": "free"}]
    patched = {"resourceType": "Binary", "contentType": "application/json-patch+json",
               "data": base64.b64encode(json.dumps(patch).encode()).decode()}  # fmt: skip
    attempts = [
        clinic.put(used),
        clinic.client.put(by_identifier, json=used, headers=FHIR),
        clinic.client.patch(
            path, json=patch, headers={"Content-Type": "application/json-patch+json"}
        ),
        clinic.client.delete(path),
        clinic.client.delete(by_identifier),
        transaction(clinic, ("PUT", path, used)),
        transaction(clinic, ("PUT", by_identifier, used)),
        transaction(clinic, ("PATCH", path, patched)),
        transaction(clinic, ("DELETE", path, None)),
    ]
    assert [told(answer) for answer in attempts] == [IN_USE] * len(attempts)
    assert clinic.status(used) != "free"


@pytest.mark.parametrize("headers", [{}, {"Prefer": "handling=lenient"}], ids=["plain", "lenient"])
def test_i21_a_slot_in_use_is_not_set_free_by_an_operation(clinic, used, headers):
    bundle = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": used}]}
    before = clinic.read("Slot", used["id"])
    for status in ("free", "busy-unavailable", "entered-in-error"):
        used["status"] = status
        answer = clinic.client.post("Slot/$publish", json=bundle, headers=FHIR | headers)
        (entry,) = answer.json()["entry"]
        assert entry["response"]["status"].startswith("409")
        assert (409, codes(entry["response"]["outcome"])) == IN_USE
    assert clinic.read("Slot", used["id"]) == before


def hold(clinic, slot, **headers):
    """A hold on the slot, by the client that the headers name."""
    parameter = {"name": "appointment-resource", "resource": clinic.appointment(slot)}
    body = {"resourceType": "Parameters", "parameter": [parameter]}
    answer = clinic.client.post("Appointment/$hold", json=body, headers=FHIR | headers)
    assert answer.status_code == 200, answer.text
    return answer.json()["entry"][0]["resource"]


ONE, OTHER = {"NHSD-End-User-Organisation": "b25l"}, {"NHSD-End-User-Organisation": "b3RoZXI="}


def test_i22_a_hold_is_booked_by_its_own_client_only(clinic, door):
    slot = clinic.slot()
    wanted = hold(clinic, slot, **ONE) | {"status": "booked"}
    answer, outcome = door(clinic, wanted, **OTHER)
    assert answer.status_code == 409
    assert codes(outcome) == [("conflict", ["REC_CONFLICT", "HOLD_EXPIRED"])]
    assert clinic.status(slot) == "busy-tentative"
    answer, _ = door(clinic, wanted, **ONE)
    assert answer.status_code == 200
    assert clinic.status(slot) == "busy"


def test_i22_a_hold_that_expired_is_not_booked(clinic_of):
    clinic = clinic_of(hold_seconds="1")
    held = [hold(clinic, clinic.slot(place)) for place in range(len(DOORS))]
    time.sleep(1.1)
    for door, appointment in zip(DOORS, held, strict=True):
        answer, outcome = door(clinic, appointment | {"status": "booked"})
        assert answer.status_code == 409, answer.text
        assert codes(outcome) == [("expired", ["REC_CONFLICT", "HOLD_EXPIRED"])]
        assert clinic.read("Appointment", appointment["id"])["status"] != "booked"


def test_i31_an_overlap_of_the_patients_appointments_is_a_warning(clinic, door):
    patient = [{"actor": ref(f"Patient/{uuid.uuid4()}"), "status": "accepted"}]
    clinic.book(clinic.slot(), participant=patient)
    appointment = clinic.appointment(clinic.slot(), participant=patient)
    answer = accepted(clinic, door, appointment)
    warning = [("business-rule", ["OVERLAPPING_APPOINTMENT"])]
    shown = answer.json()
    if door is over_rest:
        assert answer.status_code == 201
        assert "OVERLAPPING_APPOINTMENT" in answer.headers["warning"]
        preferred = {"Prefer": "return=OperationOutcome"}
        again = clinic.post(clinic.appointment(clinic.slot(), participant=patient), **preferred)
        assert again.status_code == 201
        assert codes(again.json()) == warning
        outcome = again.json()
    elif door is in_transaction:
        outcome = shown["entry"][0]["response"]["outcome"]
    else:
        outcome = shown["entry"][-1]["resource"]
    assert codes(outcome) == warning
    assert outcome["issue"][0]["severity"] == "warning"


def test_no_overlap_no_warning(clinic):
    patient = [{"actor": ref(f"Patient/{uuid.uuid4()}"), "status": "accepted"}]
    clinic.book(clinic.slot(), participant=patient)
    answer = clinic.post(clinic.appointment(clinic.slot(1), participant=patient))
    assert (answer.status_code, "warning" in answer.headers) == (201, False)


PROVENANCE = {"resourceType": "Provenance", "target": [{"reference": "Appointment/x"}],
              "recorded": "2034-01-01T09:00:00Z", "agent": [{"who": {"display": "x"}}]}  # fmt: skip


def clinic_cancelled(clinic, slot):
    period = {"start": slot["start"], "end": slot["end"]}
    listed = [{"name": name, "valueDateTime": value} for name, value in period.items()]
    body = {"resourceType": "Parameters", "parameter": listed}
    return clinic.client.post(f"Schedule/{clinic.schedule}/$cancel-clinic", json=body, headers=FHIR)


def test_i27_lock_contention_ends_in_409_with_retry_after(serve_process):
    server, clinic = serve_process(lock_timeout="0.3")
    slot, other = clinic.slot(), clinic.slot(1)
    booked = clinic.book(other)
    with locked(server.database):
        attempts = [door(clinic, clinic.appointment(slot)) for door in DOORS]
        others = [
            clinic.client.delete(f"Appointment/{booked['id']}"),
            clinic.client.post(f"Appointment/{booked['id']}/$cancel"),
            clinic.post(clinic.appointment(slot), **{"X-Provenance": json.dumps(PROVENANCE)}),
            clinic_cancelled(clinic, other),
        ]
        attempts += [(answer, answer.json()) for answer in others]
    for answer, outcome in attempts:
        assert answer.status_code == 409, answer.text
        assert int(answer.headers["retry-after"]) >= 1
        assert codes(outcome) == [("lock-error", ["REC_CONFLICT", "LOCKED"])]
    assert clinic.status(slot) == "free"
    assert clinic.read("Appointment", booked["id"]) == booked
    for door in DOORS:
        accepted(clinic, door, clinic.appointment(clinic.slot(3)))


def locked(database):
    """Somebody else is changing the table of claims, and does not come to an end."""
    if database.startswith("sqlite"):
        connection = connect(database.removeprefix("sqlite:///"))
        connection.execute("BEGIN IMMEDIATE")
    else:
        connection = psycopg.connect(database.replace("+psycopg", "", 1))
        connection.execute("LOCK TABLE slot_claim")

    class Held:
        def __enter__(self):
            return connection

        def __exit__(self, *_):
            connection.close()

    return Held()
