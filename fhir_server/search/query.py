"""From the parameters of a search to what the store is asked and how the result is shaped.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial

from fhir_server.search.criteria import NotUnderstood, Reading, criterion
from fhir_server.search.expression import And, Expression, Query
from fhir_server.search.results import Include, Shape, Summary, Total, is_result
from fhir_server.search.settings import SearchSettings
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue

__all__ = ["Include", "Reader", "Search", "SearchSettings", "parse_criteria", "parse_search"]

# How a representation is chosen is the edge's business.
_REPRESENTATION = frozenset({"_format", "_pretty"})

Parameters = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Search:
    """A search as understood.

    query: for the store, with count as its limit; count 0: the total only. total None: not asked for.
    applied: the parameters in use, for the self link; warnings: one issue for each that is left out. criteria: each
    parameter that chooses matches, as it was read; explain: whether the caller wants to be told how.
    """

    query: Query
    count: int
    total: Total | None
    summary: Summary | None
    elements: tuple[str, ...]
    includes: tuple[Include, ...]
    revincludes: tuple[Include, ...]
    applied: tuple[tuple[str, str], ...]
    warnings: tuple[Issue, ...]
    criteria: tuple[Criterion, ...] = ()
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter, and what it asks."""

    name: str
    value: str
    expression: Expression


def parse_search(
    resource_types: tuple[str, ...], parameters: Parameters, *, settings: SearchSettings
) -> Search:
    """What the (percent-decoded) parameters ask for, of resources of at least one type.

    Raises FhirError 400 for values that are malformed and modifiers and prefixes that are not supported; under strict
    handling for parameters that are not understood, too; 403 for more than the settings allow.
    """
    return Reader(settings).search(resource_types, tuple(parameters))


class Reader:
    """Reads searches under the same settings, and remembers what it has read.

    Searches come again as a whole, as worklists do, and far more often in parts: the same status, week and order.
    Under one reader now stands still, so searches by the prefix ap are not for it to remember.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        self.search = lru_cache(maxsize=1024)(self._search)
        self.criteria = lru_cache(maxsize=1024)(partial(parse_criteria, settings=settings))
        self._criterion = lru_cache(maxsize=4096)(self._read)
        self._shape = lru_cache(maxsize=512)(self._shaped)

    def _read(
        self, resource_types: tuple[str, ...], name: str, value: str
    ) -> tuple[Expression | str, int]:
        """A criterion, or why it is not understood, and how many expressions it needs."""
        most = self.settings.maximum_expressions
        reading = Reading(self.settings, most)
        try:
            found: Expression | str = criterion(resource_types, name, value, reading)
        except NotUnderstood as error:
            found = f"{error}; the parameter is left out"
        return found, most - reading.remaining

    def _shaped(self, resource_types: tuple[str, ...], parameters: Parameters) -> Shape:
        """What the result parameters ask for."""
        shape = Shape(resource_types, self.settings)
        for name, value in parameters:
            shape.take(name, value)
        return shape

    def _search(self, resource_types: tuple[str, ...], parameters: Parameters) -> Search:
        settings = self.settings
        _check_number(parameters, settings)
        reading = Reading(settings, settings.maximum_expressions)
        criteria: list[Criterion] = []
        unknown: list[str] = []
        shaping: list[tuple[str, str]] = []
        for name, value in parameters:
            if name in _REPRESENTATION:
                continue
            if is_result(name):
                shaping.append((name, value))
            elif value.strip(","):
                found, needed = self._criterion(resource_types, name, value)
                reading.spend(needed)
                if isinstance(found, str):
                    unknown.append(found)
                else:
                    criteria.append(Criterion(name, value, found))
        shape = self._shape(resource_types, tuple(shaping))
        if shape.summary == "text" and (shape.includes or shape.revincludes):
            raise errors.invalid("_summary=text cannot be mixed with _include or _revinclude")
        unknown += shape.warnings
        if unknown and settings.handling == "strict":
            raise errors.FhirError(
                400, tuple(Issue("error", "not-supported", text) for text in unknown)
            )
        where = (
            criteria[0].expression
            if len(criteria) == 1
            else And(tuple(item.expression for item in criteria))
        )
        return Search(
            query=Query(resource_types, where, tuple(shape.sort), shape.limit()),
            count=shape.limit(),
            total=shape.total,
            summary=shape.summary,
            elements=tuple(shape.elements),
            includes=tuple(shape.includes),
            revincludes=tuple(shape.revincludes),
            applied=(*((item.name, item.value) for item in criteria), *shape.applied()),
            warnings=tuple(
                Issue("warning", "not-supported", text) for text in (*unknown, *shape.notes)
            ),
            criteria=tuple(criteria),
            explain=shape.explain,
        )


def parse_criteria(
    resource_type: str, parameters: Parameters, *, settings: SearchSettings
) -> Expression:
    """The expression of a conditional interaction's criteria (https://hl7.org/fhir/R4/http.html#ccreate).

    It fails closed whatever the handling: FhirError 400 for no criteria, an empty value, anything not understood, and
    parameters that shape a result, as each of them would let the criteria match more than was meant.
    """
    _check_number(parameters, settings)
    reading = Reading(settings, settings.maximum_expressions)
    parts: list[Expression] = []
    for name, value in parameters:
        if name in _REPRESENTATION:
            continue
        if is_result(name):
            raise errors.invalid(f"'{name[:64]}' is no criterion; leave it out")
        if not value.strip(","):
            raise errors.required(
                f"The criterion '{name[:64]}' has no value; give it one or leave it out"
            )
        try:
            parts.append(criterion((resource_type,), name, value, reading))
        except NotUnderstood as error:
            raise errors.not_supported(f"{error}; criteria must be understood completely") from None
    if not parts:
        raise errors.required(
            f"There are no criteria; select one {resource_type}, for example by identifier=system|value"
        )
    return parts[0] if len(parts) == 1 else And(tuple(parts))


def _check_number(parameters: Parameters, settings: SearchSettings) -> None:
    if len(parameters) > settings.maximum_parameters:
        raise errors.too_costly(
            f"The search has {len(parameters)} parameters; at most {settings.maximum_parameters} are allowed"
        )
