"""A code system made ready for questions: its concepts by code, and what is beneath what.

https://hl7.org/fhir/R4/codesystem.html
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Json = dict[str, Any]
Relation = Literal["equivalent", "subsumes", "subsumed-by", "not-subsumed"]
# Hierarchies whose children are no kinds of their parents
_NO_SUBSUMPTION = frozenset({"grouped-by", "part-of", "classified-with"})
_INACTIVE = frozenset({"retired", "inactive"})


@dataclass(frozen=True, slots=True)
class Concept:
    """One concept; parents: the codes right above it."""

    code: str
    display: str | None = None
    definition: str | None = None
    designations: tuple[Json, ...] = ()
    properties: tuple[Json, ...] = ()
    parents: tuple[str, ...] = ()
    abstract: bool = False
    inactive: bool = False

    def display_in(self, language: str | None) -> str | None:
        """The display in a language, or the usual one."""
        if language:
            wanted = language.lower()
            for designation in self.designations:
                told = str(designation.get("language", "")).lower()
                if wanted in (told, told.partition("-")[0]) and "value" in designation:
                    return str(designation["value"])
        return self.display

    @property
    def names(self) -> tuple[str, ...]:
        """Its display and its designations."""
        told = (self.display, *(item.get("value") for item in self.designations))
        return tuple(name for name in told if isinstance(name, str))

    def is_called(self, display: str) -> bool:
        """Whether that is its display or one of its designations; case and the amount of space do not matter."""
        wanted = _plain(display)
        return not self.names or any(_plain(name) == wanted for name in self.names)


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


class System(Protocol):
    """What a value set asks of a code system, whether its codes are listed or made by a grammar."""

    @property
    def url(self) -> str: ...

    @property
    def version(self) -> str | None: ...

    @property
    def name(self) -> str: ...

    @property
    def complete(self) -> bool:
        """Whether a code that find does not know is none of the system."""

    def find(self, code: str) -> Concept | None:
        """The concept of a code, or None."""

    def concepts(self) -> Iterable[Concept]:
        """Every concept in the order of the hierarchy; raises NotEnumerable when they cannot be listed."""

    def below(self, code: str) -> frozenset[str]:
        """The code and all that it subsumes."""

    def above(self, code: str) -> frozenset[str]:
        """The code and all that subsume it."""


@dataclass(slots=True)
class CodeSystem:
    """A System whose concepts are listed in a CodeSystem resource."""

    url: str
    version: str | None
    name: str
    complete: bool
    case_sensitive: bool
    filters: tuple[Json, ...]
    by_code: Mapping[str, Concept]
    children: Mapping[str, list[str]]
    subsumes: bool
    _folded: dict[str, str] = field(default_factory=dict)

    def find(self, code: str) -> Concept | None:
        """See System."""
        found = self.by_code.get(code)
        if found is not None or self.case_sensitive:
            return found
        if not self._folded:
            self._folded.update((item.casefold(), item) for item in self.by_code)
        return self.by_code.get(self._folded.get(code.casefold(), ""))

    def concepts(self) -> Iterable[Concept]:
        """See System."""
        return self.by_code.values()

    def below(self, code: str) -> frozenset[str]:
        """See System."""
        return self._reach(code, lambda item: self.children.get(item, ()))

    def above(self, code: str) -> frozenset[str]:
        """See System."""
        return self._reach(code, lambda item: self.by_code[item].parents)

    def _reach(self, code: str, step: Any) -> frozenset[str]:
        found, pending = {code}, [code]
        while pending and self.subsumes:
            for item in step(pending.pop()):
                if item not in found and item in self.by_code:
                    found.add(item)
                    pending.append(item)
        return frozenset(found)


def relation(system: System, one: str, other: str) -> Relation:
    """How two codes of a system relate."""
    if one == other:
        return "equivalent"
    if other in system.below(one):
        return "subsumes"
    return "subsumed-by" if one in system.below(other) else "not-subsumed"


def read_code_system(source: Json) -> CodeSystem:
    """The code system of a (valid) CodeSystem resource."""
    nested = list(_nested(source.get("concept", ())))
    parents: dict[str, list[str]] = {item["code"]: [] for item, _ in nested}
    for item, above in nested:
        if above is not None:
            _add(parents, item["code"], above)
        for entry in item.get("property", ()):
            told = entry.get("valueCode")
            if told is not None and entry.get("code") in ("parent", "subsumedBy"):
                _add(parents, item["code"], told)
            elif told is not None and entry.get("code") == "child" and told in parents:
                _add(parents, told, item["code"])
    by_code: dict[str, Concept] = {}
    for item, _ in nested:
        by_code.setdefault(item["code"], _concept(item, tuple(parents[item["code"]])))
    children: dict[str, list[str]] = {}
    for code, listed in parents.items():
        for above in listed:
            children.setdefault(above, []).append(code)
    return CodeSystem(
        url=source.get("url", ""),
        version=source.get("version"),
        name=source.get("name") or source.get("title") or source.get("url", ""),
        complete=source.get("content") == "complete",
        case_sensitive=source.get("caseSensitive", True),
        filters=tuple(source.get("filter", ())),
        by_code=by_code,
        children=children,
        subsumes=source.get("hierarchyMeaning") not in _NO_SUBSUMPTION,
    )


def _add(parents: dict[str, list[str]], code: str, above: str) -> None:
    if above not in parents[code]:
        parents[code].append(above)


def _nested(items: Iterable[Json], above: str | None = None) -> Iterator[tuple[Json, str | None]]:
    for item in items:
        if "code" in item:  # or an extension says why it is absent
            yield item, above
        yield from _nested(item.get("concept", ()), item.get("code", above))


def _concept(item: Json, parents: tuple[str, ...]) -> Concept:
    properties = tuple(item.get("property", ()))
    told = {entry.get("code"): value_of(entry) for entry in properties}
    return Concept(
        code=item["code"],
        display=item.get("display"),
        definition=item.get("definition"),
        designations=tuple(item.get("designation", ())),
        properties=properties,
        parents=parents,
        abstract=told.get("notSelectable") is True or told.get("abstract") is True,
        inactive=told.get("inactive") is True or told.get("status") in _INACTIVE,
    )


def value_of(entry: Json) -> Any:
    """The value[x] of a property or parameter, or None."""
    return next((value for name, value in entry.items() if name.startswith("value")), None)
