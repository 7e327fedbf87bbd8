"""What a profile asks beyond the base definition: what its fast path and its walker both read.

https://hl7.org/fhir/R4/elementdefinition.html
Only what the base does not ask is kept, so that a resource is checked on its base once, whatever profiles it claims.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from fhir_server.validation.rules import Binding, Element, Invariant

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Demand:
    """What is asked of one value at an element.

    place: the id of the ElementDefinition ("Patient.identifier:nhs.value"). types: the type codes allowed, None when
    all those of the base are. fixed, pattern, low, high: values, None when nothing is asked. profiles: type code ->
    canonical urls of which a value of that type conforms to one; targets: the same of what a Reference leads to.
    languages: of the sections of a narrative (see narratives).
    """

    place: str
    types: frozenset[str] | None = None
    fixed: Any = None
    pattern: Any = None
    low: Any = None
    high: Any = None
    longest: int | None = None
    binding: Binding | None = None
    invariants: tuple[Invariant, ...] = ()
    profiles: Mapping[str, tuple[str, ...]] | None = None
    targets: tuple[str, ...] = ()
    aggregation: frozenset[str] = frozenset()
    languages: tuple[str, ...] = ()
    children: tuple[Child, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether nothing is asked."""
        return self == Demand(self.place)


@dataclass(frozen=True, slots=True)
class Child:
    """What is asked of the values of one element below a node; element: what the base says of it."""

    element: Element
    minimum: int
    maximum: int | None
    each: Demand
    slicing: Slicing | None


@dataclass(frozen=True, slots=True)
class Slicing:
    """How the values of an element are told apart; default: what is asked of those that are in no slice."""

    rules: Literal["open", "closed", "openAtEnd"]
    ordered: bool
    slices: tuple[Slice, ...]
    default: Demand | None = None


@dataclass(frozen=True, slots=True)
class Slice:
    """tests: all hold for the values that belong to it; None when the profile does not say how to tell them."""

    name: str
    minimum: int
    maximum: int | None
    tests: tuple[Test, ...] | None
    each: Demand
    slicing: Slicing | None


@dataclass(frozen=True, slots=True)
class Test:
    """A discriminator of a slice: what it asks of what its path leads to.

    type and path are the discriminator's. wanted: for value and pattern. exists: for exists. names: type codes for
    type, canonical urls for profile.
    """

    __test__ = False  # no test of pytest's

    type: Literal["value", "pattern", "exists", "type", "profile"]
    path: str
    wanted: Demand | None = None
    exists: bool = True
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class Profile:
    """A compiled StructureDefinition: type is that of the resources, datatypes or extensions that it is about.

    base_type: the R4 type whose base rules a value has to keep as well.
    """

    url: str
    version: str | None
    name: str
    type: str
    abstract: bool
    root: Demand

    @property
    def label(self) -> str:
        """How a sentence names it."""
        return self.url if self.version is None else f"{self.url}|{self.version}"
