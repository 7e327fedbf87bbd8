"""Issues and the HTTP status that they mean (https://hl7.org/fhir/R4/http.html#rejecting-updates)."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from fhir_server.spec.errors import Issue

# What is not FHIR at all: the shape of the JSON, unknown properties, the form of values.
_SHAPE: Final = frozenset({"structure", "value"})
_REFUSED: Final = frozenset({"fatal", "error"})
_LONGEST: Final = 60


def fault(code: str, diagnostics: str, path: str) -> Issue:
    """An error at a place; the code structure or value says that it is no FHIR at all."""
    return Issue("error", code, diagnostics, (path,))


def refused(issue: Issue) -> bool:
    """Whether an issue stands against the resource."""
    return issue.severity in _REFUSED


def is_shape(issue: Issue) -> bool:
    """Whether an issue says that something is no FHIR at all; what only a profile asks for never does."""
    return issue.code in _SHAPE and issue.profile is None


def status(issues: Iterable[Issue]) -> int:
    """400 when an error says that this is not FHIR (shape, unknown elements, values); else 422."""
    return 400 if any(refused(item) and is_shape(item) for item in issues) else 422


def shown(value: object) -> str:
    """A JSON value as a sentence shows it: short, strings in single quotes."""
    if isinstance(value, str):
        text = value if len(value) <= _LONGEST else value[:_LONGEST] + "…"
        return f"'{text}'"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, list):
        return "an array"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, (int, float, Decimal)):
        return _number(value)
    return f"a {type(value).__name__}"


def _number(value: float | Decimal) -> str:
    try:
        text = str(value)
    except ValueError:  # an int of thousands of digits
        return "a number too long to show"
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
