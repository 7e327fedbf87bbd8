"""The Prefer header: what to return and how to treat unknown parameters (https://hl7.org/fhir/R4/http.html#ops)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Representation = Literal["representation", "minimal", "OperationOutcome"]


@dataclass(frozen=True, slots=True)
class Preferences:
    """A caller's preferences; an unknown one is ignored, as RFC 7240 says."""

    representation: Representation = "representation"
    handling: Literal["strict", "lenient"] = "lenient"
    handling_stated: bool = False


_DEFAULT = Preferences()


@lru_cache(maxsize=128)
def read_preferences(header: str | None) -> Preferences:
    """The preferences that a Prefer header states; the first of contradicting ones counts."""
    if not header:
        return _DEFAULT
    stated: dict[str, str] = {}
    for item in header.replace(";", ",").split(","):
        name, _, value = item.partition("=")
        stated.setdefault(name.strip().lower(), value.strip().strip('"'))
    representation: Representation = "representation"
    match stated.get("return"):
        case "minimal":
            representation = "minimal"
        case "OperationOutcome":
            representation = "OperationOutcome"
    handling = stated.get("handling")
    return Preferences(
        representation,
        "strict" if handling == "strict" else "lenient",
        handling in ("strict", "lenient"),
    )
