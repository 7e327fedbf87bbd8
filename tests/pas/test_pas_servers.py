"""What waits for the PAS outlives the server, is asked about by one process at a time, and leads on to the referral.

docs/pas.md
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest
from booking_clinic import Clinic, codes
from referral_desk import Desk, state_of
from test_pas import FAILED, eventually, wanted

from tools.serving import ServerProcess, free_port

SYSTEM = "https://example.org/pas/clinics"


@pytest.fixture
def server_on(new_database):
    """Starts servers on one database with a PAS; the second one begins where the first has ended."""
    database = new_database()
    with ExitStack() as stack:

        def start(url, workers=1, **settings):
            named = {"FHIR_PAS_URL": url, "FHIR_PAS_TIMEOUT": "0.6"} | settings
            server = ServerProcess(database, workers=workers, settings=named)
            stack.enter_context(server)
            client = stack.enter_context(httpx.Client(base_url=server.base + "/", timeout=30))
            return server, client

        yield start


def test_what_waits_is_asked_about_after_a_kill(server_on, pas):
    pas.says = "silent"
    server, client = server_on(pas.url, FHIR_PAS_TIMEOUT="5")
    clinic = Clinic(client)
    slot, other = clinic.slot(), clinic.slot(1)
    made = wanted(clinic, slot)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(clinic.post, made)
        eventually(lambda: pas.told[-1][1].get("identifier") == made["identifier"])
        server.kill()
        with pytest.raises(httpx.TransportError):
            asked.result()
    logical_id = pas.told[-1][0].rpartition("/")[2]
    pas.says = "yes"
    _, client = server_on(pas.url)
    clinic.client = client
    assert clinic.status(slot) == "busy-tentative"
    assert clinic.read("Appointment", logical_id)["status"] == "pending"
    assert clinic.book(other)["status"] == "booked"
    eventually(lambda: clinic.read("Appointment", logical_id)["status"] == "booked", 15)
    assert clinic.status(slot) == "busy"


def test_several_processes_ask_one_at_a_time_and_only_about_the_clinics_of_the_pas(server_on, pas):
    pas.says = "error"
    _, client = server_on(pas.url, workers=2, FHIR_PAS_SYSTEM=SYSTEM)
    clinic, elsewhere = Clinic(client), Clinic(client)
    clinic.put(
        clinic.read("Schedule", clinic.schedule)
        | {"identifier": [{"system": SYSTEM, "value": "c1"}]}
    )
    assert elsewhere.book(elsewhere.slot())["status"] == "booked"
    slots = [clinic.slot(place) for place in range(12)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda slot: clinic.post(wanted(clinic, slot)), slots))
    assert {item.status_code for item in answers} == {502}
    pas.seconds = 0.05
    time.sleep(1)
    pas.says = "yes"
    eventually(lambda: all(clinic.status(slot) == "busy" for slot in slots), 15)
    assert pas.doubles == 0


def test_where_nobody_listens_it_is_an_error_and_the_referral_is_booked_once_it_is_confirmed(
    server_on, pas
):
    server, client = server_on(f"http://127.0.0.1:{free_port()}")
    desk = Desk(client)
    service = desk.service()
    referral = desk.referral(service)
    slot = desk.slot(service)
    answer = desk.post(desk.appointment(referral, slot))
    assert answer.status_code == 502, answer.text
    assert codes(answer.json()) == [FAILED]
    assert desk.state(referral) == "NOT_BOOKED"
    assert not desk.tasks(referral, "REVIEW")
    server.stop()
    server, desk.client = server_on(pas.url)
    eventually(lambda: desk.state(referral) == "BOOKED")
    assert [item["status"] for item in desk.tasks(referral, "REVIEW")] == ["requested"]
    printed = server.printed()
    assert slot["id"] not in printed

    pas.says = "no"
    second = desk.referral(service)
    assert desk.post(desk.appointment(second, desk.slot(service))).status_code == 409
    assert state_of(desk.read(second)) == "NOT_BOOKED"
    revoked = desk.read(referral)
    pas.says = "yes"
    answer = desk.operation(revoked, "cancel", reason={"coding": [{
        "system": "https://fhir-server.example.org/CodeSystem/referral-cancellation-reason",
        "code": "PATIENT_DIED"}]})  # fmt: skip
    assert answer.status_code == 200, answer.text
    eventually(lambda: pas.told[-1][1]["status"] == "cancelled")
