"""What waits for the PAS outlives the server, and is asked about by one process at a time (docs/pas.md)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from booking_clinic import Clinic
from pas_doors import eventually, wanted
from pas_player import Pas

from tools.serving import ServerProcess

SYSTEM = "https://example.org/pas/clinics"


@pytest.fixture
def alone():
    """A PAS that no other server asks."""
    made = Pas()
    yield made
    made.close()


def test_several_processes_and_a_kill_lose_nothing_and_ask_about_each_one_at_a_time(
    new_database, alone
):
    database, pas = new_database(), alone
    settings = {
        "FHIR_PAS_URL": pas.url,
        "FHIR_PAS_TIMEOUT": "1.5",
        "FHIR_PAS_SYSTEM": SYSTEM,
        "FHIR_LOG_LEVEL": "info",
    }
    server = ServerProcess(database, workers=2, settings=settings)
    pas.says = "error"
    with server, httpx.Client(base_url=server.base + "/", timeout=30) as client:
        clinic, elsewhere = Clinic(client), Clinic(client)
        schedule = clinic.read("Schedule", clinic.schedule)
        clinic.put(schedule | {"identifier": [{"system": SYSTEM, "value": "c1"}]})
        other = elsewhere.book(elsewhere.slot())
        assert other["status"] == "booked"
        assert not pas.about(other["id"])
        slots = [clinic.slot(place) for place in range(10)]
        with ThreadPoolExecutor(5) as pool:
            answers = list(pool.map(lambda slot: clinic.post(wanted(clinic, slot)), slots[:9]))
        assert {item.status_code for item in answers} == {502}
        pas.seconds = 0.05
        time.sleep(0.5)
        pas.says = "silent"
        made = wanted(clinic, slots[9])
        with ThreadPoolExecutor(1) as pool:
            asked = pool.submit(clinic.post, made)
            eventually(lambda: pas.was_told(made))
            server.kill()
            with pytest.raises(httpx.TransportError):
                asked.result()
        assert made["identifier"][0]["value"] not in server.printed()
    pas.says = "yes"
    server = ServerProcess(database, workers=2, settings=settings)
    with server, httpx.Client(base_url=server.base + "/", timeout=30) as client:
        clinic.client = client
        assert clinic.status(slots[9]) == "busy-tentative"
        eventually(lambda: all(clinic.status(slot) == "busy" for slot in slots), 15)
        told = client.get("Appointment?status=booked&_count=100").json()["entry"]
        assert len(told) == 11
        assert not [item for item in told if "tag" in item["resource"]["meta"]]
    assert pas.doubles == 0
