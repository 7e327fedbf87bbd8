"""The walker of profiles: every issue of a value under a profile, with its place and what to change.

https://hl7.org/fhir/R4/profiling.html
Values that have not the shape of their type are left to the walker of the base rules, which tells that.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.fhirpath import Node
from fhir_server.fhirpath.node import type_is
from fhir_server.spec.definitions import STRUCTURE
from fhir_server.spec.errors import Issue
from fhir_server.validation.invariants import holds, is_asked
from fhir_server.validation.issues import refused, shown
from fhir_server.validation.profiles.codes import is_member
from fhir_server.validation.profiles.demands import Child, Demand, Profile
from fhir_server.validation.profiles.narratives import language_fault
from fhir_server.validation.profiles.references import reference_issues
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.slices import slicing_issues
from fhir_server.validation.profiles.teller import Teller
from fhir_server.validation.profiles.values import below, missing_from, same
from fhir_server.validation.rules import Kind
from fhir_server.validation.sentences import sentence
from fhir_server.validation.subexpressions import parts

Json = dict[str, Any]
Issues = Iterator[Issue]


def walk_profile(profile: Profile, node: Node, path: str, run: Run) -> Issues:
    """The issues of a value under a profile; () while the same question is being answered further out."""
    asked = (profile.url, id(node.value))
    if asked in run.conformed and run.conformed[asked] is None:
        return
    run.conformed[asked] = None
    teller = Teller(profile.label)
    sound = True
    if not type_is(node.type, profile.type):
        sound = False
        yield teller.fault(
            "structure",
            f"{path} is of the type {node.type}; the profile is about {profile.type}",
            path,
        )
    else:
        for issue in walk_demand(profile.root, node, path, run, teller):
            sound = sound and not refused(issue)
            yield issue
    run.conformed[asked] = sound


def conforms(node: Node, canonical: str, run: Run) -> bool | None:
    """Whether a value keeps its base rules and a profile; None when the profile is not known."""
    plain = canonical.partition("|")[0]
    if plain.removeprefix(STRUCTURE) == node.type:
        return True
    profile = run.library.profile(canonical)
    if profile is None:
        return None
    known = run.conformed.get((profile.url, id(node.value)), False)
    if known is not False:
        return True if known is None else known
    if isinstance(node.value, dict) and node.value.keys() == {"resourceType"}:
        return None  # where a reference leads is not at hand
    run_there = run
    if isinstance(node.value, dict) and "resourceType" in node.value:
        run_there = run.inside(node.value, contained=False, holder=None)
    sound = not any(map(refused, walk_profile(profile, node, node.type, run_there)))
    # The walk ends at the first error, before it can note the answer itself.
    run.conformed[(profile.url, id(node.value))] = sound
    return sound


def walk_demand(demand: Demand, node: Node, path: str, run: Run, teller: Teller) -> Issues:
    """The issues of one value."""
    yield from _value_issues(demand, node, path, teller)
    if demand.binding is not None and node.value is not None:
        yield from _binding_issues(demand, node, path, run, teller)
    for invariant in filter(is_asked, demand.invariants):
        if not holds(invariant, node, run.environment):
            says = sentence(invariant, path)
            found = parts(invariant.expression, node, run.environment)
            says += f": {found}" if found else ""
            yield teller.issue(invariant.severity, "invariant", says, path)
    if demand.profiles is not None:
        yield from _profile_issues(demand, node, path, run, teller)
    if demand.targets or demand.aggregation:
        yield from reference_issues(demand, node, path, run, teller)
    if demand.languages:
        wrong = language_fault(demand.languages, node.value, run.resource.value.get("language"))
        if wrong is not None:
            yield teller.fault("business-rule", f"{path} {wrong}", path)
    inner = inside(node, path, run) if demand.children else run
    for child in demand.children:
        yield from walk_child(child, node, path, inner, teller)


def _value_issues(demand: Demand, node: Node, path: str, teller: Teller) -> Issues:
    value = node.value
    if demand.fixed is not None and not same(value, demand.fixed):
        if isinstance(demand.fixed, dict):
            wrong = missing_from(value, demand.fixed) or "it has more"
            says = f"{path} is not what it is fixed to: {wrong}"
        else:
            says = f"{path} is {shown(value)}; it is fixed to {shown(demand.fixed)}"
        yield teller.fault("value", says, path)
    if demand.pattern is not None:
        missing = missing_from(value, demand.pattern)
        if missing is not None:
            if isinstance(demand.pattern, (dict, list)):
                says = f"{path} does not fit the pattern: {missing}"
            else:
                says = f"{path} is {shown(value)}; it has to be {shown(demand.pattern)}"
            yield teller.fault("value", says, path)
    if value is None:
        return
    if demand.low is not None and below(value, demand.low):
        yield teller.fault("value", f"{path} is below the least allowed, {shown(demand.low)}", path)
    if demand.high is not None and below(demand.high, value):
        yield teller.fault("value", f"{path} is above the most allowed, {shown(demand.high)}", path)
    if demand.longest is not None and isinstance(value, str) and len(value) > demand.longest:
        yield teller.fault(
            "value",
            f"{path} has {len(value)} characters; at most {demand.longest} are allowed",
            path,
        )


def _binding_issues(demand: Demand, node: Node, path: str, run: Run, teller: Teller) -> Issues:
    binding = demand.binding
    assert binding is not None
    terminology = run.library.terminology
    member = is_member(node.value, node.type, binding.value_set, terminology)
    required = binding.strength == "required"
    if member and isinstance(node.value, dict):
        _note(node, binding.value_set, run)
    if member is False:
        if node.type == "CodeableConcept" and not node.value.get("coding"):
            if required:
                yield teller.fault(
                    "code-invalid",
                    f"{path} has no coding; use a code of {binding.value_set}",
                    path,
                )
            return
        says = f"{path} has no code of {binding.value_set}"
        if required:
            yield teller.fault("code-invalid", f"{says}; use one", path)
        else:
            yield teller.issue(
                "warning", "code-invalid", f"{says}; use one unless none is suitable", path
            )
    elif member is None and required:
        yield teller.issue(
            "warning",
            "not-found",
            f"{path}: whether its code is in {binding.value_set} cannot be told here",
            path,
        )
    if binding.maximum is not None and not required:
        within = is_member(node.value, node.type, binding.maximum, terminology)
        if within is False and not (
            node.type == "CodeableConcept" and not node.value.get("coding")
        ):
            yield teller.fault(
                "code-invalid", f"{path} has no code of {binding.maximum}; use one", path
            )


def _note(node: Node, value_set: str, run: Run) -> None:
    """Remember where a value's codings come from: the value set may have displays of its own for them."""
    codings = node.value.get("coding") if node.type == "CodeableConcept" else [node.value]
    for coding in codings if isinstance(codings, list) else ():
        run.bound.setdefault(id(coding), []).append(value_set)


def _profile_issues(demand: Demand, node: Node, path: str, run: Run, teller: Teller) -> Issues:
    assert demand.profiles is not None
    kind = node.type
    if isinstance(node.value, dict) and "resourceType" in node.value:
        kind = str(node.value["resourceType"])
    asked = next((urls for code, urls in demand.profiles.items() if type_is(kind, code)), None)
    if asked is None or node.value is None:
        return
    if kind == "Extension" and node.value.get("url") in [url.partition("|")[0] for url in asked]:
        return  # every extension is held to its definition
    known = [url for url in asked if run.library.profile(url) is not None]
    if len(known) < len(asked):
        yield teller.issue(
            "error" if run.strict else "warning",
            "not-found",
            f"{path}: the profile {asked[0]} is not known here",
            path,
        )
        return
    inner = run
    if "resourceType" in node.value:
        node = Node(node.value, kind)
        inner = run.inside(node.value, contained=False, holder=run.holder)
    if len(known) == 1:
        profile = run.library.profile(known[0])
        assert profile is not None
        yield from walk_profile(profile, node, path, inner)
    elif not any(conforms(node, url, inner) for url in known):
        yield teller.fault("structure", f"{path} conforms to none of {', '.join(known)}", path)


def walk_child(child: Child, node: Node, path: str, run: Run, teller: Teller) -> Issues:
    """The issues of the values of one element below a node."""
    holder = node.value if isinstance(node.value, dict) else node.extra
    if not isinstance(holder, dict):
        holder = {}
    name = child.element.name
    place = f"{path}.{name}"
    items = list(placed_children(child, holder, path))
    if len(items) < child.minimum:
        yield teller.fault(
            "required",
            f"{place} is required; add it"
            if child.minimum == 1
            else f"{place} needs at least {child.minimum} items, not {len(items)}",
            place,
        )
    if child.maximum is not None and len(items) > child.maximum:
        yield teller.fault(
            "structure",
            f"{place} is not allowed here; remove it"
            if child.maximum == 0
            else f"{place} has {len(items)} items; {child.maximum} are allowed",
            place,
        )
        if child.maximum == 0:
            return
    for item, where in items:
        if child.each.types is not None and not _is_typed(item, child.each.types):
            yield teller.fault(
                "structure",
                f"{where} is a {_type(item)}; it has to be a {' or '.join(sorted(child.each.types))}",
                where,
            )
            continue
        yield from walk_demand(child.each, item, where, run, teller)
    if child.slicing is not None:
        yield from slicing_issues(child.slicing, items, place, run, teller)


def inside(node: Node, path: str, run: Run) -> Run:
    """The run for what is below a value: another one below a resource inside the resource."""
    value = node.value
    if isinstance(value, dict) and "resourceType" in value and value is not run.resource.value:
        contained = path.rpartition(".")[2].startswith("contained")
        return run.inside(node.value, contained=contained, holder=None)
    return run


def _type(node: Node) -> str:
    if isinstance(node.value, dict) and "resourceType" in node.value:
        return str(node.value["resourceType"])
    return node.type


def _is_typed(node: Node, types: frozenset[str]) -> bool:
    return any(type_is(_type(node), name.removeprefix(STRUCTURE)) for name in types)


def placed_children(child: Child, holder: Json, path: str) -> Iterator[tuple[Node, str]]:
    """The values of an element with their paths; those of the wrong shape are left out."""
    element = child.element
    for kind in element.kinds:
        value = holder.get(kind.name)
        extra = holder.get("_" + kind.name) if kind.sibling else None
        if value is None and extra is None:
            continue
        place = f"{path}.{element.name}"
        if len(element.kinds) > 1:
            place += f".ofType({kind.type})"
        if element.many:
            values = value if isinstance(value, list) else []
            extras = extra if isinstance(extra, list) else []
            for index in range(max(len(values), len(extras))):
                one = values[index] if index < len(values) else None
                other = extras[index] if index < len(extras) else None
                node = _node(one, other, kind)
                if node is not None:
                    yield node, f"{place}[{index}]"
        else:
            node = _node(value, extra, kind)
            if node is not None:
                yield node, place


def _node(value: Any, extra: Any, kind: Kind) -> Node | None:
    extra = extra if isinstance(extra, dict) else None
    if kind.primitive:
        if isinstance(value, (dict, list)) or (value is None and extra is None):
            return None
        return Node(value, kind.type, extra)
    if not isinstance(value, dict):
        return None
    if kind.type == "Resource":
        return Node(value, str(value.get("resourceType")))
    return Node(value, kind.type)
