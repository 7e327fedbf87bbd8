"""Whether a StructureDefinition is a profile that resources can be held to.

https://hl7.org/fhir/R4/structuredefinition.html#interpretation
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Literal

from fhir_server.spec.errors import Issue
from fhir_server.spec.facts import structure_facts
from fhir_server.spec.snapshots import Fault, Snapshots
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.compiler import compile_profile
from fhir_server.validation.profiles.library import UNREADABLE, Library
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]


def structure_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Why a StructureDefinition cannot be used as it is, and the profiles of its types that are not known."""
    try:
        issues = definition_issues(resource, run.library)
    except UNREADABLE:
        return  # what it lacks breaks R4's own rules, which tell that
    for issue in issues:
        yield replace(issue, expression=tuple(path + item for item in issue.expression))
    severity: Literal["error", "warning"] = "error" if run.strict else "warning"
    elements = resource.get("differential", {}).get("element", ())
    for index, element in enumerate(elements):
        for number, item in enumerate(element.get("type", ())):
            for position, url in enumerate(item.get("profile", ())):
                if isinstance(url, str) and run.library.structure(url) is None:
                    place = (
                        f"{path}.differential.element[{index}].type[{number}].profile[{position}]"
                    )
                    yield Issue(
                        severity,
                        "not-found",
                        f"{place} is {shown(url)}, which is not known here",
                        (place,),
                    )


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
