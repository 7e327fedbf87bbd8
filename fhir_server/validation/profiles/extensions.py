"""Extensions held to their definitions: where they may stand, what they hold.

https://hl7.org/fhir/R4/defining-extensions.html
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

from fhir_server.fhirpath import FhirPathError, Node, compile_expression
from fhir_server.spec.definitions import STRUCTURE, base_of, element_definitions, node_type
from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.demands import Profile
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.profiles.teller import Teller
from fhir_server.validation.profiles.walker import walk_profile
from fhir_server.validation.rules import Element, Kind
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]
# HL7 goes on defining extensions for R4 under the first, and the other is for examples.
_UNRULED: Final = (STRUCTURE, "http://example.org/", "https://example.org/")
_HOLDERS: Final = ("extension", "modifierExtension")


# How a node was come to: the trail of what holds it, the property, and the index in its array.
Trail = tuple[Any, tuple[Element, Kind], int | None]


@dataclass(frozen=True, slots=True)
class Found:
    """An extension in a resource: trail and index say where it stands.

    holder: the node that has it; above: the url of the extension that it is in.
    """

    extension: Json
    index: int
    modifier: bool
    holder: Node
    root: str
    trail: Trail | None
    above: str | None

    @property
    def place(self) -> str:
        """The rest of its path, after that of its resource."""
        name = "modifierExtension" if self.modifier else "extension"
        return f"{_place(self.trail)}.{name}[{self.index}]"

    @property
    def names(self) -> frozenset[str]:
        """What a context may call what holds it: the element by several paths, its type, what that specializes."""
        steps = []
        trail = self.trail
        while trail is not None:
            trail, (element, _), _ = trail
            steps.append((element.path, element.name))
        return _names(self.root, tuple(reversed(steps))) | _types(self.holder.type)


def _place(trail: Trail | None) -> str:
    if trail is None:
        return ""
    above, (element, kind), index = trail
    place = f"{_place(above)}.{element.name}"
    if len(element.kinds) > 1:
        place += f".ofType({kind.type})"
    return place if index is None else f"{place}[{index}]"


@cache
def _names(root: str, steps: tuple[tuple[str, str], ...]) -> frozenset[str]:
    names = _root_names(root)
    for path, name in steps:
        names = frozenset({path, _base_path(path), *(f"{item}.{name}" for item in names)})
    return names


def _root_names(root: str) -> frozenset[str]:
    """R4 has no type for them, but contexts name the resources that have a canonical url so."""
    if {"url", "version", "status"} <= _properties(root).keys():
        return frozenset({root, "CanonicalResource", "MetadataResource"})
    return frozenset({root})


def _base_path(path: str) -> str:
    """Where an element was first defined: DomainResource.text for Patient.text."""
    element = element_definitions(path.partition(".")[0]).get(path, {})
    found: str = element.get("base", {}).get("path", path)
    return found


# A node still to be looked into: its value, its type, its trail, and the url of the extension that it is in.
Pending = tuple[Json, str, Trail | None, str | None]


def extensions_in(resource: Json) -> Iterator[Found]:
    """Every extension of a resource, outermost first, contained and bundled resources left out."""
    root = resource["resourceType"]
    pending: deque[Pending] = deque([(resource, root, None, None)])
    while pending:
        node = pending.popleft()
        value, key, _, _ = node
        for name in _HOLDERS:
            if name in value:
                holder = Node(value, rules_of(key).type)
                yield from _held(
                    value[name], holder, root, node, pending, modifier=name != "extension"
                )
        yield from _scan(node, root, pending)


def _scan(node: Pending, root: str, pending: deque[Pending]) -> Iterator[Found]:
    """The extensions of the primitives of a node; what else is in it is left to be looked into."""
    value, key, trail, above = node
    properties = _properties(key)
    for name, item in value.items():
        kind_of_item = type(item)
        if (kind_of_item is not dict and kind_of_item is not list) or name in _HOLDERS:
            continue
        step = properties.get(name)
        if step is None:
            continue
        kind = step[1]
        if kind.primitive:
            if name[0] == "_":
                listed = item if kind_of_item is list else (item,)
                for index, one in enumerate(listed):
                    if type(one) is dict and "extension" in one:
                        held = (trail, step, index if kind_of_item is list else None)
                        inner: Pending = (one, kind.type, held, above)
                        holder = Node(None, kind.type, one)
                        yield from _held(
                            one["extension"], holder, root, inner, pending, modifier=False
                        )
        elif kind.type == "Resource":
            continue
        elif kind_of_item is list:
            plain = _plain(kind.type)
            for index, one in enumerate(item):
                if type(one) is dict and not one.keys() <= plain:
                    pending.append((one, kind.type, (trail, step, index), above))
        elif not item.keys() <= _plain(kind.type):
            pending.append((item, kind.type, (trail, step, None), above))


def _held(
    value: Any, holder: Node, root: str, node: Pending, pending: deque[Pending], *, modifier: bool
) -> Iterator[Found]:
    _, _, trail, above = node
    step = _properties("Extension")["extension"]
    for index, item in enumerate(value if type(value) is list else ()):
        if type(item) is dict and type(item.get("url")) is str:
            pending.append((item, "Extension", (trail, step, index), item["url"]))
            yield Found(item, index, modifier, holder, root, trail, above)


@cache
def _properties(key: str) -> Mapping[str, tuple[Element, Kind]]:
    """JSON property, `_name` too, -> element and kind."""
    found = {}
    for name, step in rules_of(key).properties.items():
        found[name] = step
        if step[1].sibling:
            found["_" + name] = step
    return found


@cache
def _plain(key: str) -> frozenset[str]:
    """The JSON properties of a type that no extension can be in."""
    return frozenset(name for name, (_, kind) in rules_of(key).properties.items() if kind.primitive)


@cache
def _types(name: str) -> frozenset[str]:
    """A type and those that it specializes; what is not a resource is an Element."""
    found = {name}
    current: str | None = name
    while current is not None:
        found.add(current)
        current = node_type(current).base if "." in current else base_of(current)
    return frozenset(found)


def extension_issues(found: Found, path: str, run: Run) -> Iterator[Issue]:
    """What is wrong with an extension by its definition, or that this is not known."""
    url: str = found.extension["url"]
    if ":" not in url:
        return  # a part of a complex extension, whose definition it is
    place = path + found.place
    profile = run.library.profile(url)
    structure = run.library.structure(url)
    unknown: Literal["warning", "error"] = "warning"
    if run.strict and not url.startswith(_UNRULED):
        unknown = "error"
    if profile is None or structure is None or profile.type != "Extension":
        yield _unknown(found, url, place, unknown)
        return
    yield from place_issues(structure, profile, found, place, run)
    yield from walk_profile(profile, Node(found.extension, "Extension"), place, run)
    yield from _part_issues(found, profile, place, Teller(profile.label))


def looks_at_the_instance(structure: Json) -> bool:
    """Whether an extension's definition asks more of its place than its name."""
    return bool(structure.get("contextInvariant")) or any(
        item.get("type") == "fhirpath" for item in structure.get("context", ())
    )


def place_issues(
    structure: Json, profile: Profile, found: Found, place: str, run: Run
) -> Iterator[Issue]:
    """What is wrong with where an extension stands."""
    teller = Teller(profile.label)
    url: str = found.extension["url"]
    if bool(structure["snapshot"][0].get("isModifier")) != found.modifier:
        wrong, right = ("extension", "modifierExtension")[:: 1 if not found.modifier else -1]
        yield teller.fault(
            "extension",
            f"{place} is {shown(url)}, no {wrong}; move it to {right}",
            place,
        )
    if not _is_allowed(structure, found, run):
        where = " or ".join(item.get("expression", "?") for item in structure["context"])
        yield teller.fault(
            "extension",
            f"{place} is {shown(url)}, which may stand at {where} only; move or remove it",
            place,
        )
    for expression in structure.get("contextInvariant", ()):
        if not _selects(expression, found.holder, run):
            yield teller.fault("invariant", f"{place} may stand only where {expression}", place)


def has_its_parts(found: Found, profile: Profile) -> bool:
    """Whether the parts of a complex extension are those that its definition has."""
    return "extension" not in found.extension or not any(
        _part_issues(found, profile, "", Teller(profile.label))
    )


def _unknown(found: Found, url: str, place: str, severity: Literal["warning", "error"]) -> Issue:
    if found.modifier:
        return Issue(
            severity,
            "extension",
            f"{place} is the modifier extension {shown(url)}, whose definition is not known here: "
            "what the resource means cannot be told without it",
            (place,),
        )
    return Issue(
        severity,
        "extension",
        f"{place} is {shown(url)}, whose definition is not known here; it is kept as it is",
        (place,),
    )


def _part_issues(found: Found, profile: Profile, path: str, teller: Teller) -> Iterator[Issue]:
    """The parts of a complex extension that its definition does not have."""
    parts = found.extension.get("extension")
    if not isinstance(parts, list):
        return
    named = _parts(profile)
    for index, part in enumerate(parts):
        url = part.get("url") if isinstance(part, dict) else None
        if isinstance(url, str) and ":" not in url and url not in named:
            place = f"{path}.extension[{index}]"
            known = f"; it has {', '.join(sorted(named))}" if named else ""
            yield teller.fault("extension", f"{place} is {shown(url)}, no part of it{known}", place)


@cache
def _parts(profile: Profile) -> frozenset[str]:
    found = set()
    for child in profile.root.children:
        if child.element.name == "extension" and child.slicing is not None:
            for item in child.slicing.slices:
                for test in item.tests or ():
                    if test.wanted is not None and isinstance(test.wanted.fixed, str):
                        found.add(test.wanted.fixed)
    return frozenset(found)


def _is_allowed(structure: Json, found: Found, run: Run) -> bool:
    contexts = structure.get("context")
    return not contexts or any(_is_context(item, found, run) for item in contexts)


def _is_context(context: Json, found: Found, run: Run) -> bool:
    expression: str = context.get("expression", "")
    match context.get("type"):
        case "extension":
            return found.above == expression
        case "fhirpath":
            return _is_selected(expression, found.holder, run)
        case _:
            name = expression.rpartition("#")[2].removeprefix(STRUCTURE)
            if name in ("Element", "Element.extension") or name == "*":
                return True
            names = found.names
            return name in names or name.replace("[x]", "") in names


def _is_selected(expression: str, holder: Node, run: Run) -> bool:
    """Whether an expression, asked of the resource, leads to the node that holds the extension."""
    try:
        selected = compile_expression(expression).evaluate(run.resource, run.environment)
    except FhirPathError:
        return True
    return any(
        node.value is holder.value if holder.value is not None else node.extra is holder.extra
        for node in selected
    )


def _selects(expression: str, holder: Node, run: Run) -> bool:
    try:
        return compile_expression(expression).is_true(holder, run.environment)
    except FhirPathError:
        return True
