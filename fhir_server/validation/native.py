"""Rules of R4's prose that no invariant states, as plain functions that both forms call.

https://hl7.org/fhir/R4/bundle.html#bundle-unique, https://hl7.org/fhir/R4/references.html#literal
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from fhir_server.spec import definitions

Json = dict[str, Any]

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:").match


@dataclass(frozen=True, slots=True)
class NativeRule:
    """holds: whether a value that has the right structure keeps the rule. says: what to change, after its path."""

    name: str
    holds: Callable[[Json], bool]
    says: str


def _full_url_is_absolute(entry: Json) -> bool:
    url = entry.get("fullUrl")
    return url is None or _SCHEME(url) is not None


def _full_url_agrees(entry: Json) -> bool:
    """A RESTful fullUrl ends in the type and the id of its resource; other urls name it in their own way."""
    url, resource = entry.get("fullUrl"), entry.get("resource")
    if url is None or type(resource) is not dict or not url.startswith(("http://", "https://")):
        return True
    _, _, rest = url.partition("://")
    segments = rest.split("/")
    if len(segments) < 3 or not definitions.is_resource_type(segments[-2]):
        return True
    if segments[-2] != resource.get("resourceType"):
        return False
    identifier = resource.get("id")
    return identifier is None or identifier == segments[-1]


NATIVE: Final[Mapping[str, tuple[NativeRule, ...]]] = {
    "Bundle.entry": (
        NativeRule(
            "full_url_is_absolute",
            _full_url_is_absolute,
            "has a relative fullUrl; write the absolute URL of its resource, or urn:uuid: and a UUID",
        ),
        NativeRule(
            "full_url_agrees",
            _full_url_agrees,
            "has a fullUrl that disagrees with the type or the id of its resource; make them agree",
        ),
    ),
}
