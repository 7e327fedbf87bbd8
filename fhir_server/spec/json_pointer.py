"""JSON Pointer, RFC 6901: the place of a value in a JSON document, as JSON Patch names it.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import re
from typing import Any

Pointer = tuple[str, ...]

_LONE_TILDE = re.compile("~(?![01])")
_INDEX = re.compile("0|[1-9][0-9]{0,9}", re.ASCII)


def pointer(text: str) -> Pointer:
    """The names and indexes along the way, escapes undone; raises ValueError, saying why, for what is no pointer."""
    if not text:
        return ()
    if not text.startswith("/"):
        raise ValueError("does not begin with /")
    if "~" not in text:
        return tuple(text[1:].split("/"))
    if _LONE_TILDE.search(text):
        raise ValueError("has a ~ that is neither ~0 (for ~) nor ~1 (for /)")
    return tuple(step.replace("~1", "/").replace("~0", "~") for step in text[1:].split("/"))


def position(step: str, length: int) -> int:
    """The index into a list that a step means; raises LookupError, saying why, unless it is below length."""
    if not _INDEX.fullmatch(step):
        raise LookupError(f"'{step[:64]}' is not an index of a list")
    index = int(step)
    if index >= length:
        raise LookupError(f"the list ends before index {index}")
    return index


def child(value: Any, step: str) -> Any:
    """The member of an object or list; raises LookupError, saying why, when there is none."""
    if isinstance(value, dict):
        if step not in value:
            raise LookupError(f"there is no property '{step[:64]}'")
        return value[step]
    if isinstance(value, list):
        return value[position(step, len(value))]
    raise LookupError(f"'{step[:64]}' is looked for in a value that is neither object nor list")


def at(document: Any, place: Pointer) -> Any:
    """The value at that place; raises LookupError, saying why, when there is none."""
    for step in place:
        document = child(document, step)
    return document
