"""Which slice a value belongs to (https://hl7.org/fhir/R4/profiling.html#slicing)."""

from __future__ import annotations

from typing import Any

from fhir_server.fhirpath import FhirPathError, Node, compile_expression
from fhir_server.fhirpath.node import type_is
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.codes import is_member
from fhir_server.validation.profiles.demands import Demand, Slice, Test
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.values import fits, missing_from, same

Json = dict[str, Any]


def belongs(node: Node, item: Slice, run: Run) -> bool:
    """Whether a value is of a slice."""
    return item.tests is not None and all(holds(node, test, run) for test in item.tests)


def holds(node: Node, test: Test, run: Run) -> bool:
    """Whether a value passes one test."""
    found = ends(node, test.path, run)
    match test.type:
        case "exists":
            return bool(found) == test.exists
        case "type":
            return any(type_is(_type(end), name) for end in found for name in test.names)
        case "profile":
            from fhir_server.validation.profiles.walker import conforms

            return any(conforms(end, name, run) for end in found for name in test.names)
        case _:
            assert test.wanted is not None
            return any(accepts(test.wanted, end, run) for end in found)


def ends(node: Node, path: str, run: Run) -> list[Node]:
    """What a discriminator's path leads to."""
    if path == "$this":
        return [node]
    try:
        return compile_expression(path).evaluate(node, run.environment)
    except FhirPathError:
        return []


def _type(node: Node) -> str:
    if isinstance(node.value, dict) and "resourceType" in node.value:
        return str(node.value["resourceType"])
    return node.type


def accepts(demand: Demand, node: Node, run: Run) -> bool:
    """Whether a value has what tells it from others: fixed values, patterns, required codes, there and below."""
    if demand.fixed is not None and not same(node.value, demand.fixed):
        return False
    if demand.pattern is not None and not fits(node.value, demand.pattern):
        return False
    binding = demand.binding
    if (
        binding is not None
        and binding.strength == "required"
        and not is_member(node.value, node.type, binding.value_set, run.library.terminology)
    ):
        return False
    for child in demand.children:
        below = node.children(child.element.name)
        if child.minimum > 0 and not below:
            return False
        if (
            _tells(child.each)
            and below
            and not any(accepts(child.each, item, run) for item in below)
        ):
            return False
        for chosen in child.slicing.slices if child.slicing is not None else ():
            if chosen.minimum > 0 and not any(belongs(item, chosen, run) for item in below):
                return False
    return True


def _tells(demand: Demand) -> bool:
    return demand.fixed is not None or demand.pattern is not None or bool(demand.children)


def why_not(node: Node, item: Slice, run: Run) -> str:
    """Why a value is not of a slice, to follow its path."""
    if item.tests is None:
        return "the profile does not say how to tell the slice"
    for test in item.tests:
        if not holds(node, test, run):
            return _failed(node, test, run)
    return "it belongs to it"


def _failed(node: Node, test: Test, run: Run) -> str:
    found = ends(node, test.path, run)
    what = "it" if test.path == "$this" else test.path
    match test.type:
        case "exists":
            return f"{what} is {'missing' if test.exists else 'there'}"
        case "type":
            named = ", ".join(sorted({_type(end) for end in found})) or "nothing"
            return f"{what} is {named}, not {' or '.join(test.names)}"
        case "profile":
            return f"{what} does not conform to {' or '.join(test.names)}"
    assert test.wanted is not None
    if not found:
        return f"{what} is missing"
    wanted = test.wanted
    value = found[0].value
    if wanted.fixed is not None:
        told = shown(wanted.fixed)
        return (
            f"{what} is {shown(value)}, not {told}" if told != "an object" else f"{what} is another"
        )
    if wanted.pattern is not None:
        if isinstance(wanted.pattern, dict):
            return f"in {what}, {missing_from(value, wanted.pattern)}"
        return f"{what} is {shown(value)}, not {shown(wanted.pattern)}"
    if wanted.binding is not None:
        return f"{what} has no code of {wanted.binding.value_set}"
    return f"{what} is not what the slice asks for"
