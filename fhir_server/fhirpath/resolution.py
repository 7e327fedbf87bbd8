"""resolve(): the resource of a reference, or at least its type (https://hl7.org/fhir/R4/fhirpath.html#functions)."""

from __future__ import annotations

import re

from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.node import Node, root
from fhir_server.spec.definitions import is_resource_type

_NAMED = re.compile(
    r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)


def resolve(node: Node, environment: Environment) -> Node | None:
    """The resource that a Reference, uri or canonical leads to.

    A contained one is found in the root resource. Where nobody resolves others, the type that the reference names
    still stands for the resource: `resolve() is Patient` needs no more.
    """
    reference = node.value.get("reference") if isinstance(node.value, dict) else node.value
    if isinstance(reference, str) and reference.startswith("#"):
        contained = _contained(reference[1:], environment)
        if contained is not None:
            return contained
    if isinstance(reference, str) and environment.resolve is not None:
        found = environment.resolve(reference)
        if found is not None:
            return root(found)
    kind = node.value.get("type") if isinstance(node.value, dict) else None
    if isinstance(reference, str) and reference.startswith("#"):
        return None
    match = _NAMED.fullmatch(reference) if isinstance(reference, str) else None
    if match is not None and is_resource_type(match[1]):
        kind = match[1]
    if isinstance(kind, str) and is_resource_type(kind):
        return Node({"resourceType": kind}, kind)
    return None


def _contained(anchor: str, environment: Environment) -> Node | None:
    holder = environment.root_resource or environment.resource
    if holder is None:
        return None
    if not anchor:
        return holder
    for child in holder.children("contained"):
        if isinstance(child.value, dict) and child.value.get("id") == anchor:
            return child
    return None
