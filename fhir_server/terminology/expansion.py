"""An expansion: the codes of a value set as a list or a tree, page by page.

https://hl7.org/fhir/R4/valueset.html#expansion
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.value_sets import Composition, Member, Versions

Json = dict[str, Any]
_DEFINITION = ("compose", "text", "contained", "contact", "description", "copyright", "useContext")
_DEFINITION_ONLY = frozenset(_DEFINITION) | {"purpose", "jurisdiction", "immutable", "extension"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """How an expansion is asked for; count None: all; nested: as a tree, where there is one."""

    text: str | None = None
    offset: int = 0
    count: int | None = None
    language: str | None = None
    designations: bool = False
    designation_filter: tuple[str, ...] = ()
    definition: bool = False
    active_only: bool = False
    selectable_only: bool = False
    nested: bool = False
    exclude_systems: frozenset[str] = frozenset()
    versions: Versions = field(default_factory=Versions)


def expand(
    value_set: Json,
    composition: Composition,
    wanted: Wanted,
    *,
    identifier: str,
    timestamp: str,
    parameters: Iterable[Json] = (),
) -> Json:
    """The ValueSet with its expansion; raises a TerminologyFault. parameters: what was asked for, told again."""
    members = [
        member
        for member in composition.members(value_set).values()
        if member.system not in wanted.exclude_systems and _passes(member.concept, wanted)
    ]
    expansion: Json = {"identifier": identifier, "timestamp": timestamp, "total": len(members)}
    told = [*parameters, *_used(composition.used)]
    if wanted.nested and wanted.text is None:
        contains = _tree(members, wanted)
    else:
        if wanted.offset or wanted.count is not None:
            expansion["offset"] = wanted.offset
        end = None if wanted.count is None else wanted.offset + wanted.count
        contains = [_shown(member, wanted) for member in members[wanted.offset : end]]
    if told:
        expansion["parameter"] = told
    if contains:
        expansion["contains"] = contains
    shown = {"resourceType": "ValueSet"} | {
        name: value
        for name, value in value_set.items()
        if name not in ("expansion", "meta") and (wanted.definition or name not in _DEFINITION_ONLY)
    }
    shown.setdefault("status", "active")
    return shown | {"expansion": expansion}


def _used(versions: Mapping[str, str | None]) -> Iterable[Json]:
    for url, version in sorted(versions.items()):
        if version:
            yield {"name": "version", "valueUri": f"{url}|{version}"}


def _passes(concept: Concept, wanted: Wanted) -> bool:
    if wanted.active_only and concept.inactive:
        return False
    if wanted.selectable_only and concept.abstract:
        return False
    return wanted.text is None or _has_text(concept, wanted.text)


def _has_text(concept: Concept, text: str) -> bool:
    """Whether every word of the text is part of the code, the display or a designation."""
    names = [concept.code, concept.display or ""]
    names += [str(item.get("value", "")) for item in concept.designations]
    searched = "\n".join(names).casefold()
    return all(word in searched for word in text.casefold().split())


def _shown(member: Member, wanted: Wanted) -> Json:
    concept = member.concept
    shown: Json = {"system": member.system} if member.system else {}
    if concept.abstract:
        shown["abstract"] = True
    if concept.inactive:
        shown["inactive"] = True
    if member.version:
        shown["version"] = member.version
    shown["code"] = concept.code
    display = concept.display_in(wanted.language)
    if display:
        shown["display"] = display
    if wanted.designations or wanted.designation_filter:
        listed = [item for item in concept.designations if _is_wanted(item, wanted)]
        if listed:
            shown["designation"] = listed
    return shown


def _is_wanted(designation: Json, wanted: Wanted) -> bool:
    """By use or language, each told as system|code: urn:ietf:bcp:47|en."""
    if not wanted.designation_filter:
        return True
    use = designation.get("use", {})
    told = {
        f"{use.get('system', '')}|{use.get('code', '')}",
        f"urn:ietf:bcp:47|{designation.get('language', '')}",
    }
    return not told.isdisjoint(wanted.designation_filter)


def _tree(members: list[Member], wanted: Wanted) -> list[Json]:
    """Each code below the first of its parents that is in the expansion too."""
    shown = {member.key: _shown(member, wanted) for member in members}
    parents = {member.key: _parent(member, shown) for member in members}
    top = []
    for key, item in shown.items():
        parent = parents[key]
        if parent is None or _leads_to(key, parent, parents):
            top.append(item)
        else:
            shown[parent].setdefault("contains", []).append(item)
    return top


def _parent(member: Member, shown: Mapping[tuple[str, str], Json]) -> tuple[str, str] | None:
    listed = ((member.system, code) for code in member.concept.parents)
    return next((parent for parent in listed if parent in shown and parent != member.key), None)


def _leads_to(
    key: tuple[str, str],
    start: tuple[str, str],
    parents: Mapping[tuple[str, str], tuple[str, str] | None],
) -> bool:
    """Whether the way up from start comes to key: such a circle has no top."""
    seen = set()
    current: tuple[str, str] | None = start
    while current is not None and current not in seen:
        if current == key:
            return True
        seen.add(current)
        current = parents[current]
    return False
