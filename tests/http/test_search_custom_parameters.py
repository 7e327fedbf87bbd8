"""Search parameters that a deployment defines for itself (https://hl7.org/fhir/R4/searchparameter.html)."""

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from shelf import refusal

from tools.serving import ServerProcess

EXTENSION = "http://example.org/StructureDefinition/shoe-size"


def definition(code="shoe-size", **content):
    return {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/SearchParameter/{code}",
        "name": "ShoeSize",
        "status": "active",
        "description": "The size of the patient's shoes",
        "code": code,
        "base": ["Patient"],
        "type": "number",
        "expression": f"Patient.extension.where(url = '{EXTENSION}').value",
        **content,
    }


def patient(size):
    return {
        "resourceType": "Patient",
        "extension": [{"url": EXTENSION, "valueInteger": size}],
    }


def indexed(client, seconds=60):
    """Ask for $reindex and wait until it is done."""
    began = client.post("$reindex")
    assert began.status_code == 202
    status = began.headers["content-location"]
    until = time.monotonic() + seconds
    while (answer := client.get(status)).status_code == 202:
        assert answer.headers["x-progress"]
        assert time.monotonic() < until
        time.sleep(0.2)
    assert answer.status_code == 200
    return answer.json()


def states(parameters):
    return {
        next(part["valueCode"] for part in item["part"] if part["name"] == "code"): next(
            part["valueCode"] for part in item["part"] if part["name"] == "state"
        )
        for item in parameters["parameter"]
    }


def listed(client, code):
    statement = client.get("metadata").json()
    of_patient = next(i for i in statement["rest"][0]["resource"] if i["type"] == "Patient")
    return next((i for i in of_patient["searchParam"] if i["name"] == code), None)


def soon(check, seconds=10, pause=0.1):
    """Workers learn of a definition within a second."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = check()
        if found:
            return found
        time.sleep(pause)
    raise AssertionError(check())


def test_a_defined_parameter_is_refused_until_it_is_indexed_and_then_finds_old_and_new(serve):
    client = serve()
    for size in (40, 41, 42):
        assert client.post("Patient", json=patient(size)).status_code == 201
    assert "'shoe-size'" in client.get("Patient?shoe-size=41").text
    assert client.post("SearchParameter", json=definition()).status_code == 201
    soon(lambda: listed(client, "shoe-size"))
    assert "Not indexed yet" in listed(client, "shoe-size")["documentation"]
    assert "$reindex" in refusal(client.get("Patient?shoe-size=41"))["diagnostics"]
    assert client.post("Patient", json=patient(41)).status_code == 201
    assert states(indexed(client))["shoe-size"] == "ready"
    soon(lambda: client.get("Patient?shoe-size=41").status_code == 200)
    assert client.get("Patient?shoe-size=41").json()["total"] == 2
    assert client.get("Patient?shoe-size=gt41&_sort=-shoe-size").json()["total"] == 1
    assert client.get("Patient?shoe-size:missing=true").json()["total"] == 0
    assert listed(client, "shoe-size")["documentation"] == "Ready"
    chained = client.get("Appointment?patient:Patient.shoe-size=41")
    assert (chained.status_code, chained.json()["total"]) == (200, 0)
    client.post("Patient", json=patient(41))
    assert client.get("Patient?shoe-size=41").json()["total"] == 3


def test_a_deleted_definition_is_unknown_again_and_leaves_no_rows(serve):
    client = serve()
    client.post("Patient", json=patient(40))
    made = client.post("SearchParameter", json=definition())
    indexed(client)
    soon(lambda: client.get("Patient?shoe-size=40").status_code == 200)
    logical_id = made.json()["id"]
    assert client.delete(f"SearchParameter/{logical_id}").status_code == 204
    soon(lambda: listed(client, "shoe-size") is None)
    strict = client.get("Patient?shoe-size=40", headers={"prefer": "handling=strict"})
    refusal(strict)


def test_a_changed_definition_waits_for_reindexing(serve):
    client = serve()
    client.post("Patient", json=patient(40) | {"multipleBirthInteger": 3})
    made = client.post("SearchParameter", json=definition()).json()
    indexed(client)
    made["expression"] = "Patient.multipleBirth"
    assert client.put(f"SearchParameter/{made['id']}", json=made).status_code == 200
    soon(lambda: client.get("Patient?shoe-size=3").status_code == 400)
    indexed(client)
    soon(lambda: client.get("Patient?shoe-size=3").status_code == 200)
    assert client.get("Patient?shoe-size=3").json()["total"] == 1
    assert client.get("Patient?shoe-size=40").json()["total"] == 0


@pytest.mark.parametrize(
    ("content", "element"),
    [
        ({"expression": "Patient.where("}, "expression"),
        ({"expression": "Observation.value"}, "expression"),
        ({"expression": "Patient.name"}, "expression"),
        ({"code": "family"}, "code"),
        ({"code": "_mine"}, "code"),
        ({"type": "special"}, "type"),
    ],
)
def test_what_cannot_be_indexed_is_422_and_names_the_element(client, content, element):
    issue = refusal(
        client.post("SearchParameter", json=definition(**{"code": "refused", **content})), 422
    )
    assert issue["expression"] == [f"SearchParameter.{element}"]


def test_a_draft_defines_nothing(client):
    body = definition("drafted", status="draft", expression="Patient.where(")
    assert client.post("SearchParameter", json=body).status_code in (201, 422)
    assert listed(client, "drafted") is None


def test_reindexing_goes_on_after_the_server_was_killed(new_database):
    database = new_database()
    with (
        ServerProcess(database) as first,
        httpx.Client(base_url=first.base + "/", timeout=30) as client,
    ):
        for part in range(6):
            bundle = {
                "resourceType": "Bundle",
                "type": "transaction",
                "entry": [
                    {
                        "resource": patient(30 + n % 20),
                        "request": {"method": "POST", "url": "Patient"},
                    }
                    for n in range(500)
                ],
            }
            assert client.post("", json=bundle).status_code == 200, part
        client.post("SearchParameter", json=definition())
        assert client.post("$reindex").status_code == 202
        soon(
            lambda: " 0 of" not in client.get("$reindex-status").headers.get("x-progress", " 0 of"),
            pause=0.005,
        )
        os.killpg(first.process.pid, signal.SIGKILL)
    with (
        ServerProcess(database) as second,
        httpx.Client(base_url=second.base + "/", timeout=30) as client,
    ):
        soon(lambda: client.get("$reindex-status").status_code == 200, 60)
        soon(lambda: client.get("Patient?shoe-size=30").status_code == 200)
        assert client.get("Patient?shoe-size=30&_summary=count").json()["total"] == 150
        assert client.get("Patient?shoe-size=ge30&_summary=count").json()["total"] == 3000


def test_writes_go_on_during_reindexing_and_nothing_is_lost(serve):
    client = serve(workers=2)
    ids = [client.post("Patient", json=patient(30)).json()["id"] for _ in range(150)]
    client.post("SearchParameter", json=definition())
    assert client.post("$reindex").status_code == 202

    def change(logical_id):
        return client.put(
            f"Patient/{logical_id}", json=patient(31) | {"id": logical_id}
        ).status_code

    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(change, ids[::2])) == {200}
    soon(lambda: client.get("$reindex-status").status_code == 200, 60)
    time.sleep(1.5)
    assert client.get("Patient?shoe-size=30&_summary=count").json()["total"] == 75
    assert client.get("Patient?shoe-size=31&_summary=count").json()["total"] == 75


def test_a_declared_identifier_is_held_unique_whatever_the_number_of_writers(serve):
    system = "https://fhir.nhs.uk/Id/nhs-number"
    client = serve(workers=2, unique_identifiers=f"Patient|{system}")

    def create(value):
        body = {"resourceType": "Patient", "identifier": [{"system": system, "value": value}]}
        return client.post("Patient", json=body)

    with ThreadPoolExecutor(16) as threads:
        answers = list(threads.map(create, ["9000000009"] * 32))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 31
    issue = next(answer for answer in answers if answer.status_code == 409).json()["issue"][0]
    assert issue["code"] == "duplicate"
    assert "9000000009" not in issue["diagnostics"]
    assert create("9000000017").status_code == 201
    first = next(answer for answer in answers if answer.status_code == 201).json()
    assert client.put(f"Patient/{first['id']}", json=first).status_code == 200
    first["identifier"][0]["value"] = "9000000017"
    assert client.put(f"Patient/{first['id']}", json=first).status_code == 409
    assert client.delete(f"Patient/{first['id']}").status_code == 204
    assert create("9000000009").status_code == 201
    other = {"resourceType": "Patient", "identifier": [{"system": "urn:other", "value": "1"}]}
    assert [client.post("Patient", json=other).status_code for _ in range(2)] == [201, 201]
