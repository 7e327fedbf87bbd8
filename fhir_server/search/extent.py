"""How many entries a resource can have for a parameter, and how much time one of them covers.

https://hl7.org/fhir/R4/searchparameter.html#expression
"""

from __future__ import annotations

from functools import cache

from fhir_server.search.parameters import CUSTOM, by_number
from fhir_server.search.paths import paths

SECOND = 1_000_000
YEAR = 366 * 86_400 * SECOND
# Types whose values have one entry each.
_SIMPLE = frozenset(
    {"code", "boolean", "date", "dateTime", "instant", "Period", "decimal", "integer", "positiveInt", "unsignedInt",
     "uri", "url", "canonical", "Quantity", "Reference"}
)  # fmt: skip


@cache
def single(number: int) -> bool:
    """Whether a resource has at most one entry for the parameter with that number."""
    if number >= CUSTOM:
        return False
    listed = paths(by_number(number))
    if not listed:
        return False
    elements = {tuple(step.property.element for step in path.steps) for path in listed}
    return len(elements) == 1 and all(
        path.type in _SIMPLE and not any(step.property.many for step in path.steps)
        for path in listed
    )


@cache
def width(number: int) -> int | None:
    """The most that a date entry covers, in microseconds; None where a Period has no limit."""
    listed = paths(by_number(number)) if number < CUSTOM else None
    types = {path.type for path in listed or ()}
    if types == {"instant"}:
        return SECOND
    return YEAR if types and types <= {"instant", "date", "dateTime"} else None
