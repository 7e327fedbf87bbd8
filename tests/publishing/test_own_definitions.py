"""The definitions of the program are published on its API (https://hl7.org/fhir/R4/conformance-module.html)."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from fhir_server.interactions.call import Create, History
from fhir_server.interactions.perform import execute
from fhir_server.publishing import publish
from fhir_server.server import context_of, store_of
from fhir_server.settings import Settings
from fhir_server.spec.json_format import parse
from fhir_server.spec.published import CANONICAL_BASE, own_definitions, own_urls
from tools.serving import ServerProcess

REFERRAL = "StructureDefinition/referral"
KINDS = {
    "CapabilityStatement",
    "CodeSystem",
    "OperationDefinition",
    "SearchParameter",
    "StructureDefinition",
    "ValueSet",
}


@pytest.fixture
def opened(new_database):
    """A store on an empty database, without a server."""
    store = store_of(Settings(database=new_database()))
    yield store
    store.close()


def context(store):
    return context_of(Settings(), store)


def without_meta(resource):
    return {name: value for name, value in resource.items() if name != "meta"}


def test_each_is_read_by_its_id_and_found_by_its_url(client):
    assert {kind for kind, _ in own_definitions()} >= KINDS
    for (kind, logical_id), resource in own_definitions().items():
        assert without_meta(client.get(f"{kind}/{logical_id}").json()) == resource
        found = client.get(kind, params={"url": resource["url"]}).json()
        assert [entry["resource"]["id"] for entry in found["entry"]] == [logical_id]


def test_each_is_valid_by_validate_on_this_server(client):
    for (kind, _), resource in own_definitions().items():
        told = client.post(f"{kind}/$validate", json=resource).json()["issue"]
        assert [issue for issue in told if issue["severity"] in ("error", "fatal")] == [], resource


def test_what_the_capability_statement_names_of_ours_is_here(client):
    (rest,) = client.get("metadata").json()["rest"]
    named = set()
    for resource in rest["resource"]:
        named.update(("StructureDefinition", url) for url in resource.get("supportedProfile", ()))
        for part, kind in (
            ("searchParam", "SearchParameter"),
            ("operation", "OperationDefinition"),
        ):
            named.update((kind, item["definition"]) for item in resource.get(part, ()))
    named.update(("OperationDefinition", item["definition"]) for item in rest["operation"])
    ours = {(kind, url) for kind, url in named if url.startswith(CANONICAL_BASE)}
    for kind, url in ours:
        assert client.get(kind, params={"url": url}).json()["total"] == 1, url
    profiles = {url for kind, url in ours if kind == "StructureDefinition"}
    assert profiles == {
        resource["url"]
        for resource in own_definitions().values()
        if resource["resourceType"] == "StructureDefinition" and resource["type"] != "Extension"
    }
    parameters = {url for kind, url in ours if kind == "SearchParameter"}
    assert parameters == {url for url in own_urls() if "/SearchParameter/" in url}


def test_the_server_offers_what_the_statement_that_it_instantiates_requires(client):
    told = client.get("metadata").json()
    (url,) = told["instantiates"]
    (entry,) = client.get("CapabilityStatement", params={"url": url}).json()["entry"]
    (required,), (offered,) = entry["resource"]["rest"], told["rest"]
    assert required["interaction"]
    assert all(item in offered["interaction"] for item in required["interaction"])
    by_type = {item["type"]: item for item in offered["resource"]}
    for resource in required["resource"]:
        there = by_type[resource["type"]]
        assert set(resource.get("supportedProfile", ())) <= set(there.get("supportedProfile", ()))
        assert all(item in there["interaction"] for item in resource["interaction"])
        for part in ("searchParam", "operation"):
            facts = [(item["name"], item["definition"]) for item in there.get(part, ())]
            for item in resource.get(part, ()):
                assert (item["name"], item["definition"]) in facts


def refused(answer, place):
    assert answer.status_code == 422
    (issue,) = answer.json()["issue"]
    assert (issue["code"], issue["expression"]) == ("business-rule", [place])
    assert "belongs to this server" in issue["diagnostics"]


def test_nobody_changes_or_deletes_one_or_takes_its_url(client):
    stored = client.get(REFERRAL).json()
    refused(client.put(REFERRAL, json=stored | {"title": "Mine"}), "StructureDefinition")
    patch = [{"op": "replace", "path": "/title", "value": "Mine"}]
    sent = {"content-type": "application/json-patch+json"}
    refused(client.patch(REFERRAL, json=patch, headers=sent), "StructureDefinition")
    refused(client.delete(REFERRAL), "StructureDefinition")
    other = without_meta(stored) | {"id": "other"}
    refused(client.put("StructureDefinition/other", json=other), "StructureDefinition.url")
    assert client.get(REFERRAL).json() == stored


def test_what_was_exported_can_be_loaded_again(client):
    stored = client.get("ValueSet/capacity-alert").json()
    assert client.put("ValueSet/capacity-alert", json=stored).status_code == 200


def test_a_second_start_writes_nothing(opened):
    publish(opened, context(opened))
    publish(opened, context(opened))
    history = execute(History(None, None, ()), context(opened), opened)
    assert parse(history.body)["total"] == len(own_definitions())


def test_of_several_that_start_at_once_one_writes(blank_database):
    database = blank_database()
    with ThreadPoolExecutor(2) as threads:
        servers = [ServerProcess(database, workers=2) for _ in range(2)]
        try:
            list(threads.map(lambda server: server.__enter__(), servers))
            history = httpx.get(f"{servers[0].base}/_history", params={"_count": "200"}).json()
        finally:
            for server in servers:
                server.__exit__(None, None, None)
    assert history["total"] == len(own_definitions())


def test_what_has_changed_becomes_the_next_version(opened, monkeypatch):
    publish(opened, context(opened))
    identity = ("StructureDefinition", "referral")
    changed = own_definitions()[identity] | {"title": "Changed"}
    own = dict(own_definitions()) | {identity: changed}
    monkeypatch.setattr("fhir_server.publishing.own_definitions", lambda: own)
    publish(opened, context(opened))
    with opened.read() as transaction:
        version = transaction.current(*identity)
    assert (version.version_id, parse(version.body)["title"]) == (2, "Changed")


def test_an_older_program_leaves_what_a_newer_one_has_stored(opened, monkeypatch):
    identity = ("StructureDefinition", "referral")
    newer = own_definitions()[identity] | {"title": "Newer", "version": "9.0.0"}
    with monkeypatch.context() as patch:
        patch.setattr(
            "fhir_server.publishing.own_definitions",
            lambda: dict(own_definitions()) | {identity: newer},
        )
        publish(opened, context(opened))
    publish(opened, context(opened))
    with opened.read() as transaction:
        assert parse(transaction.current(*identity).body)["title"] == "Newer"


def test_a_fresh_database_has_the_search_parameters_at_once(client):
    for query in ("Task?due=lt2020", "Slot?end=lt2020", "ServiceRequest?referral-state=BOOKED"):
        answer = client.get(query, headers={"prefer": "handling=strict"})
        assert answer.status_code == 200, answer.text


TASK = {
    "resourceType": "Task",
    "status": "requested",
    "intent": "order",
    "restriction": {"period": {"end": "2020-01-01T09:00:00Z"}},
}


def test_a_database_from_before_says_so_until_its_resources_are_indexed(new_database):
    database = new_database()
    store = store_of(Settings(database=database))
    execute(Create("Task", TASK), context(store), store)
    store.close()
    with (
        ServerProcess(database) as server,
        httpx.Client(base_url=server.base + "/", timeout=30) as client,
    ):
        first = client.get("Task?due=lt2020-06-01")
        assert first.status_code == 503
        assert "being indexed" in first.json()["issue"][0]["diagnostics"]
        assert first.headers["retry-after"]
        until = time.monotonic() + 30
        while (answer := client.get("Task?due=lt2020-06-01")).status_code == 503:
            assert time.monotonic() < until
            time.sleep(0.2)
        assert answer.json()["total"] == 1
        assert client.get("$reindex-status").status_code == 200


def test_a_parameter_of_the_same_code_that_a_deployment_has_stays(opened):
    theirs = {
        "resourceType": "SearchParameter",
        "url": "https://example.org/SearchParameter/due",
        "name": "Due",
        "status": "active",
        "description": "Theirs",
        "code": "due",
        "base": ["Task"],
        "type": "date",
        "expression": "Task.restriction.period",
    }
    execute(Create("SearchParameter", theirs), context(opened), opened)
    publish(opened, context(opened))
    kept = {item.code: item.url for item in opened.defined() if item.state != "retired"}
    assert kept["due"] == theirs["url"]
    assert kept["end"] == CANONICAL_BASE + "SearchParameter/Slot-end"
