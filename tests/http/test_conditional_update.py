"""Conditional update (https://hl7.org/fhir/R4/http.html#cond-update)."""

from concurrent.futures import ThreadPoolExecutor
from uuid import uuid4

import pytest

SYSTEM = "https://example.org/conditional-update"


def patient(value, family="First", **more):
    return {
        "resourceType": "Patient",
        "identifier": [{"system": SYSTEM, "value": value}],
        "name": [{"family": family}],
        **more,
    }


@pytest.fixture
def value():
    """An identifier value of this test alone."""
    return uuid4().hex


def put(client, value, resource, **headers):
    return client.put(f"Patient?identifier={SYSTEM}|{value}", json=resource, headers=headers)


def found(client, value):
    bundle = client.get("Patient", params={"identifier": f"{SYSTEM}|{value}"}).json()
    return [entry["resource"] for entry in bundle.get("entry", ())]


@pytest.mark.rule(113, "http#cond-update")
def test_without_a_match_and_without_an_id_the_resource_is_created(client, value):
    answer = put(client, value, patient(value))
    assert answer.status_code == 201
    made = answer.json()
    assert answer.headers["etag"] == 'W/"1"'
    assert answer.headers["location"].endswith(f"/Patient/{made['id']}/_history/1")
    assert found(client, value) == [made]


@pytest.mark.rule(114, "http#cond-update")
def test_without_a_match_an_id_in_the_body_is_taken_as_update_as_create(client, value):
    answer = put(client, value, patient(value, id=value))
    assert answer.status_code == 201
    assert client.get(f"Patient/{value}").json() == answer.json()


@pytest.mark.rule(114, "http#cond-update")
def test_an_id_in_the_body_is_refused_where_update_as_create_is(serve, value):
    client = serve(update_create="false")
    answer = put(client, value, patient(value, id=value))
    assert answer.status_code == 405
    assert put(client, value, patient(value)).status_code == 201


@pytest.mark.rule(114, "http#cond-update")
def test_without_a_match_the_id_of_another_resource_is_409_and_that_stays(client, value):
    other = client.put(f"Patient/{value}", json=patient("other" + value, id=value)).json()
    answer = put(client, value, patient(value, "Second", id=value))
    assert answer.status_code == 409
    assert answer.json()["issue"][0]["expression"] == ["Patient.id"]
    assert client.get(f"Patient/{value}").json() == other


@pytest.mark.parametrize("bad", ["has blank", "a/b", "x" * 65])
def test_without_a_match_an_id_that_is_none_is_400(client, value, bad):
    answer = put(client, value, patient(value, id=bad))
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Patient.id"]
    assert found(client, value) == []


@pytest.mark.rule(115, "http#cond-update")
@pytest.mark.parametrize("with_id", [False, True])
def test_one_match_is_updated(client, value, with_id):
    made = put(client, value, patient(value)).json()
    changed = patient(value, "Second", **({"id": made["id"]} if with_id else {}))
    answer = put(client, value, changed)
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"2"'
    assert (answer.json()["id"], answer.json()["name"]) == (made["id"], [{"family": "Second"}])
    assert found(client, value) == [answer.json()]


@pytest.mark.rule(116, "http#cond-update")
def test_one_match_with_another_id_in_the_body_is_400(client, value):
    made = put(client, value, patient(value)).json()
    answer = put(client, value, patient(value, "Second", id="another"))
    assert answer.status_code == 400
    assert answer.json()["issue"][0]["expression"] == ["Patient.id"]
    assert found(client, value) == [made]
    assert client.get("Patient/another").status_code == 404


@pytest.mark.rule(117, "http#cond-update")
def test_several_matches_are_412_and_stay(client, value):
    for _ in range(2):
        client.post("Patient", json=patient(value))
    before = found(client, value)
    answer = put(client, value, patient(value, "Second"))
    assert answer.status_code == 412
    assert answer.json()["issue"][0]["code"] == "multiple-matches"
    assert found(client, value) == before


@pytest.mark.rule(118, "http#cond-update")
@pytest.mark.parametrize("handling", ["strict", "lenient"])
@pytest.mark.parametrize(
    "criteria", ["colour=red", "name:colour=red", "_count=1", "identifier=", "_nothing=x"]
)
def test_criteria_that_are_not_understood_are_refused_and_widen_nothing(
    client, value, criteria, handling
):
    made = put(client, value, patient(value)).json()
    answer = client.put(
        f"Patient?identifier={SYSTEM}|{value}&{criteria}",
        json=patient(value, "Second"),
        headers={"Prefer": f"handling={handling}"},
    )
    assert answer.status_code == 400
    assert found(client, value) == [made]


@pytest.mark.rule(118, "http#cond-update")
@pytest.mark.parametrize("query", ["", "?", "?_format=json"])
def test_an_update_of_a_type_without_criteria_is_400(client, value, query):
    answer = client.put(f"Patient{query}", json=patient(value))
    assert answer.status_code == 400
    assert found(client, value) == []


@pytest.mark.rule(120, "http#cond-update")
@pytest.mark.parametrize("workers", [1, 2])
def test_parallel_equal_requests_without_a_match_make_one_resource(serve, value, workers):
    client = serve(workers=workers)
    with ThreadPoolExecutor(24) as threads:
        answers = list(threads.map(lambda _: put(client, value, patient(value)), range(24)))
    assert sorted(answer.status_code for answer in answers) == [200] * 23 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    versions = {answer.headers["etag"] for answer in answers}
    assert versions == {f'W/"{number}"' for number in range(1, 25)}


def test_if_match_is_checked_on_the_match(client, value):
    put(client, value, patient(value))
    assert put(client, value, patient(value), **{"If-Match": 'W/"1"'}).status_code == 200
    assert put(client, value, patient(value), **{"If-Match": 'W/"1"'}).status_code == 412
    (now,) = found(client, value)
    assert now["meta"]["versionId"] == "2"


def test_if_match_without_a_match_is_412_and_creates_nothing(client, value):
    assert put(client, value, patient(value), **{"If-Match": "*"}).status_code == 412
    assert found(client, value) == []


def test_what_the_criteria_no_longer_match_is_not_updated(client, value):
    """The match is found, then locked: whoever changes it in between must not be overwritten."""
    made = put(client, value, patient(value)).json()
    moved = patient("moved" + value, id=made["id"])

    def move(_):
        return client.put(f"Patient/{made['id']}", json=moved)

    def claim(_):
        return put(client, value, patient(value, "Second"))

    with ThreadPoolExecutor(16) as threads:
        jobs = [threads.submit(move if n == 8 else claim, n) for n in range(16)]
        assert all(job.result().status_code in (200, 201) for job in jobs)
    history = client.get(f"Patient/{made['id']}/_history", params={"_count": 100}).json()["entry"]
    states = [entry["resource"]["identifier"][0]["value"] for entry in reversed(history)]
    first_move = states.index("moved" + value)
    assert set(states[first_move:]) == {"moved" + value}
