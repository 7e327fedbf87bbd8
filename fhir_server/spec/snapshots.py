"""The snapshot of a profile: its differential over the snapshot of its base.

https://hl7.org/fhir/R4/profiling.html#snapshot
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from fhir_server.spec.definitions import STRUCTURE
from fhir_server.spec.narrowing import contradictions, narrowed
from fhir_server.spec.parts import MisplacedElement, Part, elements_of, tree

Json = dict[str, Any]
# A canonical url (with or without |version) -> the facts of the StructureDefinition, with a snapshot; or None.
Resolve = Callable[[str], Json | None]

_BY_URL: Final = {
    "discriminator": [{"type": "value", "path": "url"}],
    "ordered": False,
    "rules": "open",
}
_BY_TYPE: Final = {
    "discriminator": [{"type": "type", "path": "$this"}],
    "ordered": False,
    "rules": "open",
}
_DEEPEST: Final = 40


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a profile: path is the element's in its differential.

    grave: it cannot be meant as it stands; else a part of it has no effect.
    """

    path: str
    says: str
    grave: bool = True


@dataclass(slots=True)
class Snapshots:
    """Makes snapshots of profiles whose bases, and the types and profiles that they walk into, resolve finds."""

    resolve: Resolve
    faults: list[Fault] = field(default_factory=list)
    _url: str = ""

    def of(self, structure: Json) -> list[Json]:
        """The elements of the snapshot; faults tells what is wrong with the profile (the snapshot is a guess then)."""
        self._url = structure["url"]
        name: str = structure["type"].removeprefix(STRUCTURE)
        base = self.resolve(structure.get("baseDefinition", ""))
        if base is None or not base.get("snapshot"):
            told = structure.get("baseDefinition", "nothing")
            self._fault(name, f"is based on {told}, which is not known here; load it first")
            return []
        if base["type"] != structure["type"] and structure.get("derivation") == "constraint":
            self._fault(name, f"is of the type {name}, but its base is of {base['type']}")
            return []
        root = tree(base["snapshot"])
        try:
            given = tree(structure.get("differential", ()), partial=True)
        except MisplacedElement:
            given = Part({})
        self._merge(root, given, name, 0)
        return elements_of(root, name)

    def _fault(self, path: str, says: str) -> None:
        self.faults.append(Fault(path, says))

    def _merge(
        self, part: Part, given: Part, path: str, depth: int, *, sliced: bool = False
    ) -> None:
        """Narrow a part of the base by what the differential says of it and of what is below it."""
        for says in contradictions(part.element, given.element, sliced=sliced):
            self._fault(path, says)
        if given.element:
            self._take_profile(part, given)
            part.element = narrowed(part.element, given.element, self._url)
        if given.children and depth < _DEEPEST:
            self.expand(part, path)
            self._merge_children(part, given, path, depth)
        if given.slices:
            self._merge_slices(part, given, path, depth)

    def _take_profile(self, part: Part, given: Part) -> None:
        """What a profile says of its root holds where an element is typed by it."""
        types: list[Json] = given.element.get("type", [])
        profiles: list[str] = types[0].get("profile", []) if len(types) == 1 else []
        found = self.resolve(profiles[0]) if len(profiles) == 1 else None
        if found is None or not found.get("snapshot"):
            return
        if "profileElement" in types[0]:
            self._take_element(part, found, types[0]["profileElement"])
            return
        if part.children or found.get("kind") == "resource":
            return  # what a resource's profile says is asked of that resource, not of this one
        root = found["snapshot"][0]
        if "constraint" in root:
            part.element = narrowed(part.element, {"constraint": root["constraint"]}, found["url"])
        if root.get("isModifier") and types[0]["code"] == "Extension":
            part.element = part.element | {"isModifier": True}

    @staticmethod
    def _take_element(part: Part, structure: Json, identifier: str) -> None:
        """An element typed by one element of a profile is what that says, and what is below it."""
        source = tree(structure["snapshot"])
        for step in identifier.split(".")[1:]:
            name, _, chosen = step.partition(":")
            found = source.children.get(name)
            found = found.slices.get(chosen) if found is not None and chosen else found
            if found is None:
                return
            source = found
        part.children = {name: child.copy() for name, child in source.children.items()}

    def expand(self, part: Part, path: str) -> None:
        """Give a part the children of its type, of its type's profile, or of the element that it refers to."""
        if part.children:
            return
        source = self._source(part, path)
        if source is not None:
            part.children = {name: child.copy() for name, child in source.children.items()}

    def _source(self, part: Part, path: str) -> Part | None:
        reference = part.element.get("contentReference")
        if reference is not None:
            url, _, target = reference.rpartition("#")
            found = self.resolve(url or STRUCTURE + target.partition(".")[0])
            if found is None:
                return None
            source = tree(found["snapshot"])
            for name in target.split(".")[1:]:
                source = source.children[name]
            # From here on it is an element of its own.
            part.element = {
                key: value for key, value in part.element.items() if key != "contentReference"
            } | {"type": source.element["type"]}
            return source
        types: list[Json] = part.element.get("type", [])
        codes = {item["code"] for item in types}
        if not types:
            self._fault(path, "has elements below it, but no type to find them in")
            return None
        code = types[0]["code"] if len(codes) == 1 else "Element"
        profiles: list[str] = types[0].get("profile", []) if len(types) == 1 else []
        urls = [*profiles[:1], code if "://" in code else STRUCTURE + code]
        for url in urls:
            found = self.resolve(url)
            if found is not None and found.get("snapshot"):
                return tree(found["snapshot"])
        self._fault(path, f"is of the type {code}, which is not known here; load it first")
        return None

    def _merge_children(self, part: Part, given: Part, path: str, depth: int) -> None:
        choices: dict[str, list[str]] = {}
        for name in given.children:
            if name not in part.children:
                for stem, _ in self._choices(part, name):
                    choices.setdefault(stem, []).append(name)
        for name, below in given.children.items():
            place = f"{path}.{name}"
            child = part.children.get(name)
            if child is not None:
                self._merge(child, below, place, depth + 1)
                continue
            found = next(self._choices(part, name), None)
            if found is None:
                self._fault(place, "is no element of the base; correct the path")
                continue
            stem, chosen = found
            alone = len(choices[stem]) == 1 and stem not in given.children
            self._merge_shorthand(part, stem, chosen, below, place, depth, alone=alone)

    @staticmethod
    def _choices(part: Part, name: str) -> Iterator[tuple[str, Json]]:
        """The choice element, and the type of it, that a name such as valueQuantity stands for."""
        for stem, child in part.children.items():
            plain, bracket, _ = stem.partition("[x]")
            if bracket and name.startswith(plain):
                for item in child.element.get("type", ()):
                    if name == plain + item["code"][0].upper() + item["code"][1:]:
                        yield stem, item

    def _merge_shorthand(
        self,
        part: Part,
        stem: str,
        chosen: Json,
        below: Part,
        path: str,
        depth: int,
        *,
        alone: bool,
    ) -> None:
        """valueQuantity is the slice valueQuantity of value[x], of that one type; alone, it is all that value[x] is."""
        choice = part.children[stem]
        name = path.rpartition(".")[2]
        if alone and part.element.get("sliceName"):
            choice.element = choice.element | {"type": [chosen]}
            self._merge(choice, below, path, depth + 1)
            return
        slicing = choice.element.get("slicing", _BY_TYPE)
        if alone:
            slicing = slicing | {"rules": "closed"}
            choice.element = choice.element | {"type": [chosen]}
        choice.element = choice.element | {"slicing": slicing}
        if name not in choice.slices:
            choice.slices[name] = self._new_slice(choice, name)
            choice.slices[name].element |= {"type": [chosen]}
        for item in (below, *below.slices.values()):
            self._merge(
                choice.slices[name], Part(item.element, item.children), path, depth + 1, sliced=True
            )

    def _merge_slices(self, part: Part, given: Part, path: str, depth: int) -> None:
        if "slicing" not in part.element and not part.element.get("sliceName"):
            name = path.rpartition(".")[2]
            if name in ("extension", "modifierExtension"):
                part.element = part.element | {"slicing": _BY_URL}
            elif name.endswith("[x]"):
                part.element = part.element | {"slicing": _BY_TYPE}
            elif len(given.slices) == 1:
                # A name is no slicing: what is said of the only slice is said of the element.
                (below,) = given.slices.values()
                named = {key: value for key, value in below.element.items() if key != "sliceName"}
                self._merge(part, Part(named, below.children), path, depth)
                return
            else:
                self._fault(
                    path, "has slices, but does not say by what they are told apart (slicing)"
                )
        for name, below in given.slices.items():
            if name not in part.slices:
                part.slices[name] = self._new_slice(part, name)
                self._choose_type(part.slices[name], path, name)
            self._merge(part.slices[name], below, f"{path}:{name}", depth + 1, sliced=True)

    @staticmethod
    def _new_slice(part: Part, name: str) -> Part:
        """A slice begins as what is said of all items, none of them required."""
        made = Part(
            {key: value for key, value in part.element.items() if key != "slicing"},
            {key: child.copy() for key, child in part.children.items()},
        )
        made.element |= {"sliceName": name, "min": 0}
        return made

    @staticmethod
    def _choose_type(part: Part, path: str, name: str) -> None:
        """The slice valueQuantity of value[x] is of the type Quantity, unless it says otherwise."""
        stem, bracket, _ = path.rpartition(".")[2].partition("[x]")
        if bracket:
            chosen = [
                item
                for item in part.element.get("type", ())
                if name == stem + item["code"][0].upper() + item["code"][1:]
            ]
            if chosen:
                part.element = part.element | {"type": chosen}
