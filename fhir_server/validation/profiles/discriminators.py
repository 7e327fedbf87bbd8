"""How a slice is told from others: what its definition says at the paths of the discriminators.

https://hl7.org/fhir/R4/profiling.html#discriminator
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

from fhir_server.fhirpath import FhirPathError, compile_expression
from fhir_server.fhirpath.syntax import Call, Literal, Member, Special, Tree
from fhir_server.spec.definitions import STRUCTURE
from fhir_server.spec.parts import Part, tree
from fhir_server.validation.profiles.demands import Demand, Test
from fhir_server.validation.rules import Rules
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]
MakeDemand = Callable[[Part, str, Rules | None], Demand]


class Structures(Protocol):
    """What walking along a path looks up."""

    def structure(self, canonical: str) -> Json | None:
        """The facts of a StructureDefinition, with a snapshot."""

    def expand(self, part: Part, path: str) -> None:
        """Give a part of a snapshot's tree the children of its type, when it has none."""


def tests_of(
    slicing: Json,
    part: Part,
    structures: Structures,
    demand: MakeDemand,
    place: str,
) -> tuple[Test, ...]:
    """The tests of a slice, one for each discriminator that its definition has an answer to."""
    walk = _Walk(structures)
    found = []
    for item in slicing.get("discriminator", ()):
        try:
            path = compile_expression(item["path"]).tree
        except FhirPathError:
            continue
        ends = list(walk.ends(path, part))
        test = _test(item["type"], item["path"], ends, demand, place)
        if test is not None:
            found.append(test)
    return tuple(found)


def _test(kind: Any, path: str, ends: list[Part], demand: MakeDemand, place: str) -> Test | None:
    match kind:
        case "exists":
            for end in ends:
                if end.element.get("max") == "0":
                    return Test("exists", path, exists=False)
                if end.element.get("min", 0) > 0:
                    return Test("exists", path)
            return None
        case "type":
            names = tuple(
                item["code"].removeprefix(STRUCTURE)
                for end in ends
                for item in end.element.get("type", ())
            ) or tuple(name for end in ends if (name := _root_type(end)))
            return Test("type", path, names=names) if names else None
        case "profile":
            urls = tuple(
                url
                for end in ends
                for item in end.element.get("type", ())
                for url in item.get("profile", ())
            ) or tuple(end.element["url"] for end in ends if "url" in end.element)
            return Test("profile", path, names=urls) if urls else None
        case "value" | "pattern":
            for end in ends:
                if end.element.get("max") == "0":
                    return Test("exists", path, exists=False)
                wanted = demand(end, f"{place}.{path}", _rules_at(end))
                if wanted.fixed is not None or wanted.pattern is not None:
                    wanted = Demand(wanted.place, fixed=wanted.fixed, pattern=wanted.pattern)
                if asks_value(wanted):
                    return Test(kind, path, wanted=wanted)
            for end in ends:
                if end.element.get("min", 0) > 0:
                    return Test("exists", path)
    return None


def asks_value(demand: Demand) -> bool:
    """Whether a demand, or one inside it, tells a value from others."""
    if demand.fixed is not None or demand.pattern is not None:
        return True
    if demand.binding is not None and demand.binding.strength == "required":
        return True
    return any(
        asks_value(child.each)
        or (
            child.slicing is not None
            and any(asks_value(item.each) for item in child.slicing.slices)
        )
        for child in demand.children
    )


def _root_type(part: Part) -> str | None:
    path: str = part.element.get("path", "")
    return path if path and "." not in path else None


def _rules_at(part: Part) -> Rules | None:
    types = part.element.get("type", ())
    name = types[0]["code"] if len(types) == 1 else _root_type(part)
    if name in ("BackboneElement", "Element"):
        name = part.element.get("base", part.element)["path"]
    try:
        return rules_of(name) if name else None
    except KeyError:
        return None


class _Walk:
    """Follows a discriminator's path through the definition of a slice."""

    def __init__(self, structures: Structures) -> None:
        self._structures = structures

    def ends(self, path: Tree | None, part: Part) -> Iterator[Part]:
        """The elements that the path leads to; more than one after resolve()."""
        match path:
            case None | Special("$this"):
                yield part
            case Member(source, name):
                for step in self.ends(source, part):
                    yield from self._child(step, name)
            case Call(source, "extension", (Literal(str() as url),)):
                for step in self.ends(source, part):
                    yield from self._extension(step, url)
            case Call(source, "resolve", ()):
                for step in self.ends(source, part):
                    yield from self._targets(step)
            case Call(source, "ofType", (Member(None, name),)):
                for step in self.ends(source, part):
                    yield self._of_type(step, name)

    def _child(self, part: Part, name: str) -> Iterator[Part]:
        if not part.children:
            part = part.copy()
            self._structures.expand(part, name)
        if name == "url" and "fixedUri" not in part.children.get("url", Part({})).element:
            # An extension whose definition is not at hand is still known by its url.
            for item in part.element.get("type", ()):
                for url in item.get("profile", ()):
                    yield Part({"path": "Extension.url", "fixedUri": url.partition("|")[0]})
        for label in (name, name + "[x]"):
            found = part.children.get(label)
            if found is not None:
                yield found
                # What a slice of it requires is a value to be told by, too.
                yield from (
                    item for item in found.slices.values() if item.element.get("min", 0) > 0
                )

    def _extension(self, part: Part, url: str) -> Iterator[Part]:
        for holder in self._child(part, "extension"):
            for item in holder.slices.values():
                profiles = [
                    profile
                    for kind in item.element.get("type", ())
                    for profile in kind.get("profile", ())
                ]
                inside = item.children.get("url", Part({})).element.get("fixedUri")
                if url in profiles or inside == url:
                    yield item

    def _targets(self, part: Part) -> Iterator[Part]:
        for item in part.element.get("type", ()):
            for url in item.get("targetProfile", ()):
                structure = self._structures.structure(url)
                if structure is not None and structure.get("snapshot"):
                    root = tree(structure["snapshot"])
                    root.element = root.element | {
                        "url": url,
                        "type": [{"code": structure["type"], "profile": [url]}],
                    }
                    yield root

    @staticmethod
    def _of_type(part: Part, name: str) -> Part:
        made = part.copy()
        kept = [item for item in part.element.get("type", ()) if item["code"] == name]
        made.element = made.element | {"type": kept}
        return made
