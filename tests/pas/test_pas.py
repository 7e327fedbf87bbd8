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
from referral_desk import REFERRAL_REASONS, Desk, concept, state_of

from fhir_server.interactions.call import Context, Create, Policy, Result
from fhir_server.interactions.rules import NoRules
from fhir_server.pas.asking import Asking, PasSettings
from fhir_server.pas.gateway import Gateway
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import StoredVersion
from fhir_server.store.memory import MemoryStore
from tools.serving import free_port

TAG = {"system": "https://fhir-server.example.org/CodeSystem/pas-confirmation", "code": "awaiting"}
SILENT = ("timeout", ["REC_GATEWAY_TIMEOUT", "PAS_NOT_RESPONDING"])
FAILED = ("exception", ["REC_BAD_GATEWAY", "PAS_RESPONDED_WITH_ERROR"])
REFUSED = ("conflict", ["REC_CONFLICT", "SLOT_NOT_AVAILABLE"])


def over_post(clinic, appointment, **headers):
    return clinic.post(appointment, **headers)


def in_transaction(clinic, appointment, **headers):
    patient = {"resourceType": "Patient", "id": f"beside-{clinic.number}-{next(clinic.ids)}"}
    entries = [
        {"request": {"method": "POST", "url": "Appointment"}, "resource": appointment},
        {"request": {"method": "PUT", "url": f"Patient/{patient['id']}"}, "resource": patient},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    clinic.beside = patient["id"]
    return clinic.client.post("", json=bundle, headers=FHIR | headers)


def by_operation(clinic, appointment, **headers):
    sent = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": appointment}],
    }
    return clinic.client.post("Appointment/$book", json=sent, headers=FHIR | headers)


def over_put(clinic, appointment, **headers):
    return clinic.put(
        appointment | {"id": f"appointment-{clinic.number}-{next(clinic.ids)}"}, **headers
    )


DOORS = [over_post, over_put, in_transaction, by_operation]
door = pytest.fixture(params=DOORS, ids=lambda item: item.__name__)(lambda request: request.param)


def wanted(clinic, *slots, **elements):
    """An appointment that can be found again by its identifier."""
    number = f"{clinic.number}-{next(clinic.ids)}"
    identifier = [{"system": "https://example.org/appointments", "value": number}]
    return clinic.appointment(*slots, identifier=identifier, **elements)


def stored(clinic, appointment):
    """The appointment as it is by now."""
    token = "{system}|{value}".format(**appointment["identifier"][0])
    [entry] = clinic.client.get("Appointment", params={"identifier": token}).json()["entry"]
    return entry["resource"]


def shown(answer):
    """The one appointment in an answer."""
    told = answer.json()
    if told["resourceType"] == "Bundle":
        [told] = [
            entry["resource"]
            for entry in told["entry"]
            if entry["resource"]["resourceType"] == "Appointment"
        ]
    return told


def outcome(answer):
    told = answer.json()
    return told["entry"][0]["resource"] if told["resourceType"] == "Bundle" else told


def eventually(look, seconds=8):
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)


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


def test_nobody_but_the_pas_confirms(clinic, pas):
    pas.says = "error"
    appointment = wanted(clinic, clinic.slot())
    over_post(clinic, appointment)
    found = stored(clinic, appointment)
    bare = {name: value for name, value in found.items() if name != "meta"} | {"status": "booked"}
    assert clinic.put(bare).status_code == 502
    removed = {
        "resourceType": "Parameters",
        "parameter": [{"name": "meta", "valueMeta": {"tag": [TAG]}}],
    }
    path = f"Appointment/{found['id']}"
    clinic.client.post(f"{path}/$meta-delete", json=removed, headers=FHIR)
    held = clinic.client.post(f"{path}/$hold")
    assert held.status_code == 409, held.text
    document = [{"op": "replace", "path": "/status", "value": "arrived"}]
    kind = {"Content-Type": "application/json-patch+json"}
    assert clinic.client.patch(path, json=document, headers=kind).status_code == 422
    arrived = clinic.post(wanted(clinic, clinic.slot(1), status="arrived"))
    assert (arrived.status_code, codes(arrived.json())[0][1][1]) == (422, "INVALID_REQUEST_STATE")
    found = stored(clinic, appointment)
    assert (found["status"], found["meta"]["tag"]) == ("pending", [TAG])
    assert clinic.client.delete(path).status_code == 409
    faked = clinic.post(wanted(clinic, status="proposed", meta={"tag": [TAG]}))
    assert "tag" not in faked.json()["meta"]


def test_a_hold_that_is_booked_does_not_run_out_while_the_pas_thinks(clinic, pas):
    slot = clinic.slot()
    sent = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": wanted(clinic, slot)}],
    }
    held = shown(clinic.client.post("Appointment/$hold", json=sent, headers=FHIR))
    assert "tag" not in held["meta"]
    assert not pas.about(held["id"])
    pas.says = "error"
    answer = clinic.client.post(f"Appointment/{held['id']}/$book")
    assert answer.status_code == 502, answer.text
    time.sleep(2.1)
    other = over_post(clinic, wanted(clinic, slot), **{"NHSD-End-User-Organisation": "b3RoZXI="})
    assert other.status_code == 409
    assert clinic.status(slot) == "busy-tentative"
    pas.says = "yes"
    eventually(lambda: clinic.read("Appointment", held["id"])["status"] == "booked")


def test_a_cancellation_is_told_later_and_nobody_waits_for_it(clinic, pas):
    slot = clinic.slot()
    made = clinic.book(slot)
    assert made["status"] == "booked"
    pas.says = "silent"
    answer = clinic.client.post(f"Appointment/{made['id']}/$cancel")
    assert answer.status_code == 200, answer.text
    assert (answer.json()["status"], answer.json()["meta"]["tag"]) == ("cancelled", [TAG])
    assert clinic.status(slot) == "free"
    assert clinic.client.delete(f"Appointment/{made['id']}").status_code == 409
    pas.says = "yes"
    eventually(lambda: "tag" not in clinic.read("Appointment", made["id"])["meta"])
    assert [body["status"] for body, _ in pas.about(made["id"])][-1] == "cancelled"
    assert clinic.client.delete(f"Appointment/{made['id']}").status_code == 204


def test_what_is_cancelled_while_the_pas_thinks_stays_cancelled(clinic, pas):
    pas.seconds = 0.4
    slot = clinic.slot()
    appointment = wanted(clinic, slot)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(over_post, clinic, appointment)
        eventually(lambda: pas.was_told(appointment))
        found = stored(clinic, appointment)
        assert clinic.client.post(f"Appointment/{found['id']}/$cancel").status_code == 200
        assert asked.result().status_code == 409
    pas.seconds = 0.0
    eventually(lambda: "tag" not in stored(clinic, appointment)["meta"])
    assert stored(clinic, appointment)["status"] == "cancelled"
    assert [body["status"] for body, _ in pas.about(found["id"])] == ["booked", "cancelled"]


def test_a_move_is_confirmed_or_taken_back(clinic, pas):
    old, new, third = (clinic.slot(place) for place in range(3))
    made = clinic.book(old)
    path = f"Appointment/{made['id']}"

    def move(slot):
        named = [{"name": "slot", "valueReference": {"reference": f"Slot/{slot['id']}"}}]
        sent = {"resourceType": "Parameters", "parameter": named}
        return clinic.client.post(f"{path}/$rebook", json=sent, headers=FHIR)

    answer = move(new)
    assert (answer.status_code, answer.json()["status"]) == (200, "booked")
    assert (clinic.status(old), clinic.status(new)) == ("free", "busy")
    pas.says = "no"
    assert move(third).status_code == 409
    back = clinic.read("Appointment", made["id"])
    assert (back["status"], back["slot"], back["start"]) == (
        "booked", [{"reference": f"Slot/{new['id']}"}], answer.json()["start"],
    )  # fmt: skip
    assert (clinic.status(third), clinic.status(new)) == ("free", "busy")
    pas.says, pas.seconds = "no", 0.4
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(move, third)
        eventually(lambda: clinic.status(new) == "free")
        closed = clinic.read("Slot", new["id"]) | {"status": "busy-unavailable"}
        assert clinic.put(closed).status_code == 200
        assert asked.result().status_code == 409
    assert clinic.read("Appointment", made["id"])["status"] == "cancelled"


def test_a_referral_is_booked_once_the_pas_has_confirmed(confirmed, pas):
    desk = Desk(confirmed)
    service = desk.service()
    referral, refused = desk.referral(service), desk.referral(service)
    pas.says = "no"
    assert desk.post(desk.appointment(refused, desk.slot(service))).status_code == 409
    assert desk.state(refused) == "NOT_BOOKED"
    pas.says = "error"
    answer = desk.post(desk.appointment(referral, desk.slot(service)))
    assert answer.status_code == 502
    logical_id = answer.headers["location"].rpartition("/")[2]
    assert desk.state(referral) == "NOT_BOOKED"
    assert not desk.tasks(referral, "REVIEW")
    pas.says = "yes"
    eventually(lambda: desk.state(referral) == "BOOKED")
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["requested"]
    answer = desk.operation(referral, "cancel", reason=concept(REFERRAL_REASONS, "PATIENT_DIED"))
    assert answer.status_code == 200, answer.text
    eventually(lambda: pas.about(logical_id)[-1][0]["status"] == "cancelled")


@pytest.mark.parametrize(("says", "status"), [("yes", 200), ("no", 409), ("error", 502)])
def test_what_an_operation_of_the_referral_books_is_asked_about(confirmed, pas, says, status):
    desk = Desk(confirmed)
    service = desk.service("REVIEW")
    referral = desk.referral(service)
    assert desk.operation(referral, "send-for-triage").status_code == 201
    pas.says = says
    slot = desk.slot(service)
    named = {"reference": f"Slot/{slot['id']}"}
    sent = {"outcome": "REFER_OR_BOOK_NOW", "comment": "At once", "slot": named}
    answer = desk.operation(referral, "record-outcome", **sent)
    assert answer.status_code == status, answer.text
    if says == "yes":
        assert answer.json() == desk.read(referral)
        assert state_of(answer.json()) == "BOOKED"
        return
    assert desk.state(referral) == "TRIAGED_PROVIDER_TO_ACTION"
    assert [item["status"] for item in desk.tasks(referral, "REBOOK_REFER")] == ["requested"]


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


def test_a_change_that_moves_nothing_is_not_asked_about(clinic, pas):
    made = clinic.book(clinic.slot())
    told = len(pas.about(made["id"]))
    pas.says = "error"
    answer = clinic.put(made | {"comment": "Needs a ramp"})
    assert (answer.status_code, answer.json()["status"]) == (200, "booked")
    answer = clinic.put(answer.json() | {"status": "pending"})
    assert (answer.status_code, codes(answer.json())[0][1][1]) == (422, "INVALID_REQUEST_STATE")
    assert len(pas.about(made["id"])) == told
