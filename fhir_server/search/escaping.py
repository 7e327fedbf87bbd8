"""Separators in the values of search parameters and their escapes (https://hl7.org/fhir/R4/search.html#escaping)."""

from __future__ import annotations

import re

_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPED = frozenset(",$|\\")


def split(text: str, separator: str) -> list[str]:
    """The parts between separators that no backslash escapes; the escapes stay in."""
    if "\\" not in text:
        return text.split(separator)
    parts = [""]
    place = 0
    while place < len(text):
        character = text[place]
        if character == "\\":
            parts[-1] += text[place : place + 2]
            place += 2
            continue
        if character == separator:
            parts.append("")
        else:
            parts[-1] += character
        place += 1
    return parts


def unescape(text: str) -> str:
    """The literal text; ValueError for a backslash that escapes none of `,` `$` `|` and itself."""
    return _ESCAPE.sub(_literal, text) if "\\" in text else text


def _literal(escape: re.Match[str]) -> str:
    if escape[1] not in _ESCAPED or not escape[1]:
        raise ValueError(r"a backslash escapes one of , $ | and \; write \\ for itself")
    return escape[1]


def escape(text: str) -> str:
    """The literal text as a value: its separators escaped."""
    return "".join("\\" + item if item in _ESCAPED else item for item in text)
