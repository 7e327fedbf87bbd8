"""The entries of tokens, references and dates found the plain way: each parameter by itself, each value read anew."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fhir_server.search.converters import LOGICAL
from fhir_server.search.entries import (
    DateEntry,
    IndexEntry,
    ReferenceEntry,
    StringEntry,
    TokenEntry,
)
from fhir_server.search.extraction import LONDON, STORED
from fhir_server.search.folding import fold
from fhir_server.search.parameters import IDENTIFIER, OF_TYPE, TEXT, SearchParameter, parameters
from fhir_server.search.paths import Condition, Path, paths
from fhir_server.spec.dates import _read as read_date
from fhir_server.spec.definitions import is_resource_type

Json = dict[str, Any]

_RELATIVE = re.compile(
    r"([A-Z]\w+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII
)
_SEPARATING = " \t\r\n\f\v-/,;:_()[]{}|"
_TOKENS = ("code", "Coding", "CodeableConcept", "Identifier")
_DATES = ("date", "dateTime", "instant")


def plain_parameters(resource_type: str) -> tuple[SearchParameter, ...]:
    """The parameters of a type that are read here: all of their values are of the types above or References."""
    return tuple(
        item
        for item in parameters(resource_type)
        if item.code not in STORED and all(_read_here(item, path) for path in paths(item) or [None])
    )


def _read_here(item: SearchParameter, path: Path | None) -> bool:
    known = {"token": _TOKENS, "reference": ("Reference",), "date": _DATES}
    return path is not None and path.type in known.get(item.type, ())


def plain_entries(resource: Json, base_urls: tuple[str, ...]) -> set[IndexEntry]:
    """The entries of those parameters."""
    return {
        entry
        for item in plain_parameters(resource["resourceType"])
        for path in paths(item) or ()
        for value, chosen in _values(path, resource)
        for entry in _entries(value, item.number, path.type, chosen, base_urls)
    }


def _values(path: Path, resource: Json) -> Iterator[tuple[Any, bool]]:
    """What lies on the path, and whether the condition of its last step chooses it."""
    found: list[tuple[Any, bool]] = [(resource, True)]
    for step in path.steps:
        below: list[tuple[Any, bool]] = []
        for parent, chosen in found:
            if chosen and isinstance(parent, dict) and step.property.name in parent:
                child = parent[step.property.name]
                values = child if isinstance(child, list) else [child]
                below += [
                    (
                        value,
                        step.condition is None or _passes(step.condition, value, place, resource),
                    )
                    for place, value in enumerate(values)
                ]
        found = below
    yield from found


def _passes(condition: Condition, value: Any, place: int, resource: Json) -> bool:
    if condition.kind == "index":
        return place == condition.index
    if not isinstance(value, dict):
        return False
    if condition.kind == "value":
        return value.get(condition.name) == condition.value
    return _target_type(value, resource) == condition.name


def _target_type(reference: Json, resource: Json) -> Any:
    text = reference.get("reference")
    if not isinstance(text, str):
        return reference.get("type")
    if text.startswith("#"):
        inside = [item for item in resource.get("contained", ()) if isinstance(item, dict)]
        named = [item for item in inside if item.get("id") == text[1:]]
        return named[0].get("resourceType") if named else None
    last = "/".join(text.split("/_history/")[0].split("/")[-2:])
    found = _RELATIVE.fullmatch(last)
    return found[1] if found and is_resource_type(found[1]) else None


def _entries(
    value: Any, number: int, node_type: str, chosen: bool, base_urls: tuple[str, ...]
) -> Iterator[IndexEntry]:
    if node_type in _DATES and isinstance(value, str):
        try:
            yield DateEntry(number, *read_date(value, LONDON))
        except ValueError:
            return
    elif node_type == "code" and isinstance(value, str):
        yield TokenEntry(number, "", value)
    elif not isinstance(value, dict):
        return
    elif node_type == "Reference":
        yield from _reference(value, number, chosen, base_urls)
    elif node_type == "Identifier":
        yield from _identifier(value, number)
    elif node_type == "Coding":
        yield from _coding(value, number)
    elif node_type == "CodeableConcept":
        codings = _objects(value.get("coding"))
        for item in codings:
            yield from _coding(item, number)
        if not codings:
            yield TokenEntry(number, "", "")
        yield from _words(value.get("text"), number)


def _reference(
    value: Json, number: int, chosen: bool, base_urls: tuple[str, ...]
) -> Iterator[IndexEntry]:
    if chosen:
        yield _named(value.get("reference"), number, base_urls)
        yield from _words(value.get("display"), number)
    if chosen or not value.keys() & {"reference", "type"}:
        logical = value.get("identifier")
        if isinstance(logical, dict) and logical.get("value"):
            yield _token(number + IDENTIFIER, logical, "value")


def _named(text: Any, number: int, base_urls: tuple[str, ...]) -> ReferenceEntry:
    if not isinstance(text, str) or not text:
        return ReferenceEntry(number, "", "", LOGICAL, "")
    relative = text
    for base in base_urls:
        relative = relative.removeprefix(base + "/")
    found = _RELATIVE.fullmatch(relative)
    if found and is_resource_type(found[1]):
        return ReferenceEntry(number, found[1], found[2], "", found[3] or "")
    url, _, version = text.partition("/_history/")
    if url and version and "/" not in version:
        return ReferenceEntry(number, "", "", url, version)
    return ReferenceEntry(number, "", "", text, "")


def _identifier(value: Json, number: int) -> Iterator[IndexEntry]:
    token = _token(number, value, "value")
    yield token
    kind = value.get("type")
    if isinstance(kind, dict):
        yield from _words(kind.get("text"), number)
        for item in _objects(kind.get("coding")) if token.code else ():
            of = _token(0, item, "code")
            yield TokenEntry(number + OF_TYPE, f"{of.system}|{of.code}", token.code)


def _coding(value: Json, number: int) -> Iterator[IndexEntry]:
    yield _token(number, value, "code")
    yield from _words(value.get("display"), number)


def _token(number: int, value: Json, name: str) -> TokenEntry:
    system, code = value.get("system"), value.get(name)
    return TokenEntry(
        number, system if isinstance(system, str) else "", code if isinstance(code, str) else ""
    )


def _words(value: Any, number: int) -> Iterator[IndexEntry]:
    folded = plain_fold(value) if isinstance(value, str) else ""
    if folded:
        yield StringEntry(number + TEXT, folded, "")


def _objects(value: Any) -> list[Json]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def plain_fold(text: str) -> str:
    """The folded form, a character at a time; of what is not ASCII as ever."""
    if not text.isascii():
        return fold(text)
    kept = [
        " " if character in _SEPARATING else character.lower() if character.isalnum() else ""
        for character in text
    ]
    return " ".join("".join(kept).split())
