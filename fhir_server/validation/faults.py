"""The faults of one node that need no walk into it.

https://hl7.org/fhir/R4/references.html, https://hl7.org/fhir/R4/json.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from fhir_server.fhirpath import Environment
from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import fault, shown
from fhir_server.validation.references import target_fault
from fhir_server.validation.rules import Element, Kind, Rules
from fhir_server.validation.runtime import Scope

Json = dict[str, Any]
Issues = Iterator[Issue]


@dataclass(frozen=True, slots=True)
class Around:
    """What surrounds a node: the contained resources in reach, if any, and the resource that it is in."""

    scope: Scope | None
    environment: Environment

    def refer(self, text: str) -> None:
        """Note a local reference."""
        if self.scope is not None:
            self.scope.used.add(text)


def local_types(contained: object) -> dict[str, str]:
    """ "#id" -> type of the contained resources, malformed ones left out."""
    found: dict[str, str] = {}
    for item in contained if type(contained) is list else ():
        if type(item) is dict and type(item.get("id")) is str:
            found["#" + item["id"]] = str(item.get("resourceType"))
    return found


def label_faults(meta: object, path: str) -> Issues:
    """dom-4 and dom-5: what the meta of a contained resource must not have."""
    if type(meta) is not dict:
        return
    for name, key in (("versionId", "dom-4"), ("lastUpdated", "dom-4"), ("security", "dom-5")):
        if name in meta or "_" + name in meta:
            yield fault(
                "invariant",
                f"{path}.{name} stands in a contained resource, which has none; remove it ({key})",
                f"{path}.{name}",
            )


def unused_faults(items: object, path: str, scope: Scope) -> Issues:
    """dom-3: contained resources that nothing referred to."""
    for index, item in enumerate(items if type(items) is list else ()):
        identifier = item.get("id") if type(item) is dict else None
        if type(identifier) is str and "#" + identifier not in scope.used:
            place = f"{path}.contained[{index}]"
            yield fault(
                "invariant",
                f"{place} is not referred to; refer to it as '#{identifier}' or remove it (dom-3)",
                place,
            )


def unknown_faults(value: Json, rules: Rules, path: str) -> Issues:
    """Properties that the rules do not know, and nulls."""
    for name, item in value.items():
        if name == "resourceType" and rules.resource:
            continue
        plain = name.removeprefix("_")
        known = rules.properties.get(plain)
        if known is None or (plain != name and not known[1].sibling):
            if any(element.name == name for element in rules.elements if element.maximum == 0):
                continue
            near = get_close_matches(name[:64], rules.properties, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "; remove it"
            yield fault(
                "structure",
                f"{rules.path} has no property {shown(name)}{hint}",
                f"{path}.{name[:64]}",
            )
        elif item is None:
            yield fault(
                "structure", f"{path}.{name} is null; leave the property out", f"{path}.{plain}"
            )


def is_present(value: Json, kind: Kind) -> bool:
    """Whether a property has a value or a sibling."""
    return value.get(kind.name) is not None or (
        kind.sibling and value.get("_" + kind.name) is not None
    )


def missing(element: Element, path: str) -> Issue:
    """The absence of a required element."""
    if len(element.kinds) > 1:
        names = ", ".join(kind.name for kind in element.kinds[:12])
        what = f"{path}.{element.label} is required; add one of {names}"
    else:
        what = f"{path}.{element.name} is required; add it"
    return fault("required", what, f"{path}.{element.name}")


def array_fault(items: object, path: str) -> Issue:
    """What is wrong with a value that is no array of at least one item."""
    if items == []:
        return fault("structure", f"{path} is an empty array; leave it out", path)
    return fault("structure", f"{path} must be an array, not {shown(items)}", path)


def count_faults(count: int, element: Element, path: str) -> Issues:
    """Too few or too many items."""
    if count < element.minimum:
        yield fault("required", f"{path} needs at least {element.minimum} items, not {count}", path)
    if element.maximum is not None and count > element.maximum:
        yield fault("invalid", f"{path} has {count} items; {element.maximum} are allowed", path)


def reference_faults(
    value: Json, path: str, around: Around, targets: frozenset[str] | None
) -> Issues:
    """ref-1, and a target of a type that is not allowed; notes a local reference."""
    text = value.get("reference")
    types: dict[str, str] = {} if around.scope is None else around.scope.types
    if type(text) is str and text[:1] == "#":
        if text != "#" and text not in types:
            yield fault(
                "invariant",
                f"{path}.reference is {shown(text)}, but nothing contained has that id (ref-1)",
                f"{path}.reference",
            )
        around.refer(text)
    wrong = target_fault(value, targets, types)
    if wrong is not None:
        yield fault("invalid", f"{path} {wrong}", path)


def extension_faults(value: Json, path: str) -> Issues:
    """ext-1: a value or extensions, not both."""
    nested = "extension" in value
    valued = any(name.removeprefix("_").startswith("value") for name in value)
    if nested == valued:
        what = (
            "both a value and extensions; keep one"
            if nested
            else "neither a value nor extensions; add one"
        )
        yield fault("invariant", f"{path} has {what} (ext-1)", path)
