"""The OperationDefinitions of R4 (https://hl7.org/fhir/R4/operationdefinition.html)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from fhir_server.spec.definitions import data_types, member

Level = Literal["system", "type", "instance"]
Json = dict[str, Any]
_WITH_PARTS = "Element"
_LEVELS: tuple[Level, ...] = ("system", "type", "instance")


@dataclass(frozen=True, slots=True)
class OperationParameter:
    """One parameter of an operation; maximum None: any number; type: a datatype, or a resource type or Resource."""

    name: str
    type: str
    minimum: int
    maximum: int | None

    @property
    def primitive(self) -> bool:
        """Whether it can stand in a URL."""
        return self.type[0].islower()

    @property
    def has_parts(self) -> bool:
        """Whether its values are lists of parts."""
        return self.type == _WITH_PARTS

    @property
    def is_resource(self) -> bool:
        """Whether its values are resources."""
        return not self.has_parts and self.type not in data_types()


@dataclass(frozen=True, slots=True)
class OperationDefinition:
    """What R4 says of an operation; resource_types empty: it is offered on every type."""

    url: str
    code: str
    levels: frozenset[Level]
    resource_types: frozenset[str]
    inputs: tuple[OperationParameter, ...]
    outputs: tuple[OperationParameter, ...]


@cache
def operation_definition(identifier: str) -> OperationDefinition:
    """The definition of that id, for example "Resource-meta"; raises KeyError when R4 has none."""
    return _definitions()[identifier]


@cache
def _definitions() -> dict[str, OperationDefinition]:
    return {item["id"]: _definition(item) for item in member("operations.json")}


def _definition(item: Json) -> OperationDefinition:
    listed = item.get("parameter", [])
    types = frozenset(item.get("resource", ()))
    return OperationDefinition(
        url=item["url"],
        code=item["code"],
        levels=frozenset(level for level in _LEVELS if item[level]),
        resource_types=types - {"Resource"},
        inputs=tuple(_parameter(each) for each in listed if each["use"] == "in"),
        outputs=tuple(_parameter(each) for each in listed if each["use"] == "out"),
    )


def _parameter(item: Json) -> OperationParameter:
    maximum = None if item["max"] == "*" else int(item["max"])
    # A parameter with parts has no type of its own.
    return OperationParameter(item["name"], item.get("type", _WITH_PARTS), item["min"], maximum)
