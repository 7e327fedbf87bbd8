"""Where conformance resources are found by their canonical url: R4's own, and those of the sources beside it.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from typing import Any, Final, Protocol

from fhir_server.spec import definitions
from fhir_server.spec.facts import structure_facts
from fhir_server.spec.parts import Part
from fhir_server.spec.snapshots import Fault, Snapshots
from fhir_server.terminology import Terminology
from fhir_server.terminology.faults import UNREADABLE
from fhir_server.validation.profiles.compiler import compile_profile
from fhir_server.validation.profiles.demands import Profile

Json = dict[str, Any]


# "#id of url": what the StructureDefinition with that url contains.
_INSIDE: Final = " of "
# Resources name any number of systems.
_MOST_SYSTEMS: Final = 10_000


class Source(Protocol):
    """Conformance resources from somewhere: packages, the server's own store."""

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource with that canonical url, of that version if one is named; None when there is none."""


class CoreDefinitions:
    """R4's own definitions and terminology."""

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """From the archives that the server carries; they are of R4, whichever 4.0 is asked for."""
        if version is not None and not version.startswith("4.0"):
            return None
        if resource_type == "StructureDefinition":
            head = definitions.structures().get(url)
            return definitions.structure_by_id(head["id"]) if head else None
        return definitions.terminology(resource_type, url)


class Library:
    """Structures with snapshots, compiled profiles and value sets; each is made when it is first asked for.

    outer: what is looked into first: definitions found there are never replaced. Faults of a profile do not keep it
    from being used as far as it can be understood; problems() tells them.
    """

    def __init__(self, sources: Sequence[Source], outer: Library | None = None) -> None:
        self._sources = tuple(sources)
        self._outer = outer
        self._structures: dict[str, Json | None] = {}
        self._profiles: dict[str, Profile | None] = {}
        self._faults: dict[str, list[Fault]] = {}
        self._making: set[str] = set()
        self._supplemented: dict[str, str | None] = {}
        self._lock = threading.RLock()
        # No other server is asked: a write does not wait for one.
        self.terminology = Terminology((self,))

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource as a source of the terminology."""
        return self.resource(resource_type, url if version is None else f"{url}|{version}")

    def resource(self, resource_type: str, canonical: str) -> Json | None:
        """A ValueSet, CodeSystem or other definition as it is."""
        if self._outer is not None:
            found = self._outer.resource(resource_type, canonical)
            if found is not None:
                return found
        fragment, inside, holder = canonical.partition(_INSIDE)
        if inside and fragment.startswith("#"):
            return self._contained(holder, fragment[1:])
        url, _, version = canonical.partition("|")
        for source in self._sources:
            found = source.find(resource_type, url, version or None)
            if found is not None:
                return found
        return None

    def _contained(self, url: str, fragment: str) -> Json | None:
        """The resource that a StructureDefinition contains under an id."""
        holder = self.resource("StructureDefinition", url) or {}
        for item in holder.get("contained", ()):
            if isinstance(item, dict) and item.get("id") == fragment:
                return item
        return None

    def supplemented(self, system: str) -> str | None:
        """What a code system is a supplement of; None when it is none."""
        if system not in self._supplemented:
            if len(self._supplemented) >= _MOST_SYSTEMS:
                self._supplemented.clear()
            found = (self.resource("CodeSystem", system) or {}).get("supplements")
            self._supplemented[system] = found if isinstance(found, str) else None
        return self._supplemented[system]

    def structure(self, canonical: str) -> Json | None:
        """The facts of a StructureDefinition, with a snapshot; None when it is not known."""
        if self._outer is not None:
            found = self._outer.structure(canonical)
            if found is not None:
                return found
        try:
            return self._structures[canonical]
        except KeyError:
            with self._lock:
                return self._make_structure(canonical)

    def _make_structure(self, canonical: str) -> Json | None:
        source = self.resource("StructureDefinition", canonical)
        if source is None:
            self._structures[canonical] = None
            return None
        if isinstance(source.get("snapshot"), list):  # R4's own are facts already
            self._structures[canonical] = source
            return source
        try:
            facts = self._facts(source, canonical)
        except UNREADABLE:
            self._faults[canonical] = [Fault("StructureDefinition", "is not readable as one")]
            facts = None
        if canonical not in self._making:
            self._structures[canonical] = facts
        return facts

    def _facts(self, source: Json, canonical: str) -> Json | None:
        facts = structure_facts(source)
        _name_contained(facts)
        if not facts.get("snapshot"):
            if canonical in self._making:
                return None  # based on itself
            self._making.add(canonical)
            snapshots = Snapshots(self.structure)
            try:
                facts["snapshot"] = snapshots.of(facts)
            finally:
                self._making.discard(canonical)
            if snapshots.faults:
                self._faults[canonical] = snapshots.faults
        return facts

    def profile(self, canonical: str) -> Profile | None:
        """The compiled profile with that canonical url; None when it is not known."""
        if self._outer is not None:
            found = self._outer.profile(canonical)
            if found is not None:
                return found
        try:
            return self._profiles[canonical]
        except KeyError:
            pass
        structure = self.structure(canonical)
        made = None
        if structure is not None and structure.get("snapshot"):
            faults: list[Fault] = []
            try:
                made = compile_profile(structure, self, faults)
            except UNREADABLE:
                faults.append(
                    Fault(structure["type"], "has a snapshot that is not readable as one")
                )
            if faults:
                self._faults.setdefault(canonical, []).extend(faults)
        self._profiles[canonical] = made
        return made

    def problems(self, canonical: str) -> Sequence[Fault]:
        """What is wrong with a profile that was asked for."""
        self.profile(canonical)
        return self._faults.get(canonical, ())

    def expand(self, part: Part, path: str) -> None:
        """Give a part of a snapshot's tree the children of its type, when it has none."""
        Snapshots(self.structure).expand(part, path)

    def ancestry(self, canonical: str) -> Iterator[Json]:
        """A structure, its base, the base of that, and so on."""
        seen: set[str] = set()
        current: str | None = canonical
        while current and current not in seen:
            seen.add(current)
            structure = self.structure(current)
            if structure is None:
                return
            yield structure
            current = structure.get("baseDefinition")


def _name_contained(facts: Json) -> None:
    """Give the value sets that a profile contains names that hold, and can be read, outside it."""
    for view in ("snapshot", "differential"):
        for element in facts.get(view, ()):
            binding = element.get("binding", {})
            for name in ("valueSet", "maxValueSet"):
                if str(binding.get(name, "")).startswith("#"):
                    binding[name] += _INSIDE + facts["url"]
