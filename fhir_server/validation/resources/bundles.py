"""Bundles: links, the ids of their entries, and what a document's or message's first entry leads to.

https://hl7.org/fhir/R4/bundle.html#references, https://hl7.org/fhir/R4/documents.html#content
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import fault, shown
from fhir_server.validation.profiles.run import Entries, Holder, Run

Json = dict[str, Any]

# A page has one of each.
_SINGLE_LINKS: Final = frozenset({"self", "first", "previous", "prev", "next", "last"})


def bundle_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """What is wrong between the entries of a Bundle."""
    yield from _links(resource, path)
    kind = resource.get("type")
    if kind not in ("document", "message"):
        return
    if kind == "document":
        yield from _identities(resource, path)
        yield from _unresolved(resource, path, run.entries_of(resource))
        yield from _unstyled(resource, path, run.entries_of(resource))
    yield from _unreached(resource, path, run.entries_of(resource), strict=kind == "document")


def _links(resource: Json, path: str) -> Iterator[Issue]:
    seen: set[str] = set()
    for index, link in enumerate(_list(resource, "link")):
        relation = link.get("relation")
        if not isinstance(relation, str) or relation not in _SINGLE_LINKS:
            continue
        if relation in seen:
            place = f"{path}.link[{index}]"
            yield fault(
                "invalid", f"{place} is another link of the relation {relation}; keep one", place
            )
        seen.add(relation)


def _identities(resource: Json, path: str) -> Iterator[Issue]:
    """A RESTful fullUrl is that of a resource with an id."""
    for index, entry in enumerate(_list(resource, "entry")):
        url, held = entry.get("fullUrl"), entry.get("resource")
        if isinstance(url, str) and isinstance(held, dict) and "id" not in held:
            segments = url.split("/")
            if url.startswith("http") and len(segments) > 4 and is_resource_type(segments[-2]):
                place = f"{path}.entry[{index}]"
                yield fault(
                    "invalid", f"{place} is {shown(url)}, but its resource has no id; add it", place
                )


def _references(value: Any, place: str) -> Iterator[tuple[str, str]]:
    """Every literal reference in a value with the path of its Reference."""
    if isinstance(value, dict):
        text = value.get("reference")
        if isinstance(text, str):
            yield text, place
        for name, child in value.items():
            if isinstance(child, (dict, list)):
                yield from _references(child, f"{place}.{name}")
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from _references(child, f"{place}[{index}]")


def _unresolved(resource: Json, path: str, known: Entries) -> Iterator[Issue]:
    """What the Composition of a document refers to is in the document."""
    entries = _list(resource, "entry")
    if not entries or not isinstance(entries[0].get("resource"), dict):
        return
    first = entries[0]
    holder = Holder(known, first.get("fullUrl"))
    for text, place in _references(first["resource"], f"{path}.entry[0].resource"):
        if not text.startswith("#") and holder.find(text) is None:
            yield fault(
                "not-found",
                f"{place} refers to {shown(text)}, which is not in the document by that fullUrl; add it",
                place,
            )


def _style_sheets(resource: Json, known: Entries) -> Iterator[tuple[Json | None, str, str]]:
    """What the links to style sheets lead to inside a document, with each link's url and place after the Bundle's.

    https://hl7.org/fhir/R4/documents.html#presentation
    """
    entries = _list(resource, "entry")
    holder = Holder(known, entries[0].get("fullUrl") if entries else None)
    for index, link in enumerate(_list(resource, "link")):
        url = link.get("url")
        if link.get("relation") == "stylesheet" and isinstance(url, str):
            yield holder.find(url), url, f".link[{index}].url"


def _unstyled(resource: Json, path: str, known: Entries) -> Iterator[Issue]:
    """A relative link to a style sheet leads to one that is in the document."""
    for found, url, place in _style_sheets(resource, known):
        if found is None and ":" not in url:
            where = path + place
            yield fault(
                "not-found", f"{where} is {shown(url)}, which is not in the document; add it", where
            )


def _unreached(resource: Json, path: str, known: Entries, *, strict: bool) -> Iterator[Issue]:
    """Entries that nothing leads to from the first one, in either direction."""
    entries = _list(resource, "entry")
    numbers = {id(entry.get("resource")): index for index, entry in enumerate(entries)}
    leads: dict[int, set[int]] = {index: set() for index in range(len(entries))}
    for index, entry in enumerate(entries):
        holder = Holder(known, entry.get("fullUrl"))
        for text, _ in _references(entry.get("resource"), ""):
            target = numbers.get(id(holder.find(text)))
            if target is not None:
                leads[index].add(target)
                leads[target].add(index)
    linked = {numbers.get(id(found)) for found, _, _ in _style_sheets(resource, known)}
    reached = {0} | {number for number in linked if number is not None}
    pending = list(reached)
    while pending and entries:
        for target in leads[pending.pop()] - reached:
            reached.add(target)
            pending.append(target)
    for index in range(len(entries)):
        if index not in reached:
            place = f"{path}.entry[{index}]"
            told = (
                f"{place} is reached from the first entry by no reference; refer to it or remove it"
            )
            yield Issue("error" if strict else "warning", "business-rule", told, (place,))


def _list(holder: Json, name: str) -> list[Json]:
    found = holder.get(name)
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
