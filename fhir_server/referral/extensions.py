"""Reading and setting extensions of a resource, by url (https://hl7.org/fhir/R4/extensibility.html)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

Json = dict[str, Any]


def all_of(resource: Json, url: str) -> list[Json]:
    """The extensions with that url."""
    return [item for item in resource.get("extension", ()) if item.get("url") == url]


def one(resource: Json, url: str) -> Json | None:
    """The first extension with that url, or None."""
    found = all_of(resource, url)
    return found[0] if found else None


def value(extension: Json | None) -> Any:
    """Its value[x], or None."""
    for name, found in (extension or {}).items():
        if name.startswith("value"):
            return found
    return None


def typed(element: Json, url: str, name: str) -> Any:
    """The value of that type of the first extension with that url, or None: what no profile was asked about."""
    return (one(element, url) or {}).get(name)


def part(extension: Json | None, name: str) -> Any:
    """The value of a part of a complex extension, or None."""
    return value(one(extension, name)) if extension is not None else None


def with_only(resource: Json, url: str, wanted: Iterable[Json]) -> Json:
    """The resource with exactly those extensions of that url, where the first of them stood before or at the end."""
    listed = list(wanted)
    if all_of(resource, url) == listed:
        return resource
    found: list[Json] = []
    placed = False
    for item in resource.get("extension", ()):
        if item.get("url") != url:
            found.append(item)
        elif not placed:
            found += listed
            placed = True
    if not placed:
        found += listed
    changed = {name: held for name, held in resource.items() if name != "extension"}
    return changed | {"extension": found} if found else changed
