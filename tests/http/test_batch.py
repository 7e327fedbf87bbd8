"""Batch (https://hl7.org/fhir/R4/http.html#brules)."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest
from bundles import (
    SYSTEM,
    basic,
    count,
    done,
    entry,
    fresh,
    location,
    patch_in_binary,
    patient,
    post,
    put,
    send,
    urn,
)


def statuses(shown):
    return [item["response"]["status"][:3] for item in shown]


@pytest.mark.rule(282, 284, 285, "http#brules")
def test_entries_that_fail_have_their_outcome_and_the_others_are_done(client):
    value = fresh()
    shown = done(
        client,
        post(patient(value)),
        post(patient(value, gender="unheard of")),
        entry("GET", "Patient/nobody"),
        post(patient(value, colour="red")),
        {"resource": patient(value)},
        entry("POST", "Patient"),
        entry("GET", "https://elsewhere.example/fhir/Patient/1"),
        entry("FETCH", "Patient/1"),
        entry("PUT", "Patient/a", patient(value, id="b")),
        post(patient(value)),
        kind="batch",
    )
    wanted = ["201", "422", "404", "400", "400", "400", "400", "400", "400", "201"]
    assert statuses(shown) == wanted
    places = {
        1: "Bundle.entry[1].resource.gender",
        2: "Bundle.entry[2]",
        3: "Bundle.entry[3].resource.colour",
        4: "Bundle.entry[4].request",
        5: "Bundle.entry[5].resource",
        6: "Bundle.entry[6].request.url",
        7: "Bundle.entry[7].request.method",
        8: "Bundle.entry[8].resource.id",
    }
    for number, place in places.items():
        outcome = shown[number]["response"]["outcome"]
        assert outcome["resourceType"] == "OperationOutcome"
        assert outcome["issue"][0]["expression"] == [place]
        assert "resource" not in shown[number]
    assert count(client, value) == 2


@pytest.mark.rule(283, "http#transaction-response")
def test_writes_have_location_and_etag(client):
    name = fresh()
    done(client, put(patient(id=name)), kind="batch")
    shown = done(client, put(patient(id=name)), post(basic()), kind="batch")
    assert shown[0]["response"]["etag"] == 'W/"2"'
    assert location(shown[0]) == f"Patient/{name}"
    assert client.get(shown[1]["response"]["location"]).json() == shown[1]["resource"]


@pytest.mark.rule(286, "http#brules")
def test_a_reference_to_another_entry_is_left_as_it_is(client):
    name = urn()
    shown = done(client, post(patient(), name), post(basic(name)), kind="batch")
    assert shown[1]["resource"]["subject"] == {"reference": name}


@pytest.mark.rule(302, 303, "http#concurrency")
def test_preconditions_hold_entry_by_entry(client):
    name = fresh()
    made = done(client, put(patient(id=name)), kind="batch")[0]["response"]
    shown = done(
        client,
        put(patient(id=name), ifMatch='W/"7"'),
        put(patient(id=name), ifMatch="what"),
        entry("GET", f"Patient/{name}", ifNoneMatch='W/"1"'),
        entry("GET", f"Patient/{name}", ifModifiedSince=made["lastModified"]),
        entry("DELETE", f"Patient/{name}", ifMatch='W/"9"'),
        put(patient(id=name), ifMatch='W/"1"'),
        kind="batch",
    )
    assert statuses(shown) == ["412", "400", "304", "304", "412", "200"]


def test_conditional_entries(client):
    value = fresh()
    shown = done(
        client,
        post(patient(value), ifNoneExist=f"identifier={SYSTEM}|{value}"),
        post(patient(value), ifNoneExist=f"identifier={SYSTEM}|{value}"),
        entry("PUT", f"Patient?identifier={SYSTEM}|{value}", patient(value, gender="other")),
        entry("DELETE", f"Patient?identifier={SYSTEM}|{value}"),
        kind="batch",
    )
    assert statuses(shown) == ["201", "200", "200", "204"]
    assert location(shown[0]) == location(shown[1]) == location(shown[2])
    assert client.get(location(shown[0])).status_code == 410


@pytest.mark.rule(309, "http#transaction")
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_a_search_is_answered_by_a_searchset(client, kind):
    value = fresh()
    done(client, post(patient(value)), post(patient(value)))
    shown = done(client, entry("GET", f"Patient?identifier={value}&_count=1"), kind=kind)
    found = shown[0]["resource"]
    assert found["type"] == "searchset"
    assert len(found["entry"]) == 1
    following = [item["url"] for item in found["link"] if item["relation"] == "next"]
    assert client.get(following[0]).json()["entry"][0]["search"]["mode"] == "match"


@pytest.mark.rule(310, "http#transaction")
def test_operations_are_answered(client):
    name = fresh()
    done(client, put(patient(name, id=name)))
    meta = {"name": "meta", "valueMeta": {"tag": [{"code": "t"}]}}
    shown = done(
        client,
        entry("POST", "Patient/$validate", patient(gender="x")),
        entry("GET", f"Patient/{name}/$everything"),
        entry(
            "POST",
            f"Patient/{name}/$meta-add",
            {"resourceType": "Parameters", "parameter": [meta]},
        ),
        entry("GET", f"Patient/{name}/$meta-add"),
        entry("GET", "$nothing"),
        kind="batch",
    )
    assert statuses(shown) == ["200", "200", "200", "405", "404"]
    assert shown[0]["resource"]["issue"][0]["expression"] == ["Patient.gender"]
    assert shown[1]["resource"]["type"] == "searchset"
    assert shown[2]["resource"]["parameter"][0]["name"] == "return"


@pytest.mark.rule(311, "http#ops")
def test_prefer_minimal_leaves_out_what_was_stored_but_not_what_was_read(client):
    name = fresh()
    entries = (
        put(patient(id=name)),
        entry("GET", f"Patient/{name}"),
        entry("HEAD", f"Patient/{name}"),
    )
    shown = done(client, *entries, kind="batch", headers={"Prefer": "return=minimal"})
    assert ["resource" in item for item in shown] == [False, True, False]
    assert statuses(shown) == ["201", "200", "200"]


def test_a_bundle_inside_a_batch_is_not_run(client):
    inner = {"resourceType": "Bundle", "type": "transaction"}
    assert statuses(done(client, entry("POST", "/", inner), kind="batch")) == ["400"]


def test_transactions_on_the_same_resources_in_any_order_never_wait_for_each_other(client):
    """32 at a time, by id and by criteria, forwards and backwards: each is done whole or refused whole."""
    names = [fresh() for _ in range(6)]
    done(client, *(put(patient(name, id=name)) for name in names))

    def attempt(number):
        tag = {"system": SYSTEM, "code": str(number)}
        entries = []
        for place, name in enumerate(random.Random(number).sample(names, 6)):
            resource = patient(name, meta={"tag": [tag]})
            criteria = f"Patient?identifier={SYSTEM}|{name}"
            if number % 2 and (number + place) % 3 == 0:
                entries.append(entry("PUT", criteria, resource))
            elif number % 4 == 1 and (number + place) % 3 == 1:
                tagged = [{"op": "add", "path": "/meta/tag", "value": [tag]}]
                entries.append(entry("PATCH", criteria, patch_in_binary(tagged)))
            else:
                entries.append(put(resource | {"id": name}))
        if number % 4 == 1:
            entries.append(post(basic(), ifNoneExist=f"_tag={SYSTEM}|{names[0]}-{number}"))
        if number % 8 == 7:
            entries.append(entry("GET", "Patient/nobody"))
        return send(client, *entries).status_code

    with ThreadPoolExecutor(32) as threads:
        outcomes = list(threads.map(attempt, range(64)))
    assert outcomes == [404 if number % 8 == 7 else 200 for number in range(64)]
    histories = [
        client.get(f"Patient/{name}/_history", params={"_count": 100}).json() for name in names
    ]
    orders = []
    for history in histories:
        assert history["total"] == 1 + outcomes.count(200)
        versions = [item["resource"]["meta"] for item in history["entry"]]
        orders.append([meta["tag"][0]["code"] for meta in versions if "tag" in meta])
    # All or nothing, one after the other: every resource saw the same transactions in the same order.
    assert all(order == orders[0] for order in orders)
