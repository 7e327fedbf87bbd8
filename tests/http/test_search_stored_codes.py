"""The modifiers :in, :not-in, :above and :below know what is stored, from its commit on.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from shelf import Shelf, refusal

from fhir_server.spec.json_format import serialise
from fhir_server.validation.profiles.packages import add

Json = dict[str, Any]


@pytest.fixture
def system(client: httpx.Client) -> str:
    """A stored code system: a red and a blue, with navy below it."""
    url = f"http://example.org/{uuid4()}"
    concepts = [{"code": "red"}, {"code": "blue", "concept": [{"code": "navy"}]}]
    made = {
        "resourceType": "CodeSystem",
        "url": url,
        "status": "active",
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "concept": concepts,
    }
    assert client.post("CodeSystem", json=made).status_code == 201
    return url


@pytest.fixture
def coloured(shelf: Shelf, system: str) -> Shelf:
    """Three Basic resources, each of one colour; the one of navy is about the Patient "p"."""
    shelf.put("Patient", "p")
    for code in ("red", "blue", "navy"):
        subject = {"subject": {"reference": f"Patient/{shelf.id('p')}"}} if code == "navy" else {}
        shelf.put("Basic", code, code={"coding": [{"system": system, "code": code}]}, **subject)
    return shelf


def value_set(client: httpx.Client, system: str, *codes: str) -> Json:
    identifier = f"v{uuid4().hex}"
    include: Json = {"system": system}
    if codes:
        include["concept"] = [{"code": code} for code in codes]
    made: Json = {
        "resourceType": "ValueSet",
        "id": identifier,
        "url": f"http://example.org/ValueSet/{identifier}",
        "status": "active",
        "compose": {"include": [include]},
    }
    assert client.put(f"ValueSet/{identifier}", json=made).status_code == 201
    return made


@pytest.mark.rule(211, "search#token")
def test_a_stored_value_set_is_one_to_search_by_until_it_is_deleted(
    coloured: Shelf, client: httpx.Client, system: str
) -> None:
    made = value_set(client, system, "red", "navy")
    url = made["url"]
    assert coloured.find(f"Basic?code:in={url}&_sort=_id") == ["navy", "red"]
    assert coloured.find(f"Basic?code:not-in={url}") == ["blue"]
    assert coloured.find(f"Basic?code:in=ValueSet/{made['id']}&_sort=_id") == ["navy", "red"]
    assert coloured.find(f"Basic?_filter=code in {url}&_sort=_id") == ["navy", "red"]
    assert coloured.find(f"Patient?_has:Basic:subject:code:in={url}") == ["p"]
    made["compose"]["include"][0]["concept"] = [{"code": "blue"}]
    assert client.put(f"ValueSet/{made['id']}", json=made).status_code == 200
    assert coloured.find(f"Basic?code:in={url}") == ["blue"]
    refusal(client.get(f"Basic?code:in={url}|2"))
    assert client.delete(f"ValueSet/{made['id']}").status_code in (200, 204)
    refusal(client.get(f"Basic?code:in={url}"))
    refusal(client.get(f"Basic?code:in=ValueSet/{made['id']}"))


@pytest.mark.rule(211, "search#token")
def test_a_stored_code_system_has_its_hierarchy_and_its_value_set_of_all_codes(
    coloured: Shelf, client: httpx.Client, system: str
) -> None:
    whole = value_set(client, system)
    assert len(coloured.find(f"Basic?code:in={whole['url']}")) == 3
    assert coloured.find(f"Basic?code:below={system}|blue&_sort=_id") == ["blue", "navy"]
    assert coloured.find(f"Basic?code:above={system}|navy&_sort=_id") == ["blue", "navy"]
    refusal(client.get(f"Basic?code:below={system}|green"))


@pytest.mark.rule(211, "search#token")
def test_lists_and_conditional_interactions_know_it_too(
    coloured: Shelf, client: httpx.Client, system: str
) -> None:
    url = value_set(client, system, "red")["url"]
    tag = f"_tag=urn:test|{coloured.mark}"
    listed = client.get(f"Basic?code:in={url}&{tag}", headers={"Accept": "application/fhir+ndjson"})
    assert listed.status_code == 200, listed.text
    assert len(listed.text.splitlines()) == 1
    resource = {"resourceType": "Basic", "code": {"text": "x"}}
    found = client.post("Basic", json=resource, headers={"If-None-Exist": f"code:in={url}&{tag}"})
    assert (found.status_code, found.headers["location"].split("/")[-3]) == (
        200,
        coloured.id("red"),
    )


def test_a_subscription_is_for_what_can_be_searched(client: httpx.Client, system: str) -> None:
    url = value_set(client, system, "red")["url"]
    made = {
        "resourceType": "Subscription",
        "status": "off",
        "reason": "Tested",
        "channel": {"type": "rest-hook", "endpoint": "https://example.org/hook"},
    }
    for criteria in (f"Basic?code:in={url}", "Basic?code=x", "Basic"):
        assert client.post("Subscription", json={**made, "criteria": criteria}).status_code == 201
    absent = {"extension": [{"url": "https://example.org/absent", "valueCode": "unknown"}]}
    for name in ("criteria", "status"):
        part: Json = {**made, "criteria": "Basic", f"_{name}": absent}
        del part[name]
        answer = client.post("Subscription", json=part)
        assert refusal(answer, 422)["expression"] == [f"Subscription.{name}"]
    for criteria in (f"Basic?code:in={url}x", "Basic?colour=red", "Basic?code=", "Colour?code=x"):
        answer = client.post("Subscription", json={**made, "criteria": criteria})
        assert refusal(answer, 422)["expression"] == ["Subscription.criteria"], criteria


def test_a_statement_is_held_to_stored_search_parameters(client: httpx.Client) -> None:
    name = f"c{uuid4().hex[:10]}"
    defined = {
        "resourceType": "SearchParameter",
        "url": f"http://example.org/SearchParameter/{name}",
        "name": name,
        "status": "active",
        "description": "Tested",
        "code": name,
        "base": ["Basic"],
        "type": "token",
        "expression": "Basic.code",
    }
    offered = {"name": name, "definition": defined["url"], "type": "date"}
    statement = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": "2026",
        "kind": "instance",
        "implementation": {"description": "x"},
        "fhirVersion": "4.0.1",
        "format": ["json"],
        "rest": [{"mode": "server", "resource": [{"type": "Basic", "searchParam": [offered]}]}],
    }
    assert client.post("CapabilityStatement", json=statement).status_code == 201
    made = client.post("SearchParameter", json=defined)
    assert made.status_code == 201, made.text
    answer = client.post("CapabilityStatement", json=statement)
    place = "CapabilityStatement.rest[0].resource[0].searchParam[0]"
    assert refusal(answer, 422)["expression"] == [place]
    derived = {
        **defined,
        "url": defined["url"] + "x",
        "code": name + "x",
        "derivedFrom": defined["url"],
    }
    refusal(client.post("SearchParameter", json={**derived, "type": "uri"}), 422)
    assert client.delete(f"SearchParameter/{made.json()['id']}").status_code in (200, 204)


def test_a_package_tells_its_codes_to_searches_and_operations(
    serve: Callable[..., httpx.Client], tmp_path: Path
) -> None:
    url = "http://example.org/ValueSet/packaged"
    listed: Json = {"system": "http://example.org/packaged", "concept": [{"code": "red"}]}
    folder = tmp_path / "package"
    folder.mkdir()
    packaged = {
        "resourceType": "ValueSet",
        "url": url,
        "status": "active",
        "compose": {"include": [listed]},
    }
    (folder / "packaged.json").write_bytes(serialise(packaged))
    add(tmp_path / "kept", folder)
    client = serve(packages=str(tmp_path / "kept"))
    code = {"coding": [{"system": "http://example.org/packaged", "code": "red"}]}
    assert client.post("Basic", json={"resourceType": "Basic", "code": code}).status_code == 201
    expanded = client.get("ValueSet/$expand", params={"url": url}).json()
    assert [item["code"] for item in expanded["expansion"]["contains"]] == ["red"]
    assert len(client.get(f"Basic?code:in={url}").json()["entry"]) == 1
