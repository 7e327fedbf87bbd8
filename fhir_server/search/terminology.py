"""What :in, :not-in, :above and :below ask of a terminology, and the answers that R4's own definitions give.

https://hl7.org/fhir/R4/search.html#token
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, Protocol

Json = dict[str, Any]
Codes = frozenset[tuple[str, str]]

_ARCHIVE = Path(__file__).resolve().parent.parent / "spec" / "terminology.zip"


class Terminology(Protocol):
    """Codes are (system, code)."""

    def members(self, value_set: str) -> Codes | None:
        """The codes of a value set by its canonical url; None when it is unknown or cannot be enumerated."""

    def below(self, system: str, code: str) -> Codes | None:
        """The code and all that are beneath it; None when the code is unknown or its system has no hierarchy here."""

    def above(self, system: str, code: str) -> Codes | None:
        """The code and all that it is beneath; None as below."""


class Published:
    """The code systems and value sets that R4 publishes, as far as they can be enumerated."""

    def members(self, value_set: str) -> Codes | None:
        """By url or url|version."""
        return _members(value_set.partition("|")[0])

    def below(self, system: str, code: str) -> Codes | None:
        """By the concept hierarchy of the code system."""
        parents = _parents(system)
        if parents is None or code not in parents:
            return None
        found, level = {code}, {code}
        while level:
            level = {child for child, above in parents.items() if above & level} - found
            found |= level
        return frozenset((system, item) for item in found)

    def above(self, system: str, code: str) -> Codes | None:
        """By the concept hierarchy of the code system."""
        parents = _parents(system)
        if parents is None or code not in parents:
            return None
        found, level = {code}, {code}
        while level:
            level = {above for item in level for above in parents.get(item, ())} - found
            found |= level
        return frozenset((system, item) for item in found)


PUBLISHED = Published()


@cache
def _named() -> dict[tuple[str, str], str]:
    """(resource type, url) -> its member of the archive; read when the first such modifier is used."""
    found = {}
    with zipfile.ZipFile(_ARCHIVE) as archive:
        for name in archive.namelist():
            kind = name.partition("/")[0]
            if kind in ("CodeSystem", "ValueSet"):
                found[kind, json.loads(archive.read(name))["url"]] = name
    return found


@cache
def _resource(kind: str, url: str) -> Json | None:
    name = _named().get((kind, url))
    if name is None:
        return None
    with zipfile.ZipFile(_ARCHIVE) as archive:
        found: Json = json.loads(archive.read(name))
    return found


@cache
def _parents(system: str) -> dict[str, set[str]] | None:
    """Code -> the codes right above it, nested concepts and the property subsumedBy taken together."""
    found = _resource("CodeSystem", system)
    if found is None or found.get("content") not in ("complete", "fragment", None):
        return None
    parents: dict[str, set[str]] = {}
    for concept, above in _concepts(found.get("concept", []), None):
        held = parents.setdefault(concept["code"], set())
        if above is not None:
            held.add(above)
        for item in concept.get("property", ()):
            if item.get("code") in ("subsumedBy", "parent") and "valueCode" in item:
                held.add(item["valueCode"])
    return parents


def _concepts(listed: Iterable[Json], above: str | None) -> Iterator[tuple[Json, str | None]]:
    for concept in listed:
        yield concept, above
        yield from _concepts(concept.get("concept", ()), concept["code"])


@cache
def _members(value_set: str) -> Codes | None:
    found = _resource("ValueSet", value_set)
    compose = found.get("compose") if found else None
    if not compose:
        return None
    included: set[tuple[str, str]] = set()
    for part in compose.get("include", ()):
        codes = _part(part)
        if codes is None:
            return None
        included |= codes
    for part in compose.get("exclude", ()):
        codes = _part(part)
        if codes is None:
            return None
        included -= codes
    return frozenset(included)


def _part(part: Json) -> set[tuple[str, str]] | None:
    """What one include or exclude stands for: the intersection of its system's part and its value sets."""
    sets: list[set[tuple[str, str]]] = []
    system = part.get("system")
    if system is not None:
        codes = _of_system(part, system)
        if codes is None:
            return None
        sets.append(codes)
    for url in part.get("valueSet", ()):
        members = PUBLISHED.members(url)
        if members is None:
            return None
        sets.append(set(members))
    return set.intersection(*sets) if sets else None


def _of_system(part: Json, system: str) -> set[tuple[str, str]] | None:
    if "concept" in part:
        return {(system, item["code"]) for item in part["concept"]}
    parents = _parents(system)
    if parents is None:
        return None
    codes = {(system, code) for code in parents}
    for item in part.get("filter", ()):
        match item:
            case {"property": "concept", "op": "is-a" | "descendent-of" as op, "value": str(code)}:
                below = PUBLISHED.below(system, code)
                if below is None:
                    return None
                codes &= below - ({(system, code)} if op == "descendent-of" else set())
            case {"property": "concept", "op": "is-not-a", "value": str(code)}:
                codes -= PUBLISHED.below(system, code) or frozenset()
            case _:
                return None
    return codes
