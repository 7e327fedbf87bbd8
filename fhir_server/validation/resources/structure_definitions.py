"""Whether a StructureDefinition is a profile that resources can be held to.

https://hl7.org/fhir/R4/structuredefinition.html#interpretation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, Literal

from fhir_server.spec.definitions import STRUCTURE, is_a, is_resource_type
from fhir_server.spec.errors import Issue
from fhir_server.spec.facts import structure_facts
from fhir_server.spec.snapshots import Fault, Snapshots
from fhir_server.terminology.faults import UNREADABLE
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.compiler import compile_profile
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]
_INHERIT: Final = STRUCTURE + "inherit-obligations"


def structure_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Why a StructureDefinition cannot be used as it is, and the profiles of its types that are not known."""
    try:
        issues = definition_issues(resource, run.library)
    except UNREADABLE:
        return  # what it lacks breaks R4's own rules, which tell that
    for issue in issues:
        yield replace(issue, expression=tuple(path + item for item in issue.expression))
    severity: Literal["error", "warning"] = "error" if run.strict else "warning"
    if resource.get("kind") == "logical":
        yield from _logical_issues(resource, path, severity)
    yield from _inherited_issues(resource, path, run)
    elements = resource.get("differential", {}).get("element", ())
    for index, element in enumerate(elements):
        for number, item in enumerate(element.get("type", ())):
            for position, url in enumerate(item.get("profile", ())):
                place = f"{path}.differential.element[{index}].type[{number}].profile[{position}]"
                told = _profile_fault(item.get("code"), url, run.library)
                if told is not None:
                    yield Issue(severity, "not-found", f"{place} is {shown(url)}, {told}", (place,))


def _profile_fault(code: Any, url: Any, library: Library) -> str | None:
    """Why a profile cannot be one of a type's values; None when nothing is known to be wrong."""
    if not isinstance(url, str) or not isinstance(code, str):
        return None
    structure = library.structure(url)
    if structure is None:
        return "which is not known here"
    kind = structure["type"].removeprefix(STRUCTURE)
    if kind == code or (is_resource_type(kind) and is_a(kind, code)):
        return None
    return f"which is about {kind}, not about {code}"


def _inherited_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """A profile whose obligations are inherited is based on what this one is based on.

    https://hl7.org/fhir/extensions/StructureDefinition-inherit-obligations.html
    """
    for index, item in enumerate(resource.get("extension", ())):
        url = item.get("valueCanonical") if item.get("url") == _INHERIT else None
        other = run.library.structure(url) if isinstance(url, str) else None
        if other is not None and other.get("baseDefinition") != resource.get("baseDefinition"):
            place = f"{path}.extension[{index}]"
            told = f"{place} is {shown(url)}, which has another base; obligations come from profiles of the same"
            severity: Literal["error", "warning"] = "error" if run.strict else "warning"
            yield Issue(severity, "invalid", told, (place,))


def _logical_issues(
    resource: Json, path: str, severity: Literal["error", "warning"]
) -> Iterator[Issue]:
    """A logical model defines the type that it is named for, and that type's elements.

    https://hl7.org/fhir/R4/structuredefinition-definitions.html#StructureDefinition.type
    """
    kind, url = str(resource.get("type")), resource.get("url")
    named = kind if ":" in kind else STRUCTURE + kind
    if resource.get("derivation") == "specialization" and named != url:
        place = f"{path}.type"
        told = f"{place} is {shown(kind)}; a new type is named by its url, {shown(url)}"
        yield Issue(severity, "invalid", told, (place,))
    name = kind.rpartition("/")[2]
    for view in ("differential", "snapshot"):
        for index, element in enumerate(resource.get(view, {}).get("element", ())):
            if str(element.get("path")).partition(".")[0] != name:
                place = f"{path}.{view}.element[{index}]"
                told = f"{place} is {shown(element.get('path'))}, no element of {shown(name)}"
                yield Issue(severity, "not-found", told, (place,))


def definition_issues(resource: Json, library: Library) -> tuple[Issue, ...]:
    """Why a StructureDefinition (valid by R4's own rules) cannot be used as it is.

    A base that is not known is a warning: it may come later, and until then the profile asks nothing. Expressions
    begin after the resource's path.
    """
    if resource.get("derivation") != "constraint" or "differential" not in resource:
        return ()
    if library.structure(resource.get("baseDefinition", "")) is None:
        told = f"Its base, {resource.get('baseDefinition')}, is not known here: it asks nothing until that is stored"
        return (Issue("warning", "not-found", told, (".baseDefinition",)),)
    facts = structure_facts(resource)
    snapshots = Snapshots(library.structure)
    facts["snapshot"] = snapshots.of(facts)
    faults = list(snapshots.faults)
    if facts["snapshot"]:
        compile_profile(facts, library, faults)
    return tuple(_issue(fault, facts) for fault in faults)


def _issue(fault: Fault, facts: Json) -> Issue:
    place = ""
    for index, element in enumerate(facts.get("differential", ())):
        if fault.path in (element.get("id"), element.get("path")):
            place = f".differential.element[{index}]"
            break
    severity: Literal["error", "warning"] = "error" if fault.grave else "warning"
    return Issue(severity, "business-rule", f"{fault.path} {fault.says}", (place,))
