"""Managing contention: If-Match, and requests at the same time (https://hl7.org/fhir/R4/http.html#concurrency)."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from urllib.parse import quote

import httpx
import pytest
from exemplars import SYSTEM, created, how_many, patient, put, refused, unique

from tools.serving import ServerProcess


@pytest.mark.rule(100, "http#concurrency")
@pytest.mark.parametrize("sent", ['W/"2"', 'W/"1", W/"2"', "*"])
def test_if_match_of_the_current_version_is_200(client, sent):
    resource = put(client, created(client, patient())).json()
    answer = put(client, resource, if_match=sent)
    assert answer.status_code == 200
    assert answer.headers["etag"] == 'W/"3"'


@pytest.mark.rule(101, "http#concurrency")
@pytest.mark.parametrize(
    "sent", ['W/"1"', 'W/"3"', 'W/"22"', 'W/"02"', 'W/"x"', 'W/""', 'W/"1", W/"3"']
)
def test_if_match_of_another_version_is_412_and_nothing_is_stored(client, sent):
    resource = put(client, created(client, patient())).json()
    issues = refused(put(client, resource | {"active": True}, if_match=sent), 412, "conflict")
    assert "the current version is 2" in issues[0]["diagnostics"]
    answer = client.get(f"Patient/{resource['id']}")
    assert answer.json() == resource
    assert client.get(f"Patient/{resource['id']}/_history").json()["total"] == 2


@pytest.mark.rule(102, "http#concurrency")
@pytest.mark.parametrize(
    ("sent", "status"), [('"2"', 200), ("2", 200), ('"1"', 412), ("1", 412), ("3", 412)]
)
def test_a_tag_that_is_not_weak_is_taken_for_the_version(client, sent, status):
    resource = put(client, created(client, patient())).json()
    assert put(client, resource, if_match=sent).status_code == status


@pytest.mark.rule(102, "http#concurrency")
@pytest.mark.parametrize(
    "sent",
    [
        "",
        "W/2",
        "W/'2'",
        'W/"2',
        "w/2",
        'w/"2"',
        "two",
        '"2" "2"',
        ",",
        '"2",',
        "W/",
        "\u00b2".encode(),
        '"2";x',
    ],
)
def test_a_malformed_if_match_is_400_and_never_ignored(client, sent):
    resource = put(client, created(client, patient())).json()
    refused(put(client, resource, if_match=sent), 400, "invalid")
    assert client.get(f"Patient/{resource['id']}").json() == resource


@pytest.mark.rule(103, "http#concurrency")
@pytest.mark.parametrize("sent", ['W/"1"', "*"])
def test_if_match_on_what_does_not_exist_is_412(client, sent):
    resource = patient(id=unique())
    refused(put(client, resource, if_match=sent), 412)
    refused(client.get(f"Patient/{resource['id']}"), 404)
    put(client, resource)
    client.delete(f"Patient/{resource['id']}")
    refused(put(client, resource, if_match=sent), 412)
    refused(put(client, resource, if_match='W/"2"'), 412)
    refused(client.get(f"Patient/{resource['id']}"), 410)


@pytest.mark.rule(104, "http#concurrency")
def test_a_server_that_demands_if_match_says_400_without_it(serve):
    client = serve(require_if_match="true")
    resource = created(client, patient())
    path = f"Patient/{resource['id']}"
    refused(put(client, resource), 400, "required")
    refused(client.put("Patient", params={"_id": resource["id"]}, json=resource), 400, "required")
    assert client.get(path).json() == resource
    assert put(client, resource, if_match='W/"1"').status_code == 200
    assert put(client, patient(id=unique())).status_code == 201


@pytest.mark.rule(112, "http#concurrency")
def test_if_none_match_of_anything_on_a_put_creates_only(client):
    resource = patient(id=unique())
    assert put(client, resource, if_none_match="*").status_code == 201
    refused(put(client, resource, if_none_match="*"), 412)
    assert client.get(f"Patient/{resource['id']}").headers["etag"] == 'W/"1"'
    client.delete(f"Patient/{resource['id']}")
    assert put(client, resource, if_none_match="*").status_code == 201
    documentation = client.get("metadata").json()["rest"][0]["documentation"]
    assert "If-None-Match: *" in documentation


def at_once(client, requests):
    """The answers to (method, path, json, headers), all sent at the same time, each on a connection of its own."""

    async def run():
        limits = httpx.Limits(max_connections=len(requests))
        async with httpx.AsyncClient(base_url=client.base_url, timeout=60, limits=limits) as many:
            # Open the connections first, so that the requests themselves meet.
            await asyncio.gather(*(many.get("metadata?_elements=status") for _ in requests))
            sent = (
                many.request(method, path, json=resource, headers=headers)
                for method, path, resource, headers in requests
            )
            return await asyncio.gather(*sent)

    return asyncio.run(run())


@pytest.fixture(scope="module", params=[1, 4], ids=["one process", "four processes"])
def contended(request, client, new_database):
    """A client of a server with one process, and of one with four on the same database."""
    if request.param == 1:
        yield client
        return
    with (
        ServerProcess(new_database(), workers=request.param) as running,
        httpx.Client(base_url=running.base + "/", timeout=60) as made,
    ):
        yield made


def spellings(value):
    """The same criteria in many ways."""
    system = quote(SYSTEM, safe="")
    return [
        f"identifier={SYSTEM}|{value}",
        f"identifier={SYSTEM}|{value}&gender=female",
        f"gender=female&identifier={SYSTEM}|{value}",
        f"identifier={system}%7C{value}",
        f"?identifier={system}%7c{value}",
        f"Patient?gender=female&identifier={value}",
        f"identifier={value}",
        f"identifier={value},{value}",
    ]


@pytest.mark.rule(87, "http#ccreate")
@pytest.mark.parametrize("spelled", ["alike", "differently"])
def test_of_64_conditional_creates_at_once_exactly_one_creates(contended, spelled):
    value = unique()
    resource = patient(identifier=[{"system": SYSTEM, "value": value}], gender="female")
    ways = spellings(value) if spelled == "differently" else spellings(value)[:1]
    accepts = ["application/fhir+json", "application/fhir+json; fhirVersion=4.0", "*/*"]
    requests = [
        ("POST", "Patient", resource, {
            "If-None-Exist": ways[number % len(ways)],
            "Accept": accepts[number % len(accepts)],
        })
        for number in range(64)
    ]  # fmt: skip
    random.shuffle(requests)
    answers = at_once(contended, requests)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 63}
    assert len({answer.json()["id"] for answer in answers}) == 1
    locations = {answer.headers["location"] for answer in answers}
    assert len(locations) == 1
    assert how_many(contended, "Patient", identifier=f"{SYSTEM}|{value}") == 1


@pytest.mark.rule(107, "http#concurrency")
@pytest.mark.parametrize("racers", [2, 16])
def test_of_parallel_puts_with_the_same_if_match_one_wins(contended, racers):
    resource = created(contended, patient())
    path = f"Patient/{resource['id']}"
    requests = [
        ("PUT", path, resource | {"multipleBirthInteger": number}, {"If-Match": 'W/"1"'})
        for number in range(racers)
    ]
    answers = at_once(contended, requests)
    counted = Counter(answer.status_code for answer in answers)
    assert counted == {200: 1, 412: racers - 1}
    (winner,) = (answer for answer in answers if answer.status_code == 200)
    assert contended.get(path).json() == winner.json()
    assert winner.json()["meta"]["versionId"] == "2"
    assert contended.get(f"{path}/_history").json()["total"] == 2
    for answer in answers:
        if answer is not winner:
            refused(answer, 412)


@pytest.mark.rule(107, 109, "http#concurrency")
def test_parallel_puts_without_if_match_all_become_versions_in_the_order_of_time(contended):
    resource = created(contended, patient())
    path = f"Patient/{resource['id']}"
    requests = [
        ("PUT", path, resource | {"multipleBirthInteger": number}, {}) for number in range(16)
    ]
    answers = at_once(contended, requests)
    assert {answer.status_code for answer in answers} == {200}
    versions = sorted(
        (answer.json()["meta"] for answer in answers), key=lambda m: int(m["versionId"])
    )
    assert [int(meta["versionId"]) for meta in versions] == list(range(2, 18))
    times = [meta["lastUpdated"] for meta in versions]
    assert sorted(set(times)) == times


@pytest.mark.rule(107, 95, "http#update")
def test_of_parallel_puts_that_create_one_creates_and_the_others_update(contended):
    resource = patient(id=unique())
    requests = [("PUT", f"Patient/{resource['id']}", resource, {})] * 16
    answers = at_once(contended, requests)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 15}
    assert len({answer.headers["etag"] for answer in answers}) == 16


@pytest.mark.rule(107, 112, "http#concurrency")
def test_of_parallel_puts_with_if_none_match_one_creates(contended):
    resource = patient(id=unique())
    requests = [("PUT", f"Patient/{resource['id']}", resource, {"If-None-Match": "*"})] * 16
    answers = at_once(contended, requests)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 412: 15}


@pytest.mark.rule(87, 107, "http#cond-update")
def test_of_conditional_updates_at_once_one_creates(contended):
    value = unique()
    resource = patient(identifier=[{"system": SYSTEM, "value": value}], gender="female")
    requests = [
        ("PUT", f"Patient?{query.removeprefix('Patient').removeprefix('?')}", resource, {})
        for query in spellings(value) * 4
    ]
    answers = at_once(contended, requests)
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 31}
    assert len({answer.json()["id"] for answer in answers}) == 1
