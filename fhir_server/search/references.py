"""What the text of a reference names: a resource of this server, or an absolute url elsewhere.

https://hl7.org/fhir/R4/search.html#reference
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from fhir_server.spec.definitions import is_resource_type

_RELATIVE = re.compile(
    r"([A-Z]\w+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII
)
_HISTORY = "/_history/"
_LONGEST_REMEMBERED = 120


class Named(NamedTuple):
    """target_type and target_id of a resource of this server, or else the url; version "" when none is named."""

    target_type: str
    target_id: str
    url: str
    version: str


def read_reference(text: str, base_urls: tuple[str, ...]) -> Named:
    """What a Reference.reference names; an absolute url below a base url is the same as the relative one."""
    return (_read if len(text) > _LONGEST_REMEMBERED else _remembered)(text, base_urls)


def _read(text: str, base_urls: tuple[str, ...]) -> Named:
    relative = text
    for base in base_urls:
        if text.startswith(base) and text[len(base) : len(base) + 1] == "/":
            relative = text[len(base) + 1 :]
            break
    found = _RELATIVE.fullmatch(relative)
    if found is not None and is_resource_type(found[1]):
        return Named(found[1], found[2], "", found[3] or "")
    url, history, version = text.partition(_HISTORY)
    if history and url and version and "/" not in version:
        return Named("", "", url, version)
    return Named("", "", text, "")


# A resource is referred to by several parameters, and by several resources at a time.
_remembered = lru_cache(maxsize=4096)(_read)


def read_canonical(text: str) -> tuple[str, str]:
    """The url and the business version of url|version; version "" when none is named."""
    url, _, version = text.partition("|")
    return url, version


def type_named(text: str) -> str:
    """The resource type in a RESTful url, relative or absolute, or ""."""
    found = _RELATIVE.fullmatch("/".join(text.partition(_HISTORY)[0].rsplit("/", 2)[-2:]))
    return found[1] if found is not None and is_resource_type(found[1]) else ""
