"""Where a profile lets references lead: target types, target profiles, aggregation.

https://hl7.org/fhir/R4/references.html
"""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.fhirpath import Node
from fhir_server.spec.definitions import STRUCTURE, is_a, is_resource_type
from fhir_server.spec.errors import Issue
from fhir_server.validation.profiles.demands import Demand
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.teller import Teller
from fhir_server.validation.references import named_type, stated_type


def reference_issues(
    demand: Demand, node: Node, path: str, run: Run, teller: Teller
) -> Iterator[Issue]:
    """What is wrong with where a Reference leads, as far as it is at hand."""
    reference = node.value
    if node.type != "Reference" or not isinstance(reference, dict):
        return
    text = reference.get("reference")
    found = run.find(text) if isinstance(text, str) else None
    if demand.aggregation and isinstance(text, str):
        yield from _aggregation_issues(demand, text, found is not None, path, run, teller)
    if not demand.targets:
        return
    target = None
    if found is not None:
        target = str(found.get("resourceType"))
    elif isinstance(text, str):
        target = named_type(text)
    target = target or stated_type(reference)
    if target is None or not is_resource_type(target):
        return
    types = {url: _type_of(url, run) for url in demand.targets}
    unknown = [url for url, kind in types.items() if kind is None]
    if unknown:
        # It may be one of these that the target conforms to.
        if found is not None:
            yield teller.issue(
                "error" if run.strict else "warning",
                "not-found",
                f"{path}: the target's profile {unknown[0]} is not known here",
                path,
            )
        return
    fitting = [url for url, kind in types.items() if kind is not None and is_a(target, kind)]
    if not fitting:
        allowed = " or ".join(sorted({kind for kind in types.values() if kind is not None}))
        yield teller.fault(
            "structure", f"{path} refers to a {target}; it may refer to a {allowed} only", path
        )
    elif found is not None:
        yield from _target_issues(fitting, Node(found, target), path, run, teller)


def _type_of(url: str, run: Run) -> str | None:
    structure = run.library.structure(url)
    return None if structure is None else structure["type"].removeprefix(STRUCTURE)


def _target_issues(
    profiles: list[str], target: Node, path: str, run: Run, teller: Teller
) -> Iterator[Issue]:
    from fhir_server.validation.profiles.walker import conforms

    if any(conforms(target, url, run) is not False for url in profiles):
        return
    yield teller.fault(
        "structure",
        f"{path} refers to a {target.type} that does not conform to {' or '.join(profiles)}",
        path,
    )


def _aggregation_issues(
    demand: Demand, text: str, found: bool, path: str, run: Run, teller: Teller
) -> Iterator[Issue]:
    if text.startswith("#"):
        mode = "contained"
    elif found:
        mode = "bundled"
    else:
        mode = "referenced"
    if mode == "referenced" and run.holder is None and "bundled" in demand.aggregation:
        return  # which Bundle it will be in is not known here
    # What is in the same Bundle is referred to as well.
    modes = {mode, "referenced"} if mode == "bundled" else {mode}
    if not modes & demand.aggregation:
        allowed = " or ".join(sorted(demand.aggregation))
        yield teller.fault(
            "structure", f"{path} leads to something {mode}; it has to be {allowed}", path
        )
