"""Bookings that a PAS has to confirm: what is stored, told and answered whatever the PAS does.

docs/pas.md, https://hl7.org/fhir/R4/appointment.html#statuses
"""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest
from booking_clinic import FHIR, codes
from pas_doors import (
    DOORS,
    FAILED,
    REFUSED,
    SILENT,
    TAG,
    by_operation,
    eventually,
    in_transaction,
    outcome,
    over_post,
    over_put,
    shown,
    stored,
    wanted,
)

from fhir_server.interactions.call import Context, Create, Policy, Result
from fhir_server.interactions.rules import NoRules
from fhir_server.pas.asking import Asking, PasSettings
from fhir_server.pas.gateway import Gateway
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import StoredVersion
from fhir_server.store.memory import MemoryStore
from tools.serving import free_port


@pytest.mark.parametrize("says", ["yes", "minimal"])
def test_what_the_pas_confirms_is_booked(clinic, pas, door, says):
    pas.says = says
    slot = clinic.slot()
    appointment = wanted(clinic, slot)
    answer = door(clinic, appointment)
    assert answer.status_code == (201 if door in (over_post, over_put) else 200), answer.text
    found = stored(clinic, appointment)
    assert shown(answer) == found
    assert (found["status"], found["meta"]["versionId"]) == ("booked", "2")
    assert "tag" not in found["meta"]
    if "etag" in answer.headers:
        assert answer.headers["etag"] == 'W/"2"'
        assert answer.headers["location"].endswith(f"Appointment/{found['id']}/_history/2")
    assert clinic.status(slot) == "busy"
    [(body, headers)] = pas.about(found["id"])
    assert body["status"] == "booked"
    assert body["slot"] == [{"reference": f"{clinic.client.base_url!s}Slot/{slot['id']}"}]
    assert headers["idempotency-key"] == f"{found['id']}-1"
    assert headers["authorization"] == "Bearer secret"
    assert headers["content-type"] == "application/fhir+json"
    first = clinic.client.get(f"Appointment/{found['id']}/_history/1").json()
    assert (first["status"], first["meta"]["tag"]) == ("pending", [TAG])


def test_what_the_pas_refuses_is_cancelled_and_its_slot_is_free(clinic, pas, door):
    pas.says = "no"
    slot = clinic.slot()
    appointment = wanted(clinic, slot)
    answer = door(clinic, appointment)
    assert answer.status_code == 409, answer.text
    assert codes(outcome(answer)) == [REFUSED]
    assert (answer.json()["resourceType"] == "Bundle") == (door is by_operation)
    found = stored(clinic, appointment)
    assert found["status"] == "cancelled"
    assert "tag" not in found["meta"]
    assert clinic.status(slot) == "free"
    pas.says = "yes"
    assert clinic.book(slot)["status"] == "booked"


@pytest.mark.parametrize(
    ("says", "status", "told"),
    [("silent", 504, SILENT), ("error", 502, FAILED)],
)
def test_without_an_answer_it_is_pending_until_there_is_one(clinic, pas, says, status, told):
    pas.says = says
    slots = [clinic.slot(place) for place in range(len(DOORS))]
    appointments = [wanted(clinic, slot) for slot in slots]
    with ThreadPoolExecutor(len(DOORS)) as pool:
        answers = list(pool.map(lambda each, item: each(clinic, item), DOORS, appointments))
    for answer, appointment, slot in zip(answers, appointments, slots, strict=True):
        assert answer.status_code == status, answer.text
        assert codes(answer.json()) == [told]
        found = stored(clinic, appointment)
        assert f"Appointment/{found['id']}" in answer.json()["issue"][0]["diagnostics"]
        assert answer.headers["location"].endswith(f"/Appointment/{found['id']}")
        assert (found["status"], found["meta"]["tag"]) == ("pending", [TAG])
        assert clinic.status(slot) == "busy-tentative"
    assert clinic.client.get(f"Patient/{clinic.beside}").status_code == 200
    pas.says = "yes"
    for appointment, slot in zip(appointments, slots, strict=True):
        eventually(lambda wanted=appointment: stored(clinic, wanted)["status"] == "booked")
        assert clinic.status(slot) == "busy"
        found = stored(clinic, appointment)
        keys = {item["idempotency-key"] for _, item in pas.about(found["id"])}
        assert keys == {f"{found['id']}-1"}


@pytest.mark.parametrize("says", ["garbage", "deep", "other", "redirect", "drop"])
def test_what_is_no_answer_is_an_error(clinic, pas, says):
    pas.says = says
    answer = over_post(clinic, wanted(clinic, clinic.slot()))
    assert answer.status_code == 502, answer.text
    assert codes(answer.json()) == [FAILED]
    assert not [path for path, _, _ in pas.told if "elsewhere" in path]
    [identity] = [
        item for item in answer.json()["issue"][0]["diagnostics"].split() if "Appointment/" in item
    ]
    clinic.client.post(f"{identity}/$cancel")
    pas.says = "yes"


def test_a_slot_that_waits_for_the_pas_is_taken(clinic, pas):
    pas.seconds = 0.3
    slot = clinic.slot()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(over_post, clinic, wanted(clinic, slot)) for _ in range(4)]
        answers = [item.result() for item in asked]
    assert sorted(item.status_code for item in answers) == [201, 409, 409, 409]
    for answer in answers:
        if answer.status_code == 409:
            assert codes(answer.json()) == [REFUSED]
    pas.says = "silent"
    slot = clinic.slot(1)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(over_post, clinic, wanted(clinic, slot)) for _ in range(2)]
        assert sorted(item.result().status_code for item in asked) == [409, 504]


def test_the_server_goes_on_while_the_pas_thinks(clinic, pas):
    pas.says, pas.most_at_once = "silent", 0
    slots = [clinic.slot(place) for place in range(8)]
    with ThreadPoolExecutor(8) as pool:
        asked = [pool.submit(over_post, clinic, wanted(clinic, slot)) for slot in slots]
        eventually(lambda: pas.most_at_once >= 4)
        patient = {"resourceType": "Patient", "id": f"p-{clinic.number}"}
        assert clinic.put(patient).status_code == 201
        assert clinic.client.get("Slot?_summary=count").status_code == 200
        assert {item.result().status_code for item in asked} == {504}


def test_in_a_batch_each_entry_has_its_own_answer(clinic, pas):
    taken, free = clinic.slot(), clinic.slot(1)
    clinic.book(taken)
    pas.says = "error"
    entries = [
        {"request": {"method": "POST", "url": "Appointment"}, "resource": wanted(clinic, free)},
        {"request": {"method": "POST", "url": "Appointment"}, "resource": wanted(clinic, taken)},
        {"request": {"method": "GET", "url": f"Slot/{free['id']}"}},
        {
            "request": {"method": "POST", "url": "Appointment/$book"},
            "resource": {
                "resourceType": "Parameters",
                "parameter": [
                    {"name": "appointment-resource", "resource": wanted(clinic, clinic.slot(2))}
                ],
            },
        },
    ]
    bundle = {"resourceType": "Bundle", "type": "batch", "entry": entries}
    answer = clinic.client.post("", json=bundle, headers=FHIR)
    assert answer.status_code == 200
    shown = [entry["response"] for entry in answer.json()["entry"]]
    assert [item["status"][:3] for item in shown] == ["502", "409", "200", "502"]
    assert codes(shown[0]["outcome"]) == [FAILED]
    assert codes(shown[1]["outcome"]) == [REFUSED]
    pas.says = "yes"
    again = wanted(clinic, clinic.slot(3))
    token = "{system}|{value}".format(**again["identifier"][0])
    search = f"Appointment?identifier={token}&_elements=status"
    entries[0]["resource"], entries[3] = again, {"request": {"method": "GET", "url": search}}
    answer = clinic.client.post("", json=bundle, headers=FHIR)
    first, *_, last = answer.json()["entry"]
    [found] = last["resource"]["entry"]
    assert "slot" not in found["resource"]
    assert first["resource"]["status"] == "booked"
    assert first["response"]["etag"] == 'W/"2"'
    assert first["response"]["status"] == "201 Created"


def test_minimal_answers_tell_the_version_that_is_booked(clinic, pas):
    answer = over_post(clinic, wanted(clinic, clinic.slot()), Prefer="return=minimal")
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (201, b"", 'W/"2"')
    answer = in_transaction(clinic, wanted(clinic, clinic.slot(1)), Prefer="return=minimal")
    entry = answer.json()["entry"][0]
    assert entry["response"]["etag"] == 'W/"2"'
    assert "resource" not in entry


def test_a_request_that_is_sent_again_tells_what_came_of_it(clinic, pas):
    pas.says = "silent"
    appointment = wanted(clinic, clinic.slot())
    key = {"Idempotency-Key": f"key-{clinic.number}"}
    assert over_post(clinic, appointment, **key).status_code == 504
    pas.says = "yes"
    answer = over_post(clinic, appointment, **key)
    assert answer.status_code == 201, answer.text
    assert answer.json() == stored(clinic, appointment)
    assert answer.json()["status"] == "booked"


def test_no_more_clients_wait_than_may():
    class Never:
        settings = PasSettings("http://pas.example")

    context = Context(Policy(), time.time_ns, uuid.uuid4, afterwards={("Appointment", "a")})
    call = Create("Appointment", {})
    with ThreadPoolExecutor(1) as threads:
        gateway = Gateway(Never(), MemoryStore(), context, NoRules(), threads, most=0)
        with pytest.raises(FhirError) as refusal:
            asyncio.run(gateway.complete(call, Result(201), context))
    assert refusal.value.status == 504


def test_a_pas_that_is_not_there_is_an_error():
    body = {"resourceType": "Appointment", "id": "a", "status": "pending", "participant": []}
    version = StoredVersion(1, "Appointment", "a", 1, 0, "POST", True, json.dumps(body).encode())

    async def tell(url, **settings):
        asking = Asking(PasSettings(url, 0.5, **settings))
        try:
            return await asking.tell(version, Context(Policy(), time.time_ns, uuid.uuid4))
        finally:
            await asking.close()

    nobody = f"http://127.0.0.1:{free_port()}"
    for url, settings in [
        (nobody, {}),
        (nobody.replace("http:", "https:"), {}),
        ("http://[bad", {}),
        ("http://nowhere.invalid", {}),
        (nobody, {"token_file": "/nowhere"}),
    ]:
        assert asyncio.run(tell(url, **settings)) == "failed"
