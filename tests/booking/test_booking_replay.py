"""A request that is sent again has one effect and one answer.

https://datatracker.ietf.org/doc/html/draft-ietf-httpapi-idempotency-key-header
"""

from __future__ import annotations

import json
import random
import socket
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from booking_clinic import FHIR

from bench.client import request_bytes


def key():
    return {"Idempotency-Key": str(uuid.uuid4())}


def count(clinic, slot):
    found = clinic.client.get(
        "Appointment", params={"slot": f"Slot/{slot['id']}", "_summary": "count"}
    )
    return found.json()["total"]


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Request-Id"])
def test_a_booking_sent_again_is_answered_as_the_first_time(clinic, header):
    slot = clinic.slot(capacity=3)
    appointment, headers = clinic.appointment(slot), {header: str(uuid.uuid4())}
    first = clinic.post(appointment, **headers)
    again = clinic.post(appointment, **headers)
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    for name in ("location", "etag", "last-modified"):
        assert again.headers[name] == first.headers[name]
    assert count(clinic, slot) == 1


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Request-Id"])
def test_the_same_key_with_another_body_is_422(clinic, header):
    slot, headers = clinic.slot(capacity=3), {header: str(uuid.uuid4())}
    assert clinic.post(clinic.appointment(slot), **headers).status_code == 201
    lost = clinic.post(clinic.appointment(slot), **headers)
    assert lost.status_code == 422
    assert count(clinic, slot) == 1


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Request-Id"])
def test_a_booking_with_its_provenance_is_done_once_and_another_is_422(clinic, header):
    slot = clinic.slot(capacity=3)
    provenance = {"resourceType": "Provenance", "target": [{"reference": "Appointment/x"}],
                  "recorded": "2034-01-01T09:00:00Z", "agent": [{"who": {"display": "x"}}]}  # fmt: skip
    headers = {header: str(uuid.uuid4()), "X-Provenance": json.dumps(provenance)}
    appointment = clinic.appointment(slot)
    first, again = (clinic.post(appointment, **headers) for _ in range(2))
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.json() == first.json()
    other = json.dumps(provenance | {"recorded": "2034-01-01T09:00:01Z"})
    assert clinic.post(clinic.appointment(slot), **headers).status_code == 422
    assert clinic.post(appointment, **headers | {"X-Provenance": other}).status_code == 422
    assert count(clinic, slot) == 1


def test_a_transaction_is_done_once(clinic):
    slot = clinic.slot(capacity=3)
    entry = {
        "resource": clinic.appointment(slot),
        "request": {"method": "POST", "url": "Appointment"},
    }
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": [entry]}
    headers = FHIR | {"X-Request-Id": str(uuid.uuid4())}
    answers = [clinic.client.post("", json=bundle, headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert count(clinic, slot) == 1


def test_an_entry_of_a_batch_is_done_once(clinic):
    slot = clinic.slot(capacity=5)
    entries = [
        {"resource": clinic.appointment(slot), "request": {"method": "POST", "url": "Appointment"}}
        for _ in range(2)
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    headers = FHIR | key()
    for _ in range(2):
        answer = clinic.client.post("", json=bundle, headers=headers).json()
        assert [item["response"]["status"] for item in answer["entry"]] == ["201 Created"] * 2
    assert count(clinic, slot) == 2


def test_an_operation_is_done_once(clinic):
    slot, headers = clinic.slot(capacity=3), FHIR | key()
    body = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": clinic.appointment(slot)}],
    }
    answers = [
        clinic.client.post("Appointment/$book", json=body, headers=headers) for _ in range(2)
    ]
    assert answers[0].json() == answers[1].json()
    assert count(clinic, slot) == 1


def test_many_at_once_have_one_effect(clinic):
    slot, headers = clinic.slot(capacity=10), key()
    appointment = clinic.appointment(slot)
    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(lambda _: clinic.post(appointment, **headers), range(16)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert count(clinic, slot) == 1


def test_a_refusal_is_not_kept(clinic):
    slot, headers = clinic.slot(), key()
    made = clinic.book(slot)
    appointment = clinic.appointment(slot)
    assert clinic.post(appointment, **headers).status_code == 409
    clinic.put(made | {"status": "cancelled"})
    assert clinic.post(appointment, **headers).status_code == 201


def test_two_clients_may_choose_the_same_key(clinic):
    slot, headers = clinic.slot(capacity=3), key()
    for organisation in ("b25l", "b3RoZXI="):
        own = headers | {"NHSD-End-User-Organisation": organisation}
        assert clinic.post(clinic.appointment(slot), **own).status_code == 201


def test_a_key_works_with_any_change(clinic):
    headers = key()
    patient = {"resourceType": "Patient", "name": [{"family": clinic.number}]}
    answers = [clinic.post(patient, **headers).json()["id"] for _ in range(2)]
    assert answers[0] == answers[1]


def test_a_key_that_cannot_be_one_is_400(clinic):
    slot = clinic.slot()
    assert (
        clinic.post(clinic.appointment(slot), **{"Idempotency-Key": "x" * 300}).status_code == 400
    )


@pytest.mark.slow
def test_one_effect_however_often_it_is_sent_and_whenever_the_server_dies(serve_process):
    server, clinic = serve_process()
    chance = random.Random(7)
    for place in range(4):
        slot, headers = clinic.slot(place, capacity=3), FHIR | key()
        body = json.dumps(clinic.appointment(slot)).encode()
        wire = request_bytes("POST", "/fhir/Appointment", body, tuple(headers.items()))
        for _ in range(chance.randrange(1, 4)):
            with socket.create_connection(("127.0.0.1", server.port)) as connection:
                connection.sendall(wire)
        # Somewhere between the request, its commit and its answer.
        time.sleep(chance.random() * 0.02)
        server.kill()
        server.start()
        server.wait_until_ready()
        answers = {
            clinic.client.post("Appointment", content=body, headers=headers).json()["id"]
            for _ in range(2)
        }
        assert len(answers) == 1
        assert count(clinic, slot) == 1


def test_a_booking_survives_a_kill_between_commit_and_answer(serve_process):
    server, clinic = serve_process()
    slot, headers = clinic.slot(capacity=3), key()
    appointment = clinic.appointment(slot)
    first = clinic.post(appointment, **headers).json()
    server.kill()
    server.start()
    server.wait_until_ready()
    assert clinic.post(appointment, **headers).json() == first
    assert count(clinic, slot) == 1
