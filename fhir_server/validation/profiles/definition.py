"""Whether a StructureDefinition is a profile that resources can be held to.

https://hl7.org/fhir/R4/structuredefinition.html#interpretation
"""

from __future__ import annotations

from typing import Any, Literal

from fhir_server.spec.errors import Issue
from fhir_server.spec.facts import structure_facts
from fhir_server.spec.snapshots import Fault, Snapshots
from fhir_server.validation.profiles.compiler import compile_profile
from fhir_server.validation.profiles.library import Library

Json = dict[str, Any]


def definition_issues(resource: Json, library: Library) -> tuple[Issue, ...]:
    """Why a StructureDefinition (valid by R4's own rules) cannot be used as it is.

    A base that is not known is a warning: it may come later, and until then the profile asks nothing.
    """
    if resource.get("derivation") != "constraint" or "differential" not in resource:
        return ()
    if library.structure(resource.get("baseDefinition", "")) is None:
        told = f"Its base, {resource.get('baseDefinition')}, is not known here: it asks nothing until that is stored"
        return (Issue("warning", "not-found", told, ("StructureDefinition.baseDefinition",)),)
    facts = structure_facts(resource)
    snapshots = Snapshots(library.structure)
    facts["snapshot"] = snapshots.of(facts)
    faults = list(snapshots.faults)
    if facts["snapshot"]:
        compile_profile(facts, library, faults)
    return tuple(_issue(fault, facts) for fault in faults)


def _issue(fault: Fault, facts: Json) -> Issue:
    place = "StructureDefinition"
    for index, element in enumerate(facts.get("differential", ())):
        if fault.path in (element.get("id"), element.get("path")):
            place = f"StructureDefinition.differential.element[{index}]"
            break
    severity: Literal["error", "warning"] = "error" if fault.grave else "warning"
    return Issue(severity, "business-rule", f"{fault.path} {fault.says}", (place,))
