"""Codes translated by concept maps (https://hl7.org/fhir/R4/conceptmap-operation-translate.html)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.terminology.verdicts import Asked

Json = dict[str, Any]
_NO_MATCH = frozenset({"unmatched", "disjoint"})
# What the equivalence of a map says when it is read backwards
_REVERSED = {
    "wider": "narrower",
    "narrower": "wider",
    "subsumes": "specializes",
    "specializes": "subsumes",
}
_DEEPEST = 5


@dataclass(frozen=True, slots=True)
class Match:
    """A translation: equivalence, the target's Coding (None: there is none), products, and the map it is from."""

    equivalence: str
    coding: Json | None
    products: tuple[Json, ...]
    source: str | None

    @property
    def is_match(self) -> bool:
        """Whether the code has a translation by it."""
        return self.equivalence not in _NO_MATCH and self.coding is not None


@dataclass(frozen=True, slots=True)
class Question:
    """A code to translate; target_system: only into that; reverse: from the maps' targets to their sources.

    given: what other elements hold, as (element, system or None for a text, value): some mappings depend on it.
    """

    asked: Asked
    target_system: str | None = None
    reverse: bool = False
    given: frozenset[tuple[str, str | None, str]] = frozenset()


def applies(concept_map: Json, source: str | None, target: str | None, *, reverse: bool) -> bool:
    """Whether a map is from the source value set to the target one, as far as these are told."""
    mine, other = ("target", "source") if reverse else ("source", "target")
    return _is(concept_map, mine, source) and _is(concept_map, other, target)


def _is(concept_map: Json, name: str, wanted: str | None) -> bool:
    told = concept_map.get(f"{name}Canonical") or concept_map.get(f"{name}Uri")
    if wanted is None:
        return True
    return told is not None and told.partition("|")[0] == wanted.partition("|")[0]


def translate(
    concept_map: Json, question: Question, find: Callable[[str], Json | None], depth: int = 0
) -> list[Match]:
    """The translations that a map has; find gives other maps by their canonical url."""
    if depth > _DEEPEST:
        return []
    found: list[Match] = []
    for group in concept_map.get("group", ()):
        if question.reverse:
            found += _backwards(concept_map, group, question)
        elif _fits(group, "source", question.asked) and question.target_system in (
            None,
            group.get("target"),
        ):
            found += _forwards(concept_map, group, question, find, depth)
    return found


def _fits(group: Json, end: str, asked: Asked) -> bool:
    if asked.system is not None and group.get(end) not in (None, asked.system):
        return False
    version = group.get(f"{end}Version")
    return asked.version is None or version is None or version == asked.version


def _forwards(
    concept_map: Json,
    group: Json,
    question: Question,
    find: Callable[[str], Json | None],
    depth: int,
) -> Iterator[Match]:
    element = next(
        (item for item in group.get("element", ()) if item.get("code") == question.asked.code), None
    )
    if element is None:
        yield from _unmapped(concept_map, group, question, find, depth)
        return
    for target in element.get("target", ()):
        if not all(_is_given(item, question) for item in target.get("dependsOn", ())):
            continue
        coding = _coding(group.get("target"), group.get("targetVersion"), target)
        products = tuple(target.get("product", ()))
        yield Match(
            target.get("equivalence", "equivalent"), coding, products, concept_map.get("url")
        )


def _is_given(dependency: Json, question: Question) -> bool:
    """Whether the element that a mapping depends on holds the value that it asks for."""
    named, value, system = (dependency.get(name) for name in ("property", "value", "system"))
    return any(
        (element, held) == (named, value) and (system is None or where == system)
        for element, where, held in question.given
    )


def _unmapped(
    concept_map: Json,
    group: Json,
    question: Question,
    find: Callable[[str], Json | None],
    depth: int,
) -> Iterable[Match]:
    unmapped = group.get("unmapped", {})
    url = concept_map.get("url")
    match unmapped.get("mode"):
        case "provided":
            shown = {"code": question.asked.code, "display": question.asked.display}
            yield Match("equal", _coding(group.get("target"), None, shown), (), url)
        case "fixed":
            yield Match("inexact", _coding(group.get("target"), None, unmapped), (), url)
        case "other-map":
            other = find(unmapped.get("url", ""))
            if other is not None:
                yield from translate(other, question, find, depth + 1)


def _backwards(concept_map: Json, group: Json, question: Question) -> Iterator[Match]:
    if not _fits(group, "target", question.asked):
        return
    if question.target_system not in (None, group.get("source")):
        return
    for element in group.get("element", ()):
        for target in element.get("target", ()):
            if target.get("code") == question.asked.code:
                equivalence = target.get("equivalence", "equivalent")
                coding = _coding(group.get("source"), group.get("sourceVersion"), element)
                told = _REVERSED.get(equivalence, equivalence)
                yield Match(told, coding, (), concept_map.get("url"))


def _coding(system: str | None, version: str | None, item: Json) -> Json | None:
    if not item.get("code"):
        return None
    named = {
        "system": system,
        "version": version,
        "code": item["code"],
        "display": item.get("display"),
    }
    return {name: value for name, value in named.items() if value}
