"""The issues of sliced elements: how many values each slice has, their order, and those in no slice.

https://hl7.org/fhir/R4/profiling.html#slicing
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_server.fhirpath import Node
from fhir_server.spec.errors import Issue
from fhir_server.validation.profiles.demands import Slice, Slicing
from fhir_server.validation.profiles.matching import belongs, why_not
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.teller import Teller

Placed = Sequence[tuple[Node, str]]
_MOST_CANDIDATES = 3


def slicing_issues(
    slicing: Slicing, items: Placed, path: str, run: Run, teller: Teller
) -> Iterator[Issue]:
    """What is wrong with the values of a sliced element, as slices."""
    from fhir_server.validation.profiles.walker import walk_demand

    members: dict[str, list[tuple[Node, str]]] = {item.name: [] for item in slicing.slices}
    last = -1
    unsliced_before: str | None = None
    for node, where in items:
        found = [number for number, item in enumerate(slicing.slices) if belongs(node, item, run)]
        if len(found) > 1:
            names = ", ".join(slicing.slices[number].name for number in found)
            yield teller.fault(
                "structure", f"{where} belongs to more than one slice: {names}", where
            )
        for number in found:
            members[slicing.slices[number].name].append((node, where))
        if not found:
            unsliced_before = where
            if slicing.default is not None:
                yield from walk_demand(slicing.default, node, where, run, teller)
            elif slicing.rules == "closed":
                yield teller.fault("structure", f"{where} {_no_slice(slicing, node, run)}", where)
            continue
        if slicing.rules == "openAtEnd" and unsliced_before is not None:
            yield teller.fault(
                "structure",
                f"{unsliced_before} is in no slice; it has to stand after those that are",
                unsliced_before,
            )
            unsliced_before = None
        if slicing.ordered and found[0] < last:
            yield teller.fault(
                "structure",
                f"{where} is of the slice {slicing.slices[found[0]].name}, which comes before "
                f"{slicing.slices[last].name}; put it there",
                where,
            )
        last = max(last, found[0])
    for item in slicing.slices:
        yield from _slice_issues(item, members[item.name], items, path, run, teller)


def _no_slice(slicing: Slicing, node: Node, run: Run) -> str:
    reasons = "; ".join(
        f"not {item.name}: {why_not(node, item, run)}" for item in slicing.slices[:_MOST_CANDIDATES]
    )
    return f"is in no slice, and no others are allowed: {reasons}" if reasons else "is in no slice"


def _slice_issues(
    item: Slice, members: Placed, items: Placed, path: str, run: Run, teller: Teller
) -> Iterator[Issue]:
    from fhir_server.validation.profiles.walker import walk_demand

    if item.tests is None:
        return  # the profile's fault, not the resource's
    if len(members) < item.minimum:
        candidates = "; ".join(
            f"{where} is none: {why_not(node, item, run)}"
            for node, where in items[:_MOST_CANDIDATES]
            if not belongs(node, item, run)
        )
        says = f"{path} needs {item.minimum} of the slice {item.name}, not {len(members)}"
        yield teller.fault("required", f"{says} ({candidates})" if candidates else says, path)
    if item.maximum is not None and len(members) > item.maximum:
        yield teller.fault(
            "structure",
            f"{path} has {len(members)} of the slice {item.name}; {item.maximum} are allowed",
            path,
        )
    for node, where in members:
        yield from walk_demand(item.each, node, where, run, teller)
    if item.slicing is not None:
        yield from slicing_issues(item.slicing, members, path, run, teller)
