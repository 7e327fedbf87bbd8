"""The example region is one to refer in: services are found, and its referrals stand under the rules."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import httpx
import pytest

from tools.serving import ROOT, ServerProcess, command

FHIR = {"Content-Type": "application/fhir+json"}
STATE = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-ServiceRequest-State"


@pytest.fixture(scope="module")
def region(new_database, tmp_path_factory) -> Iterator[httpx.Client]:
    """A client of a server with the region."""
    file = tmp_path_factory.mktemp("region") / "region.ndjson"
    database = new_database()
    made = [sys.executable, "examples/region.py", "--scale", "0.5", "--out", str(file)]
    subprocess.run(made, cwd=ROOT, check=True)
    loaded = command("load", str(file), "--database", database)
    subprocess.run(loaded, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    with (
        ServerProcess(database) as server,
        httpx.Client(base_url=server.base + "/", timeout=60) as client,
    ):
        yield client


def matches(client: httpx.Client, path: str, **asked: str) -> list[dict]:
    answer = client.get(path, params=asked)
    assert answer.status_code == 200, answer.text
    return [
        item["resource"]
        for item in answer.json().get("entry", ())
        if item["search"]["mode"] == "match"
    ]


def state_of(referral: dict) -> str:
    (told,) = (item for item in referral["extension"] if item["url"] == STATE)
    return next(item["valueCoding"]["code"] for item in told["extension"] if item["url"] == "state")


def find(client: httpx.Client, **asked: str) -> list[str]:
    found = matches(client, "HealthcareService/$find-for-referral", **asked)
    return [item["id"] for item in found]


def test_services_are_found_by_specialty_flow_and_the_patients_own_postcode(region) -> None:
    asked = {"specialty": "394579002", "patient": "patient-1-1"}
    assert find(region, **asked, type="appointment") == ["cardiology-1"]
    assert find(region, **asked, type="triage") == ["cardiology-assessment-1"]
    (address,) = region.get("Patient/patient-1-1").json()["address"]
    near = find(region, **asked, postcode=address["postalCode"])
    assert set(near) == {"cardiology-1", "cardiology-assessment-1"}


def test_every_referral_stands_under_the_rules_as_it_is(region) -> None:
    referrals = matches(region, "ServiceRequest", _count="500")
    assert len(referrals) > 50
    states = {state_of(item) for item in referrals}
    assert {"BOOKED", "AWAITING_TRIAGE", "DEFERRED_TO_PROVIDER", "CANCELLED_REFERRAL"} < states
    for referral in referrals:
        path = f"ServiceRequest/{referral['id']}"
        answer = region.put(path, json=referral, headers=FHIR)
        assert answer.status_code == 200, answer.text
        if referral["status"] == "active":
            copied = {
                name: value
                for name, value in referral.items()
                if name not in ("id", "meta", "identifier", "extension")
            }
            answer = region.post("ServiceRequest", json=copied, headers=FHIR)
            assert answer.status_code == 201, answer.text


def test_what_waits_for_an_outcome_gets_one(region) -> None:
    for code, state in (("TRIAGE_DEFERRAL", "TRIAGED_PROVIDER_TO_ACTION"), ("REVIEW", "BOOKED")):
        task = matches(region, "Task", code=code, status="requested", _count="1")[0]
        listed = [
            {"name": "outcome", "valueString": "ACCEPT"},
            {"name": "comment", "valueString": "Yes"},
        ]
        answer = region.post(
            f"{task['focus']['reference']}/$record-outcome",
            json={"resourceType": "Parameters", "parameter": listed},
            headers=FHIR,
        )
        assert answer.status_code == 200, answer.text
        assert state_of(answer.json()) == state


def test_there_is_a_letter_and_a_waiting_list(region) -> None:
    (referral, *_) = matches(region, "ServiceRequest", status="active", _count="1")
    answer = region.get(
        f"ServiceRequest/{referral['id']}/$document", params={"type": "patient-letter"}
    )
    assert answer.status_code == 200, answer.text
    assert matches(region, "ServiceRequest/$waiting-list", organisation="trust-1")
