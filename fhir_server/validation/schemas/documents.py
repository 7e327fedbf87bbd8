"""Schema documents: a resource type or a profile of this server, with everything that it refers to.

https://json-schema.org/draft/2020-12/json-schema-core
"""

from __future__ import annotations

from typing import Any

from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.published import own_definitions
from fhir_server.validation.primitives import PRIMITIVES
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.schemas.profiles import ProfileSchemas
from fhir_server.validation.schemas.types import (
    SIBLING,
    primitive_schema,
    reference,
    resource_schema,
    sibling_schema,
    type_schema,
)
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PREFIX = "#/$defs/"
_EXTENSION = "Extension"


class Schemas:
    """The schemas that a library can be told in."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def document(self, name: str, url: str) -> Json | None:
        """The schema of a resource type, or of the profile of this server with that id; None for another name.

        url: where the schema is read.
        """
        if is_resource_type(name):
            head: Json = {"title": name, **reference(name)}
        elif (profile := own_profiles().get(name)) is not None:
            head = {"title": profile["title"], "description": profile["description"]}
            head |= reference(name)
        else:
            return None
        return {"$schema": DIALECT, "$id": url, **head, "$defs": self.definitions((name,))}

    def definitions(self, names: tuple[str, ...]) -> Json:
        """Those schemas, and all that they refer to, by name."""
        profiles = ProfileSchemas(self._library)
        for name in names:
            if name in own_profiles():
                profiles.refer(own_profiles()[name]["url"])
        found: Json = {}
        pending = list(names)
        while pending:
            name = pending.pop()
            if name in found:
                continue
            found[name] = self._named(name, profiles)
            pending += _references(found[name])
        return dict(sorted(found.items()))

    def _named(self, name: str, profiles: ProfileSchemas) -> Json:
        if name in profiles.named:
            url = profiles.named[name]
            profile = self._library.profile(url)
            assert profile is not None
            asked = profiles.of(url)
            # An extension is one by the schema that it stands in already.
            return (
                asked if profile.type == _EXTENSION else {"allOf": [reference(profile.type), asked]}
            )
        if name == SIBLING:
            return sibling_schema()
        if name == "Resource":
            return resource_schema()
        if name in PRIMITIVES:
            return primitive_schema(name)
        made = type_schema(rules_of(name))
        if name == _EXTENSION:
            # Whatever it stands in, one with a url of ours is as we define it.
            made["allOf"] += [
                {"if": {"properties": {"url": {"const": url}}}, "then": profiles.refer(url)}
                for url in _own_extensions()
            ]
        return made


def _own_extensions() -> list[str]:
    return [
        resource["url"]
        for resource in own_definitions().values()
        if resource.get("derivation") == "constraint" and resource["type"] == _EXTENSION
    ]


def own_profiles() -> dict[str, Json]:
    """The profiles of resources that are part of the program, by id."""
    return {
        logical_id: resource
        for (_, logical_id), resource in own_definitions().items()
        if resource.get("derivation") == "constraint" and is_resource_type(resource["type"])
    }


def _references(schema: Any) -> list[str]:
    """The names of the schemas that one refers to."""
    if isinstance(schema, dict):
        found = [name for item in schema.values() for name in _references(item)]
        target = schema.get("$ref")
        if isinstance(target, str) and target.startswith(_PREFIX):
            found.append(target.removeprefix(_PREFIX))
        return found
    if isinstance(schema, list):
        return [name for item in schema for name in _references(item)]
    return []
