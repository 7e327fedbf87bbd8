"""A small code system with a hierarchy, value sets over it, and a source of them."""

from __future__ import annotations

from typing import Any

from fhir_server.terminology import Terminology

Json = dict[str, Any]
ANIMALS = "http://example.org/CodeSystem/animals"


def code_system(url: str = ANIMALS, **changed: Any) -> Json:
    return {
        "resourceType": "CodeSystem",
        "url": url,
        "version": "2",
        "name": "Animals",
        "status": "active",
        "caseSensitive": True,
        "content": "complete",
        "hierarchyMeaning": "is-a",
        "property": [
            {"code": "legs", "type": "integer"},
            {"code": "status", "type": "code"},
            {"code": "notSelectable", "type": "boolean"},
            {"code": "parent", "type": "code"},
        ],
        "concept": [
            {
                "code": "mammal",
                "display": "Mammal",
                "property": [{"code": "notSelectable", "valueBoolean": True}],
                "concept": [
                    {
                        "code": "cat",
                        "display": "Cat",
                        "definition": "It purrs",
                        "designation": [
                            {"language": "cy", "value": "Cath"},
                            {"use": {"system": "http://example.org/use", "code": "pet"}, "value": "Kitty"},
                        ],
                        "property": [{"code": "legs", "valueInteger": 4}],
                        "concept": [{"code": "tiger", "display": "Tiger"}],
                    },
                    {
                        "code": "unicorn",
                        "display": "Unicorn",
                        "property": [{"code": "status", "valueCode": "retired"}],
                    },
                ],
            },
            {"code": "bird", "display": "Bird", "property": [{"code": "legs", "valueInteger": 2}]},
            {
                "code": "bat",
                "display": "Bat",
                "property": [{"code": "parent", "valueCode": "mammal"}],
            },
        ],
    } | changed  # fmt: skip


def value_set(*include: Json, exclude: list[Json] | None = None, **changed: Any) -> Json:
    compose: Json = {"include": list(include)}
    if exclude:
        compose["exclude"] = exclude
    return {
        "resourceType": "ValueSet",
        "url": "http://example.org/ValueSet/some",
        "status": "active",
        "compose": compose,
    } | changed


def filtered(op: str, value: str, name: str = "concept") -> Json:
    return {"system": ANIMALS, "filter": [{"property": name, "op": op, "value": value}]}


class Given:
    """A source of these resources."""

    def __init__(self, *resources: Json) -> None:
        self.resources = resources

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        for item in self.resources:
            same = item["resourceType"] == resource_type and item["url"] == url
            if same and version in (None, item.get("version")):
                return item
        return None


def terminology(*resources: Json) -> Terminology:
    return Terminology().over(Given(code_system(), *resources))
