"""The words of a resource, for _text and _content: folded as strings are, each once.

https://hl7.org/fhir/R4/search.html#content
"""

from __future__ import annotations

import html
import re
from typing import Any

from fhir_server.search.folding import fold

Json = dict[str, Any]

_TAG = re.compile(r"<[^>]*>")
LONGEST = 64
# Properties whose text is for machines.
_CODED = frozenset(
    {"id", "system", "code", "reference", "url", "resourceType", "meta", "data", "contentType", "profile"}
)  # fmt: skip


def words(text: str) -> set[str]:
    """The folded words of a text; what is longer than 64 characters is no word."""
    return {word for word in fold(text).split() if len(word) <= LONGEST}


def narrative_words(resource: Json) -> set[str]:
    """The words of Resource.text.div, markup left out."""
    narrative = resource.get("text")
    div = narrative.get("div") if isinstance(narrative, dict) else None
    return words(html.unescape(_TAG.sub(" ", div))) if isinstance(div, str) else set()


def content_words(resource: Json) -> set[str]:
    """The words of the narrative and of every element that is written for people."""
    found = narrative_words(resource)
    pending: list[Any] = [
        value for name, value in resource.items() if name not in _CODED | {"text"}
    ]
    while pending:
        value = pending.pop()
        if isinstance(value, str):
            found |= words(value)
        elif isinstance(value, list):
            pending += value
        elif isinstance(value, dict):
            pending += [child for name, child in value.items() if name not in _CODED]
    return found
