"""What an expression can refer to beside its focus (https://hl7.org/fhir/R4/fhirpath.html#vars)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node

_CONSTANTS = {
    "sct": "http://snomed.info/sct",
    "loinc": "http://loinc.org",
    "ucum": "http://unitsofmeasure.org",
}


@dataclass(frozen=True, slots=True)
class Environment:
    """resource and root_resource: %resource and %rootResource (the focus when None).

    resolve: the resource of a reference that is not contained, or None. member_of(node, value set) and
    conforms_to(node, profile) answer those functions, subsumes(node, other) both subsumes() and subsumedBy(); without
    them they cannot be evaluated.
    """

    resource: Node | None = None
    root_resource: Node | None = None
    resolve: Callable[[str], dict[str, Any] | None] | None = None
    member_of: Callable[[Node, str], bool | None] | None = None
    conforms_to: Callable[[Node, str], bool | None] | None = None
    subsumes: Callable[[Node, Node], bool | None] | None = None
    variables: Mapping[str, list[Node]] = field(default_factory=dict)
    now: datetime | None = None

    def variable(self, name: str, context: list[Node]) -> list[Node]:
        """The value of %name. Raises FhirPathError for an unknown one."""
        match name:
            case "context":
                return context
            case "resource":
                return context if self.resource is None else [self.resource]
            case "rootResource":
                node = self.root_resource or self.resource
                return context if node is None else [node]
        if name in _CONSTANTS:
            return [Node(_CONSTANTS[name], "System.String")]
        if name.startswith("vs-"):
            return [Node(f"http://hl7.org/fhir/ValueSet/{name[3:]}", "System.String")]
        if name.startswith("ext-"):
            return [Node(f"http://hl7.org/fhir/StructureDefinition/{name[4:]}", "System.String")]
        if name in self.variables:
            return self.variables[name]
        raise FhirPathError(f"%{name} is not defined")
