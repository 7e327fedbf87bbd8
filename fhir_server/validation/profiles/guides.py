"""Profiles that an implementation guide applies to all resources of a type.

https://hl7.org/fhir/R4/implementationguide-definitions.html#ImplementationGuide.global
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

Json = dict[str, Any]
Profiles = Mapping[str, tuple[str, ...]]


def with_global_profiles(guides: Iterable[Json], others: Profiles) -> Profiles:
    """Resource type -> the profiles that guides name for it, after those of others."""
    found = dict(others)
    for guide in guides:
        listed = guide.get("global")
        for item in listed if isinstance(listed, list) else ():
            if not isinstance(item, dict):
                continue  # packages are taken as they come
            kind, url = item.get("type"), item.get("profile")
            if isinstance(kind, str) and isinstance(url, str):
                held = found.get(kind, ())
                found[kind] = held if url in held else (*held, url)
    return found
