"""What a value set is made of: its includes and excludes, listed or asked for one code.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from fhir_server.terminology.code_systems import Concept, System
from fhir_server.terminology.faults import (
    NotEnumerable,
    TerminologyFault,
    TooCostly,
    Unknown,
    Unusable,
)
from fhir_server.terminology.filters import chosen_by

Json = dict[str, Any]
MOST_CODES = 50_000
MOST_WORK = 1_000_000
DEEPEST = 10


@dataclass(frozen=True, slots=True)
class Member:
    """A code in a value set; its concept has the display and designations that the value set gives it."""

    system: str
    version: str | None
    concept: Concept

    @property
    def key(self) -> tuple[str, str]:
        """(system, code)."""
        return self.system, self.concept.code


Members = dict[tuple[str, str], Member]


@dataclass(frozen=True, slots=True)
class Versions:
    """Versions of code systems that a caller asks for, by url: where none is named, to be checked, and in any case."""

    default: Mapping[str, str] = field(default_factory=dict)
    check: Mapping[str, str] = field(default_factory=dict)
    force: Mapping[str, str] = field(default_factory=dict)

    def of(self, url: str, named: str | None) -> str | None:
        """The version of a system to use where a value set names that one; raises Unusable for a failed check."""
        version = self.force.get(url) or named or self.default.get(url)
        wanted = self.check.get(url)
        if wanted is not None and version is not None and version != wanted:
            raise Unusable(
                f"The value set uses version {version} of {url}, but {wanted} is asked for"
            )
        return wanted or version


class Remote(Protocol):
    """A terminology server that knows code systems which are not here."""

    def listed(self, part: Json) -> list[Member]:
        """The codes of an include; raises a TerminologyFault."""

    def member(self, part: Json, system: str | None, code: str) -> Member | None:
        """The code (system None: of whatever system) as a member of an include, or None; raises a TerminologyFault."""


class Resolver(Protocol):
    """Where a composition finds what it names."""

    def system(self, url: str, version: str | None) -> System:
        """The code system; raises Unknown."""

    def value_set(self, canonical: str) -> Json:
        """The ValueSet; raises Unknown."""

    def remote(self, system: str) -> Remote | None:
        """The server to ask about a code system that is not here."""


class Composition:
    """Lists a value set, or tells whether a code is in it."""

    def __init__(self, resolver: Resolver, versions: Versions = Versions()) -> None:
        self.resolver = resolver
        self.versions = versions
        self.used: dict[str, str | None] = {}
        self._imported: dict[str, Members] = {}
        self._answers: dict[tuple[str, str | None, str], Member | TerminologyFault | None] = {}
        self._importing: set[str] = set()
        self._work = 0

    def _spend(self, work: int) -> None:
        self._work += work
        if self._work > MOST_WORK:
            raise TooCostly("The value set takes more work than is done for one question")

    def members(self, value_set: Json) -> Members:
        """Every code, in the order of the includes. Raises a TerminologyFault.

        An expansion that the value set carries stands for what it is composed of where that is not known here.
        """
        compose = _compose(value_set)
        if compose is None:
            return _expanded(value_set)
        try:
            return self._composed(compose)
        except (Unknown, NotEnumerable):
            if not _is_expanded(value_set):
                raise
            return _expanded(value_set)

    def _composed(self, compose: Json) -> Members:
        found: Members = {}
        for part in compose.get("include", ()):
            for key, member in self._listed(part).items():
                found.setdefault(key, member)
            if len(found) > MOST_CODES:
                raise TooCostly(
                    f"The value set has more than {MOST_CODES} codes; use one that has fewer, or a filter"
                )
        for part in compose.get("exclude", ()):
            for key in self._excluded(part, found):
                found.pop(key, None)
        if compose.get("inactive") is False:
            found = {key: item for key, item in found.items() if not item.concept.inactive}
        return found

    def _excluded(self, part: Json, found: Members) -> Iterable[tuple[str, str]]:
        try:
            return self._listed(part)
        except NotEnumerable:
            self._spend(len(found))
            return [key for key in found if self._part_member(part, *key) is not None]

    def member(self, value_set: Json, system: str | None, code: str) -> Member | None:
        """The code as a member (system None: of whatever system), or None. Raises a TerminologyFault if in doubt."""
        compose = _compose(value_set)
        if compose is None:
            return _among(value_set, system, code)
        try:
            return self._in_composed(compose, system, code)
        except (Unknown, NotEnumerable):
            if not _is_expanded(value_set):
                raise
            return _among(value_set, system, code)

    def _in_composed(self, compose: Json, system: str | None, code: str) -> Member | None:
        doubt: TerminologyFault | None = None
        for part in compose.get("include", ()):
            try:
                found = self._part_member(part, system, code)
            except TerminologyFault as fault:
                doubt = doubt or fault
                continue
            if found is not None and not self._is_excluded(compose, found):
                return found
        if doubt is not None:
            raise doubt
        return None

    def _is_excluded(self, compose: Json, member: Member) -> bool:
        if compose.get("inactive") is False and member.concept.inactive:
            return True
        return any(
            self._part_member(part, *member.key) is not None for part in compose.get("exclude", ())
        )

    @contextmanager
    def _import(self, canonical: str) -> Iterator[Json]:
        """An imported value set, while it is worked on. Raises Unusable when it is so already: it imports itself."""
        if canonical in self._importing or len(self._importing) > DEEPEST:
            raise Unusable(
                f"The value set {canonical[:300]} imports itself, or imports go too deep"
            )
        self._importing.add(canonical)
        try:
            yield self.resolver.value_set(canonical)
        finally:
            self._importing.discard(canonical)

    def _members_of(self, canonical: str) -> Members:
        if canonical not in self._imported:
            with self._import(canonical) as value_set:
                self._imported[canonical] = self.members(value_set)
        found = self._imported[canonical]
        self._spend(len(found))
        return found

    def _member_of(self, canonical: str, system: str | None, code: str) -> Member | None:
        """The code as a member of an imported value set; what was found once, a fault too, is not worked out again."""
        key = (canonical, system, code)
        if key not in self._answers:
            try:
                with self._import(canonical) as value_set:
                    self._answers[key] = self.member(value_set, system, code)
            except TooCostly:
                raise
            except TerminologyFault as fault:
                self._answers[key] = fault
        found = self._answers[key]
        if isinstance(found, TerminologyFault):
            raise found
        return found

    def _system(self, part: Json) -> System:
        url = part["system"]
        system = self.resolver.system(url, self.versions.of(url, part.get("version")))
        self.used[url] = system.version
        return system

    def _there(self, part: Json) -> Remote:
        server = self.resolver.remote(part["elsewhere"])
        if server is None:
            raise Unknown(f"The value set {part['elsewhere'][:300]} is not known here")
        return server

    def _listed(self, part: Json) -> Members:
        found: Members | None = None
        if "elsewhere" in part:
            found = {member.key: member for member in self._there(part).listed(part)}
        if "system" in part:
            found = {member.key: member for member in self._of_system(part)}
        for canonical in _imports(part):
            other = self._members_of(canonical)
            mine = other if found is None else found
            found = {key: member for key, member in mine.items() if key in other}
        return found or {}

    def _of_system(self, part: Json) -> Iterator[Member]:
        url = part["system"]
        if "concept" in part:
            self._spend(len(part["concept"]))
            for item in _concepts(part):
                yield self._given(part, item)
            return
        remote = self.resolver.remote(url)
        if remote is not None:
            yield from remote.listed(_alone(part))
            return
        system = self._system(part)
        tests = [chosen_by(system, rule) for rule in part.get("filter", ())]
        for concept in system.concepts():
            self._spend(1 + len(tests))
            if all(test(concept) for test in tests):
                yield Member(url, system.version, concept)

    def _given(self, part: Json, item: Json) -> Member:
        """A code that the value set lists, with the display and designations given there."""
        concept, version = Concept(item["code"]), part.get("version")
        if self.resolver.remote(part["system"]) is None:
            try:
                system = self._system(part)
                concept, version = system.find(item["code"]) or concept, system.version
            except TerminologyFault:
                pass  # the codes are told; what the system says of them would be an addition
        display, designations = item.get("display"), tuple(item.get("designation", ()))
        if display or designations:
            concept = replace(
                concept,
                display=display or concept.display,
                designations=designations or concept.designations,
            )
        return Member(part["system"], version, concept)

    def _part_member(self, part: Json, system: str | None, code: str) -> Member | None:
        self._spend(1 + len(part.get("concept", ())) + 10 * len(part.get("filter", ())))
        found: Member | None = None
        if "elsewhere" in part:
            return self._there(part).member(part, system, code)
        if "system" in part:
            if system not in (None, part["system"]):
                return None
            found = self._in_system(part, code)
            if found is None:
                return None
        for canonical in _imports(part):
            other = self._member_of(canonical, system, code)
            if other is None:
                return None
            found = found or other
        return found

    def _in_system(self, part: Json, code: str) -> Member | None:
        if "concept" in part:
            item = next((item for item in _concepts(part) if item["code"] == code), None)
            return None if item is None else self._given(part, item)
        remote = self.resolver.remote(part["system"])
        if remote is not None:
            return remote.member(_alone(part), part["system"], code)
        system = self._system(part)
        concept = system.find(code)
        if concept is None:
            return None
        tests = (chosen_by(system, rule) for rule in part.get("filter", ()))
        if not all(test(concept) for test in tests):
            return None
        return Member(part["system"], system.version, concept)


def _compose(value_set: Json) -> Json | None:
    compose: Json | None = value_set.get("compose")
    if compose is None and "expansion" not in value_set:
        raise Unusable("The value set has neither compose nor expansion")
    return compose


def _imports(part: Json) -> list[str]:
    return [canonical for canonical in part.get("valueSet", ()) if canonical is not None]


def _concepts(part: Json) -> Iterator[Json]:
    """The concepts that an include lists, those whose code is absent for a reason left out."""
    for item in part["concept"]:
        if "code" in item:
            yield item
        elif "_code" not in item:
            raise Unusable("The value set lists a concept without its code")


def _alone(part: Json) -> Json:
    return {name: value for name, value in part.items() if name != "valueSet"}


def _is_expanded(value_set: Json) -> bool:
    """Whether the value set carries an expansion with all its codes."""
    expansion = value_set.get("expansion", {})
    listed = len(expansion.get("contains", ()))
    return bool(listed and not expansion.get("offset") and expansion.get("total", 0) <= listed)


def _expanded(value_set: Json) -> Members:
    """The codes of an expansion that the value set carries."""
    found: Members = {}
    pending = list(reversed(value_set["expansion"].get("contains", ())))
    while pending:
        item = pending.pop()
        if "code" in item:
            member = Member(item.get("system", ""), item.get("version"), concept_of(item))
            found.setdefault(member.key, member)
        pending.extend(reversed(item.get("contains", ())))
    return found


def _among(value_set: Json, system: str | None, code: str) -> Member | None:
    found = _expanded(value_set)
    if system is not None:
        return found.get((system, code))
    return next((item for item in found.values() if item.concept.code == code), None)


def concept_of(item: Json) -> Concept:
    """The concept that ValueSet.expansion.contains tells."""
    return Concept(
        code=item["code"],
        display=item.get("display"),
        designations=tuple(item.get("designation", ())),
        abstract=item.get("abstract", False),
        inactive=item.get("inactive", False),
    )
