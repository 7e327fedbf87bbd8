"""Where code systems, value sets and concept maps come from, by canonical url.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

from fhir_server.spec import definitions

Json = dict[str, Any]
_R4 = ("4.0", "4.0.0", "4.0.1")


class Source(Protocol):
    """Conformance resources from somewhere: the server's own store, a package, R4's definitions."""

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """The resource with that canonical url, of that version if one is named; None when there is none."""


class Published:
    """R4's own terminology."""

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """From the archive that the server carries; R4's bindings name version 4.0.1 of v2 and v3 value sets, too."""
        found = definitions.terminology(resource_type, url)
        if found is None or version in (None, found.get("version"), *_R4):
            return found
        return None


@cache
def published_concept_maps() -> tuple[Json, ...]:
    """R4's own concept maps."""
    urls = definitions.terminology_urls("ConceptMap")
    found = (definitions.terminology("ConceptMap", url) for url in urls)
    return tuple(item for item in found if item is not None)


def split_canonical(canonical: str) -> tuple[str, str | None]:
    """The url and the version of url|version; a fragment is left away."""
    url, _, version = canonical.partition("|")
    return url.partition("#")[0] if url.startswith("http") else url, version or None


def find_in(
    sources: Sequence[Source], resource_type: str, url: str, version: str | None
) -> Json | None:
    """The resource from the first source that has it."""
    for source in sources:
        found = source.find(resource_type, url, version)
        if found is not None:
            return found
    return None
