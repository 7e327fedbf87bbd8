"""$closure: tables of which code is a kind of which (https://hl7.org/fhir/R4/terminology-service.html#closure)."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import httpx
import pytest

Json = dict[str, Any]


def ask(client: httpx.Client, *listed: Json, status: int = 200) -> Json:
    answer = client.post("$closure", json={"resourceType": "Parameters", "parameter": list(listed)})
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


def name(text: str) -> Json:
    return {"name": "name", "valueString": text}


def version(text: str) -> Json:
    return {"name": "version", "valueString": text}


def relations(concept_map: Json) -> set[tuple[str, str]]:
    """(code, what subsumes it)."""
    assert concept_map["resourceType"] == "ConceptMap"
    found = set()
    for group in concept_map.get("group", ()):
        assert group["source"] == group["target"]
        for element in group["element"]:
            for target in element["target"]:
                assert target["equivalence"] == "subsumes"
                found.add((element["code"], target["code"]))
    return found


@pytest.fixture
def animals(client: httpx.Client) -> str:
    """The url of a stored code system: a tiger is a cat, a cat and a dog are mammals, a bird is none."""
    url = f"http://example.org/{uuid4()}"
    mammals = [{"code": "cat", "concept": [{"code": "tiger"}]}, {"code": "dog"}]
    system = {
        "resourceType": "CodeSystem",
        "url": url,
        "name": "Animals",
        "status": "active",
        "content": "complete",
        "concept": [{"code": "mammal", "concept": mammals}, {"code": "bird"}],
    }
    assert client.post("CodeSystem", json=system).status_code == 201
    return url


def concept(system: str, code: str) -> Json:
    return {"name": "concept", "valueCoding": {"system": system, "code": code}}


def test_a_table_tells_what_each_concept_adds(client: httpx.Client, animals: str) -> None:
    table = name(f"patient problems {uuid4()}")
    begun = ask(client, table)
    assert relations(begun) == set()
    assert relations(ask(client, table, concept(animals, "tiger"))) == set()
    second = ask(client, table, concept(animals, "mammal"), concept(animals, "bird"))
    assert relations(second) == {("tiger", "mammal")}
    third = ask(client, table, concept(animals, "cat"))
    assert relations(third) == {("tiger", "cat"), ("cat", "mammal")}
    again = ask(client, table, concept(animals, "cat"))
    assert (relations(again), again["version"]) == (set(), third["version"])


def test_what_came_after_a_version_is_told_again(client: httpx.Client, animals: str) -> None:
    table = name(f"problems {uuid4()}")
    ask(client, table)
    first = ask(client, table, concept(animals, "tiger"), concept(animals, "cat"))
    ask(client, table, concept(animals, "mammal"))
    later = ask(client, table, concept(animals, "dog"))
    assert relations(ask(client, table, version(first["version"]))) == {
        ("tiger", "mammal"),
        ("cat", "mammal"),
        ("dog", "mammal"),
    }
    assert relations(ask(client, table, version(later["version"]))) == set()
    assert ask(client, table, version("999"), status=404)["issue"][0]["code"] == "not-found"


def test_a_table_is_begun_anew_by_its_name_alone(client: httpx.Client, animals: str) -> None:
    table = name(f"problems {uuid4()}")
    ask(client, table)
    ask(client, table, concept(animals, "tiger"))
    ask(client, table)
    assert relations(ask(client, table, concept(animals, "cat"))) == set()


def test_what_cannot_be_done_is_told(client: httpx.Client, animals: str) -> None:
    table = name(f"problems {uuid4()}")
    unknown = ask(client, table, concept(animals, "cat"), status=404)
    assert "begin it" in unknown["issue"][0]["diagnostics"]
    ask(client, table)
    wrong = ask(client, table, concept(animals, "unicorn"), status=422)
    assert wrong["issue"][0]["code"] == "code-invalid"
    nowhere = ask(client, table, concept("http://nobody.example", "a"), status=404)
    assert nowhere["issue"][0]["code"] == "not-found"
    both = ask(client, table, concept(animals, "cat"), version("1"), status=400)
    assert both["issue"][0]["code"] == "invalid"
    bare = {"name": "concept", "valueCoding": {"code": "cat"}}
    assert ask(client, table, bare, status=400)["issue"][0]["code"] == "required"
    assert client.get("$closure", params={"name": "x"}).status_code == 405


def test_a_table_translates_nothing(client: httpx.Client, animals: str) -> None:
    table = name(f"problems {uuid4()}")
    ask(client, table)
    ask(client, table, concept(animals, "tiger"), concept(animals, "cat"))
    answer = client.get("ConceptMap/$translate", params={"system": animals, "code": "tiger"})
    assert answer.status_code == 200
    assert {"name": "result", "valueBoolean": False} in answer.json()["parameter"]


def test_a_table_that_somebody_wrote_anew_is_taken_as_it_is(
    client: httpx.Client, animals: str
) -> None:
    table = name(f"problems {uuid4()}")
    ask(client, table)
    begun = ask(client, table, concept(animals, "tiger"))
    path = f"ConceptMap/{begun['id']}"
    stored = client.get(path).json()
    stored["group"] = [{"element": [{"display": "x", "target": [{"equivalence": "equal"}]}]}]
    assert client.put(path, json=stored).status_code == 200
    assert relations(ask(client, table, concept(animals, "cat"))) == set()
