"""Whether a code is in a value set, as far as code systems at hand can tell.

https://hl7.org/fhir/R4/valueset.html#compositions
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol

from fhir_server.validation.bindings import GRAMMARS

Json = dict[str, Any]
# system -> its codes in a value set.
Codes = dict[str, frozenset[str]]
Find = Callable[[str, str], Json | None]

_BY_GRAMMAR: Final = {item.system: item for item in GRAMMARS.values()}
_DEEPEST: Final = 10


class Terminology(Protocol):
    """What validation asks about codes; a terminology service can stand behind it."""

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """Whether a code is in the value set with that canonical url; None when that cannot be told.

        system None: of whatever system, as for an element of type code.
        """

    def defines(self, system: str, code: str) -> bool | None:
        """Whether a code system has a code; None when that cannot be told."""

    def displays(self, system: str, code: str) -> tuple[str, ...]:
        """The display of a code and its designations; () when they are not known."""


class ValueSets:
    """Terminology from the ValueSets and CodeSystems that find(type, canonical) gives."""

    def __init__(self, find: Find) -> None:
        self._find = find
        self._sets: dict[str, tuple[Codes, bool] | None] = {}
        self._systems: dict[str, tuple[dict[str, Json], bool] | None] = {}

    def contains(self, value_set: str, system: str | None, code: str) -> bool | None:
        """See Terminology."""
        grammar = GRAMMARS.get(value_set.partition("|")[0])
        if grammar is not None:
            return system in (None, grammar.system) and bool(grammar.matches(code))
        found = self._set(value_set, 0)
        if found is None:
            return None
        codes, whole = found
        where = codes.values() if system is None else [codes.get(system, frozenset())]
        listed = any(code in members for members in where)
        return True if listed else (False if whole else None)

    def defines(self, system: str, code: str) -> bool | None:
        """See Terminology."""
        if system in _BY_GRAMMAR:
            return bool(_BY_GRAMMAR[system].matches(code))
        found = self._system(system)
        if found is None:
            return None
        concepts, whole = found
        return True if code in concepts else (False if whole else None)

    def displays(self, system: str, code: str) -> tuple[str, ...]:
        """See Terminology."""
        found = self._system(system)
        concept = None if found is None else found[0].get(code)
        return () if concept is None else concept["displays"]

    def codes(self, value_set: str) -> Codes | None:
        """All codes of a value set by their systems; None when they cannot be listed."""
        found = self._set(value_set, 0)
        return found[0] if found is not None and found[1] else None

    def _set(self, canonical: str, depth: int) -> tuple[Codes, bool] | None:
        """The codes of a value set, and whether these are all; None when it is not known."""
        try:
            return self._sets[canonical]
        except KeyError:
            pass
        source = self._find("ValueSet", canonical)
        found = None
        if source is not None and depth < _DEEPEST:
            try:
                found = self._composed(source, depth)
            except (AttributeError, KeyError, TypeError):
                found = None  # no value set that can be read
        self._sets[canonical] = found
        return found

    def _composed(self, source: Json, depth: int) -> tuple[Codes, bool] | None:
        compose = source.get("compose")
        if compose is None:
            return _expanded(source)
        codes: Codes = {}
        whole = True
        for include in compose.get("include", ()):
            found = self._included(include, depth)
            if found is None:
                whole = False
                continue
            whole = whole and found[1]
            for system, members in found[0].items():
                codes[system] = codes.get(system, frozenset()) | members
        for exclude in compose.get("exclude", ()):
            found = self._included(exclude, depth)
            if found is None or not found[1]:
                return None
            for system, members in found[0].items():
                codes[system] = codes.get(system, frozenset()) - members
        return codes, whole

    def _included(self, include: Json, depth: int) -> tuple[Codes, bool] | None:
        found: tuple[Codes, bool] | None = None
        if "system" in include:
            members = self._members(include)
            if members is None:
                return None
            found = ({include["system"]: members[0]}, members[1])
        for canonical in include.get("valueSet", ()):
            other = self._set(canonical, depth + 1)
            if other is None:
                return None
            found = other if found is None else _intersection(found, other)
        return found

    def _members(self, include: Json) -> tuple[frozenset[str], bool] | None:
        if "concept" in include:
            return frozenset(item["code"] for item in include["concept"]), True
        found = self._system(include["system"])
        if found is None:
            return None
        concepts, whole = found
        codes = set(concepts)
        for rule in include.get("filter", ()):
            chosen = _filtered(rule, concepts)
            if chosen is None:
                return None
            codes &= chosen
        return frozenset(codes), whole

    def _system(self, url: str) -> tuple[dict[str, Json], bool] | None:
        """code -> concept, its parents told, of a code system, and whether these are all; None when not known."""
        if url in self._systems:
            return self._systems[url]
        source = self._find("CodeSystem", url)
        found = None
        if source is not None and (source.get("concept") or source.get("content") == "complete"):
            try:
                concepts = dict(_concepts(source.get("concept", ()), ()))
                found = (concepts, source.get("content") == "complete")
            except (AttributeError, KeyError, TypeError):
                found = None  # no code system that can be read
        self._systems[url] = found
        return found


def _concepts(items: Any, above: tuple[str, ...]) -> Iterator[tuple[str, Json]]:
    for item in items:
        code = item.get("code", "")
        told = [
            entry["valueCode"]
            for entry in item.get("property", ())
            if entry.get("code") in ("subsumedBy", "parent") and "valueCode" in entry
        ]
        displays = [item.get("display"), *(one.get("value") for one in item.get("designation", ()))]
        yield (
            code,
            {
                "parents": {*above[-1:], *told},
                "displays": tuple(text for text in displays if isinstance(text, str)),
            },
        )
        yield from _concepts(item.get("concept", ()), (*above, code))


def _filtered(rule: Json, concepts: dict[str, Json]) -> set[str] | None:
    """The codes that a filter lets through; None for a filter that is not understood."""
    value = rule.get("value", "")
    if rule.get("property") not in ("concept", "code"):
        return None
    match rule.get("op"):
        case "is-a":
            return _below(value, concepts) | ({value} & concepts.keys())
        case "descendent-of":
            return _below(value, concepts)
        case "is-not-a":
            return concepts.keys() - _below(value, concepts) - {value}
        case "=":
            return {value} & concepts.keys()
        case "in":
            return set(value.split(",")) & concepts.keys()
    return None


def _below(code: str, concepts: dict[str, Json]) -> set[str]:
    found: set[str] = set()
    pending = [code]
    children: dict[str, list[str]] = {}
    for name, concept in concepts.items():
        for parent in concept["parents"]:
            children.setdefault(parent, []).append(name)
    while pending:
        for child in children.get(pending.pop(), ()):
            if child not in found:
                found.add(child)
                pending.append(child)
    return found


def _expanded(source: Json) -> tuple[Codes, bool] | None:
    if "expansion" not in source:
        return None
    codes: dict[str, set[str]] = {}
    pending = list(source["expansion"].get("contains", ()))
    while pending:
        item = pending.pop()
        if "code" in item and not item.get("abstract"):
            codes.setdefault(item.get("system", ""), set()).add(item["code"])
        pending.extend(item.get("contains", ()))
    return {system: frozenset(members) for system, members in codes.items()}, True


def _intersection(one: tuple[Codes, bool], other: tuple[Codes, bool]) -> tuple[Codes, bool]:
    common = {
        system: members & other[0].get(system, frozenset()) for system, members in one[0].items()
    }
    return common, one[1] and other[1]
