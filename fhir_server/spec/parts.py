"""The elements of a StructureDefinition as a tree: children by name, slices by slice name.

https://hl7.org/fhir/R4/elementdefinition.html#id
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]


@dataclass(slots=True)
class Part:
    """An ElementDefinition (as facts, never changed in place) with what stands below it.

    children: element name ("value[x]") -> part; slices: slice name -> part; a reslice "a/b" is a slice of "a".
    """

    element: Json
    children: dict[str, Part] = field(default_factory=dict)
    slices: dict[str, Part] = field(default_factory=dict)

    def copy(self) -> Part:
        """The same tree, to be changed apart from this one."""
        return Part(
            self.element,
            {name: part.copy() for name, part in self.children.items()},
            {name: part.copy() for name, part in self.slices.items()},
        )

    def all_slices(self) -> Iterator[Part]:
        """The slices and their reslices, each before its own reslices."""
        for part in self.slices.values():
            yield part
            yield from part.all_slices()


class MisplacedElement(ValueError):
    """An element whose parent or sliced element is not there; the text names its path."""


def tree(elements: Iterable[Json], *, partial: bool = False) -> Part:
    """The tree of a snapshot, or of a differential when partial: elements that it leaves out are empty there.

    Raises MisplacedElement for what has no place, and for no elements at all.
    """
    root: Part | None = None
    slices: list[str] = []
    for element in elements:
        path: str = element["path"]
        names = path.split(".")
        # The slice of each step is that which the last element on the way to here stood in.
        del slices[len(names) :]
        slices.extend("" for _ in range(len(names) - len(slices)))
        slices[-1] = element.get("sliceName", "")
        _read_id(element, names, slices)
        if root is None:
            root = Part({} if partial and len(names) > 1 else element)
            if len(names) == 1:
                continue
        part = root
        for name, chosen in zip(names[1:], slices[1:], strict=True):
            part = _step(part, name, chosen)
        part.element = element
    if root is None:
        raise MisplacedElement("There are no elements")
    return root


def _read_id(element: Json, names: list[str], slices: list[str]) -> None:
    """Take the slices from an id of the form that R4 asks for; where it has another form, order tells them."""
    steps = str(element.get("id", "")).split(".")
    if len(steps) == len(names) and [step.partition(":")[0] for step in steps[1:]] == names[1:]:
        slices[1:] = [step.partition(":")[2] for step in steps[1:]]
        if "sliceName" in element and not slices[-1]:
            slices[-1] = element["sliceName"]


def _step(part: Part, name: str, chosen: str) -> Part:
    if name not in part.children:
        part.children[name] = Part({})
    part = part.children[name]
    way = ""
    for name_of_slice in chosen.split("/") if chosen else ():
        way = f"{way}/{name_of_slice}" if way else name_of_slice
        if way not in part.slices:
            part.slices[way] = Part({})
        part = part.slices[way]
    return part


def elements_of(root: Part, name: str) -> list[Json]:
    """The tree as the list of a snapshot, with ids and paths that begin with name."""
    return list(_listed(root, name, name))


def _listed(part: Part, identifier: str, path: str) -> Iterator[Json]:
    yield part.element | {"id": identifier, "path": path}
    for name, child in part.children.items():
        yield from _listed(child, f"{identifier}.{name}", f"{path}.{name}")
    base = identifier.rpartition(":")[0] if part.element.get("sliceName") else identifier
    for name, chosen in part.slices.items():
        yield from _listed(chosen, f"{base}:{name}", path)
