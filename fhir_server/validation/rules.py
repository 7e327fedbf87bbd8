"""The rules of a node, compiled from a snapshot: what the fast path and the walker both read.

https://hl7.org/fhir/R4/elementdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

Strength = Literal["required", "extensible", "preferred", "example"]


@dataclass(frozen=True, slots=True)
class Kind:
    """One JSON property of an element: a choice element has one for each of its types.

    name: the JSON property ("valueQuantity"). type: the key of the rules of its values ("Quantity",
    "Patient.contact"), or a primitive's name, or "Resource". targets: the resource types that a Reference may
    point to, None when any. sibling: whether `_name` may stand beside it, for an id and extensions.
    """

    name: str
    type: str
    primitive: bool
    targets: frozenset[str] | None
    sibling: bool


@dataclass(frozen=True, slots=True)
class Binding:
    """value_set and maximum are canonical urls without version; maximum limits codes whatever the strength."""

    strength: Strength
    value_set: str
    maximum: str | None


@dataclass(frozen=True, slots=True)
class Invariant:
    """A constraint: the expression must be true of every element at the path that states it."""

    key: str
    severity: Literal["error", "warning"]
    expression: str
    path: str
    best_practice: bool


@dataclass(frozen=True, slots=True)
class Element:
    """An element of a node: path is its ElementDefinition's ("Observation.value[x]"), many says JSON array."""

    name: str
    path: str
    many: bool
    minimum: int
    maximum: int | None
    kinds: tuple[Kind, ...]
    binding: Binding | None
    invariants: tuple[Invariant, ...]

    @property
    def label(self) -> str:
        """How a sentence names it: "value[x]" for a choice."""
        return self.path.rpartition(".")[2]


@dataclass(frozen=True)
class Rules:
    """The rules of a resource, a datatype, a backbone element, or of one of them under a profile.

    key: "Patient", "HumanName", "Patient.contact", or a profile's url and the rest of the path. type: the R4 type
    ("Quantity" for the profile SimpleQuantity). path: where its invariants and messages stand.
    """

    key: str
    type: str
    path: str
    resource: bool
    elements: tuple[Element, ...]
    invariants: tuple[Invariant, ...]

    @cached_property
    def properties(self) -> Mapping[str, tuple[Element, Kind]]:
        """JSON property -> the element and the kind that it is."""
        return {kind.name: (element, kind) for element in self.elements for kind in element.kinds}

    @cached_property
    def domain(self) -> bool:
        """Whether it is a DomainResource: the kind that can contain others."""
        return self.resource and "contained" in self.properties
