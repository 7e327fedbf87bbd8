"""What becomes of appointments that a PAS has to confirm: held, cancelled, moved, of referrals (docs/pas.md)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from booking_clinic import FHIR, codes
from pas_doors import TAG, eventually, over_post, shown, stored, wanted
from referral_desk import REFERRAL_REASONS, Desk, concept, state_of


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


def test_a_change_that_moves_nothing_is_not_asked_about(clinic, pas):
    made = clinic.book(clinic.slot())
    told = len(pas.about(made["id"]))
    pas.says = "error"
    answer = clinic.put(made | {"comment": "Needs a ramp"})
    assert (answer.status_code, answer.json()["status"]) == (200, "booked")
    answer = clinic.put(answer.json() | {"status": "pending"})
    assert (answer.status_code, codes(answer.json())[0][1][1]) == (422, "INVALID_REQUEST_STATE")
    assert len(pas.about(made["id"])) == told
