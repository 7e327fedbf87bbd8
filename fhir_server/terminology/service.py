"""One terminology: sources of definitions, remote servers, and the questions that others ask.

https://hl7.org/fhir/R4/terminology-service.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from fhir_server.terminology.algorithmic import ALGORITHMIC
from fhir_server.terminology.code_systems import Concept, System, read_code_system
from fhir_server.terminology.faults import UNREADABLE, TerminologyFault, Unknown
from fhir_server.terminology.remote import RemoteServer
from fhir_server.terminology.sources import Published, Source, find_in, split_canonical
from fhir_server.terminology.value_sets import Composition, Member, Versions

T = TypeVar("T")
Json = dict[str, Any]
Codes = frozenset[tuple[str, str]]
# Resources name the same few codes again and again, and any others.
_MOST_REMEMBERED = 10_000
_LONGEST_REMEMBERED = 100
_NO_CONTENT = frozenset({"not-present", "supplement"})


class Terminology:
    """Answers from its sources, the first that knows; then from the terminology below it, if any.

    What it has read it keeps: its sources must not change. For sources that do (the server's own store), put a
    short-lived one above: terminology.over(source).
    """

    def __init__(
        self,
        sources: Sequence[Source] = (Published(),),
        servers: Sequence[RemoteServer] = (),
        below: Terminology | None = None,
    ) -> None:
        self.sources = tuple(sources)
        self.servers: tuple[RemoteServer, ...] = below.servers if below else tuple(servers)
        self._below = below
        # Only what is known is kept: callers can ask for any number of urls that nobody has.
        self._systems: dict[tuple[str, str | None], System] = {}
        self._without_content: set[tuple[str, str | None]] = set()
        self._sets: dict[tuple[str, str | None], Json] = {}
        self._codes: dict[tuple[str, str | None], Codes | None] = {}
        self._members: dict[tuple[str, str | None, str], bool] = {}

    def over(self, source: Source) -> Terminology:
        """A terminology that looks into another source first."""
        return Terminology((source,), below=self)

    # What definitions there are

    def find(self, resource_type: str, canonical: str) -> Json | None:
        """A CodeSystem, ValueSet or ConceptMap by its canonical url, or None."""
        url, version = split_canonical(canonical)
        found = find_in(self.sources, resource_type, url, version)
        if found is None and self._below is not None:
            return self._below.find(resource_type, canonical)
        return found

    def value_set(self, canonical: str) -> Json:
        """The ValueSet with that canonical url; raises Unknown."""
        key = split_canonical(canonical)
        found = self._sets.get(key) or self.find("ValueSet", canonical)
        if found is not None:
            self._sets[key] = found
            return found
        found = self._elsewhere(canonical)
        if found is None:
            raise Unknown(f"The value set {canonical[:300]} is not known here")
        return found

    def _elsewhere(self, canonical: str) -> Json | None:
        """A value set that a remote server has: an implicit one of SNOMED CT, or one whose url is routed there."""
        if self._server(canonical) is None:
            return None
        compose = {"include": [{"elsewhere": canonical}]}
        return {"resourceType": "ValueSet", "url": canonical, "compose": compose}

    def system(self, url: str, version: str | None = None) -> System:
        """The code system; raises Unknown. One that is kept elsewhere is asked for there."""
        if url in ALGORITHMIC:
            return ALGORITHMIC[url]
        found = self._local(url, version)
        if found is not None:
            return found
        server = self._server(url)
        if server is not None:
            return server.system(url, version)
        told = f" in version {version}" if version and self._local(url, None) else ""
        raise Unknown(f"The code system {url[:300]} is not known here{told}")

    def _local(self, url: str, version: str | None) -> System | None:
        found = self._systems.get((url, version))
        if found is not None:
            return found
        if (url, version) not in self._without_content:
            source = find_in(self.sources, "CodeSystem", url, version)
            if source is not None and source.get("content") not in _NO_CONTENT:
                found = self._systems[url, version] = read_code_system(source)
                return found
            if source is not None:
                self._without_content.add((url, version))
        return None if self._below is None else self._below._local(url, version)  # noqa: SLF001 - same class

    def _server(self, system: str) -> RemoteServer | None:
        return next((item for item in self.servers if item.covers(system)), None)

    def remote(self, system: str) -> RemoteServer | None:
        """The server that knows a code system which is not here, or only in part."""
        server = self._server(system)
        if server is None:
            return None
        local = self._local(system, None)
        return None if local is not None and local.complete else server

    # Questions with reasons: they raise a TerminologyFault

    def concept(self, system: str, code: str, version: str | None = None) -> Concept | None:
        """The concept of a code, or None when the system has none."""
        return self.system(system, version).find(code)

    def enumerate(self, value_set: Json, versions: Versions = Versions()) -> list[Member]:  # noqa: B008 - frozen
        """The codes of a ValueSet resource."""
        return list(Composition(self, versions).members(value_set).values())

    def member(
        self,
        value_set: Json,
        system: str | None,
        code: str,
        versions: Versions = Versions(),  # noqa: B008 - frozen
    ) -> Member | None:
        """The code as a member of a ValueSet resource (system None: of whatever system), or None."""
        return Composition(self, versions).member(value_set, system, code)

    # Questions without: None when it cannot be told

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in the value set with that canonical url; system None: of whatever system."""
        codes = self.members(value_set) if self._below is None else None
        if codes is not None:
            if system is not None:
                return (system, code) in codes or self._member(value_set, system, code)
            return any(code == item for _, item in codes)
        return self._member(value_set, system, code)

    def _member(self, value_set: str, system: str | None, code: str) -> bool | None:
        asked = (value_set, system, code)
        known = self._members.get(asked)
        if known is not None:
            return known
        found = _or_none(lambda: self.member(self.value_set(value_set), system, code) is not None)
        # What another server says is for that server to remember.
        if found is not None and not self.servers and len(code) <= _LONGEST_REMEMBERED:
            if len(self._members) == _MOST_REMEMBERED:
                self._members.clear()
            self._members[asked] = found
        return found

    def defines(self, system: str, code: str) -> bool | None:
        """Whether a code system has a code."""
        found = _or_none(lambda: self.system(system))
        if found is None:
            return None
        known = _or_none(lambda: found.find(code) is not None)
        return known if known or found.complete else None

    def displays(self, system: str, code: str) -> tuple[str, ...]:
        """The display of a code and its designations; () when they are not known."""
        if system in ALGORITHMIC:
            return ()  # registries have no displays of their own, or several
        found = _or_none(lambda: self.system(system))
        concept = None if found is None else _or_none(lambda: found.find(code))
        return () if concept is None else concept.names

    def calls(self, value_set: str, system: str, code: str, display: str) -> bool:
        """Whether a value set has a display or designation of its own for one of its codes, and it is that."""
        found = _or_none(lambda: self.member(self.value_set(value_set), system, code))
        return found is not None and bool(found.concept.names) and found.concept.is_called(display)

    def members(self, value_set: str) -> Codes | None:
        """The (system, code) pairs of a value set by its canonical url; None when they cannot be listed."""
        key = split_canonical(value_set)
        if key in self._codes:
            return self._codes[key]
        found = _or_none(lambda: frozenset(Composition(self).members(self.value_set(value_set))))
        if key in self._sets:
            self._codes[key] = found
        return found

    def listed(self, value_set: Json) -> Codes | None:
        """The (system, code) pairs of a ValueSet resource; None when they cannot be listed."""
        return _or_none(lambda: frozenset(Composition(self).members(value_set)))

    def below(self, system: str, code: str) -> Codes | None:
        """A code and all that it subsumes; None for a code that is not known."""
        return self._related(system, code, lambda found, known: found.below(known))

    def above(self, system: str, code: str) -> Codes | None:
        """A code and all that subsume it; None for a code that is not known."""
        return self._related(system, code, lambda found, known: found.above(known))

    def _related(
        self, system: str, code: str, reach: Callable[[System, str], frozenset[str]]
    ) -> Codes | None:
        def ask() -> Codes | None:
            found = self.system(system)
            concept = found.find(code)
            if concept is None:
                return None
            return frozenset((system, item) for item in reach(found, concept.code))

        return _or_none(ask)


@cache
def published() -> Terminology:
    """The terminology that R4 publishes."""
    return Terminology()


def _or_none(ask: Callable[[], T]) -> T | None:
    try:
        return ask()
    except (TerminologyFault, *UNREADABLE):
        return None
