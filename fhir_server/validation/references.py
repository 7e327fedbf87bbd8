"""What a reference says about its target's type (https://hl7.org/fhir/R4/references.html#literal)."""

from __future__ import annotations

import re
from typing import Any, Final

from fhir_server.spec import definitions

_TYPE_URL: Final = definitions.STRUCTURE
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}").fullmatch
_NAME = re.compile("[A-Z][A-Za-z]{1,63}").fullmatch


def named_type(text: str) -> str | None:
    """The type that the text of a reference names, known or not; None when it names none.

    "Patient/1", "Patient?identifier=1", "https://example.org/fhir/Patient/1/_history/2".
    """
    if text.startswith("#"):
        return None
    path, _, _ = text.partition("?")
    segments = path.split("/")
    if ":" not in segments[0]:
        # Relative: what stands before an id or a query is meant to be a type, right or wrong.
        if len(segments) == 1:
            return segments[0] if path != text else None
        meant = _NAME(segments[0]) and _ID(segments[1])
        return segments[0] if meant or definitions.is_resource_type(segments[0]) else None
    if len(segments) > 4 and segments[-2] == "_history":
        del segments[-2:]
    if len(segments) > 3 and definitions.is_resource_type(segments[-2]):
        return segments[-2]
    return None


def stated_type(reference: dict[str, Any]) -> str | None:
    """Reference.type as a plain name: "Patient", also of its absolute url."""
    stated = reference.get("type")
    return stated.removeprefix(_TYPE_URL) if isinstance(stated, str) else None


def target_fault(
    reference: dict[str, Any], targets: frozenset[str] | None, contained: dict[str, str]
) -> str | None:
    """What is wrong with the type of a reference's target, as a sentence; None when nothing is known to be.

    contained: "#id" -> type of the contained resources in reach.
    """
    text = reference.get("reference")
    named = None
    if isinstance(text, str):
        named = contained.get(text) if text.startswith("#") else named_type(text)
    stated = stated_type(reference)
    if named is not None and stated is not None and named != stated:
        return f"refers to '{text}' but its type says '{stated}'; make them agree"
    target = named or stated
    if target is None:
        return None
    if targets is None:
        if definitions.is_resource_type(target) or target is stated:
            return None
        return f"refers to '{target}', which is no R4 resource type; correct '{text}'"
    if target in targets:
        return None
    return f"refers to a {target}; it may refer to {_listed(targets)} only"


def _listed(targets: frozenset[str]) -> str:
    *rest, last = sorted(targets)
    return f"{', '.join(rest)} or {last}" if rest else last
