"""The text of a search becomes an expression; nothing in it is ignored in silence.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Query, SortKey
from fhir_server.search.filters import Filters, Unknown
from fhir_server.search.parameters import parameter, parameters, supported
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import FhirError, Issue

Parameters = Sequence[tuple[str, str]]
RESULT_PARAMETERS = (
    "_count", "_elements", "_include", "_revinclude", "_sort", "_summary", "_total",
)  # fmt: skip
_SKIPPED = ("_format", "_pretty")
_MOST_INCLUDES = 20


@dataclass(frozen=True, slots=True)
class SearchSettings:
    """How a deployment and a caller want searches to be read; base_urls: this server's own."""

    default_count: int = 20
    maximum_count: int = 1000
    handling: Literal["strict", "lenient"] = "lenient"
    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("Europe/London"))
    base_urls: tuple[str, ...] = ()
    maximum_values: int = 1000
    maximum_parameters: int = 100
    maximum_depth: int = 8


@dataclass(frozen=True, slots=True)
class Include:
    """An _include or _revinclude: references of source_type by the parameters, to target_type if named."""

    source_type: str | None
    parameters: tuple[int, ...]
    target_type: str | None
    iterate: bool


@dataclass(frozen=True, slots=True)
class Search:
    """A search that was understood: what to find, what to show, what was used of the text, and what was not.

    total None: only if it costs nothing. count 0: the total only. applied: name and value pairs for the self link.
    """

    query: Query
    includes: tuple[Include, ...]
    revincludes: tuple[Include, ...]
    total: Literal["none", "estimate", "accurate"] | None
    summary: Literal["true", "text", "data", "count", "false"] | None
    elements: tuple[str, ...]
    count: int
    applied: tuple[tuple[str, str], ...]
    warnings: tuple[Issue, ...]


def parse_search(
    resource_types: tuple[str, ...], given: Parameters, *, settings: SearchSettings
) -> Search:
    """A search of those types.

    Raises FhirError 400 for a malformed value, an unsupported modifier, and (strict) an unknown parameter.
    """
    reader = _Reader(resource_types, settings)
    if len(given) > settings.maximum_parameters:
        raise errors.too_costly(
            f"The search has {len(given)} parameters; at most {settings.maximum_parameters} are read"
        )
    for name, value in given:
        reader.read(name, value)
    return reader.search()


def parse_criteria(
    resource_type: str, given: Parameters, *, settings: SearchSettings
) -> Expression:
    """The criteria of a conditional interaction: strict, without result parameters, never empty.

    Raises FhirError 400, or 412 when nothing selects.
    """
    filters = Filters((resource_type,), settings)
    parts = []
    for name, value in given:
        if name in _SKIPPED:
            continue
        if name in RESULT_PARAMETERS:
            raise errors.invalid(f"{name} shapes a result; criteria only select")
        if value:
            parts.append(filters.read(name, value))
    if not parts:
        raise errors.precondition_failed(
            "The criteria are empty: they would select everything", "invalid"
        )
    return x.And(tuple(parts))


class _Reader:
    """Reads one search parameter after another."""

    def __init__(self, resource_types: tuple[str, ...], settings: SearchSettings) -> None:
        self.types = resource_types
        self.settings = settings
        self.filters = Filters(resource_types, settings)
        self.parts: list[Expression] = []
        self.sort: tuple[SortKey, ...] = ()
        self.includes: list[Include] = []
        self.revincludes: list[Include] = []
        self.applied: list[tuple[str, str]] = []
        self.warnings: list[Issue] = []
        self.shape: dict[str, str] = {}

    def read(self, name: str, value: str) -> None:
        if name in _SKIPPED or not value:
            return
        try:
            used = self._result(name, value)
            if used is None:
                self.parts.append(self.filters.read(name, value))
                used = value
        except Unknown as unknown:
            self._unknown(unknown.issue)
            return
        self.applied.append((name, used))

    def _unknown(self, issue: Issue) -> None:
        if self.settings.handling == "strict":
            raise FhirError(400, (issue,))
        told = f"{issue.diagnostics} It was ignored."
        self.warnings.append(Issue("warning", issue.code, told, issue.expression))

    def _result(self, name: str, value: str) -> str | None:
        """What was used of a result parameter, or None for a parameter that selects."""
        base, _, modifier = name.partition(":")
        if base in ("_include", "_revinclude"):
            return self._include(base, modifier, value)
        if base not in RESULT_PARAMETERS:
            return None
        if modifier:
            raise errors.not_supported(f"{base} takes no modifier, but '{modifier[:64]}' is there")
        if base in self.shape:
            raise errors.invalid(f"{base} is there twice; send it once")
        self.shape[base] = value
        match base:
            case "_count":
                return self._count(value)
            case "_sort":
                return self._sort(value)
            case "_summary":
                return _one_of(base, value, ("true", "text", "data", "count", "false"))
            case "_total":
                return _one_of(base, value, ("none", "estimate", "accurate"))
            case "_elements":
                return value
        raise AssertionError(base)

    def _count(self, value: str) -> str:
        if not (value.isascii() and value.isdigit()):
            raise errors.invalid(
                f"_count is '{value[:64]}'; write a whole number that is not negative"
            )
        self.shape["_count"] = str(min(int(value[:9]), self.settings.maximum_count))
        return self.shape["_count"]

    def _sort(self, value: str) -> str | None:
        keys, used = [], []
        for item in value.split(","):
            name = item.removeprefix("-")
            try:
                keys.append(self._sort_key(name, descending=item.startswith("-")))
                used.append(item)
            except Unknown as unknown:
                self._unknown(unknown.issue)
        self.sort = tuple(keys)
        if not used:
            raise Unknown("not-supported", "_sort names no key that can be sorted by.")
        return ",".join(used)

    def _sort_key(self, name: str, *, descending: bool) -> SortKey:
        if name == "_lastUpdated":
            return SortKey("last-updated", (), descending)
        if name == "_id":
            return SortKey("id", (), descending)
        found = [parameter(item, name) for item in self.types]
        known = [item for item in found if item is not None and supported(item)]
        if len(known) != len(found):
            raise Unknown(
                "not-supported", f"_sort: '{name[:64]}' is no parameter that can be sorted by."
            )
        return SortKey(known[0].type, tuple(item.number for item in known), descending)  # type: ignore[arg-type] # supported types are tables

    def _include(self, base: str, modifier: str, value: str) -> str:
        if modifier not in ("", "iterate"):
            raise errors.not_supported(
                f"{base} knows the modifier :iterate, not ':{modifier[:64]}'"
            )
        listed = self.includes if base == "_include" else self.revincludes
        if len(listed) >= _MOST_INCLUDES:
            raise errors.too_costly(f"{base} is there more than {_MOST_INCLUDES} times")
        listed.append(self._parsed_include(base, value, iterate=modifier == "iterate"))
        return value

    def _parsed_include(self, base: str, value: str, *, iterate: bool) -> Include:
        source, *rest = value.split(":")
        if value == "*":
            if base == "_revinclude":
                raise errors.too_costly("_revinclude=* could reach everything; name the types")
            numbers = _reference_numbers(self.types)
            return Include(None, numbers, None, iterate)
        if not is_resource_type(source) or len(rest) not in (1, 2):
            raise Unknown(
                "invalid",
                f"{base}: '{value[:100]}' is not [type]:[parameter] or [type]:[parameter]:[target].",
            )
        target = rest[1] if len(rest) == 2 and rest[1] else None
        if target is not None and not is_resource_type(target):
            raise Unknown("invalid", f"{base}: '{target[:64]}' is no resource type.")
        if rest[0] == "*":
            return Include(source, _reference_numbers((source,)), target, iterate)
        found = parameter(source, rest[0])
        if found is None or found.type != "reference":
            raise Unknown(
                "not-supported", f"{base}: {source} has no reference parameter '{rest[0][:64]}'."
            )
        return Include(source, (found.number,), target, iterate)

    def search(self) -> Search:
        """Everything that was read."""
        count = int(self.shape.get("_count", self.settings.default_count))
        summary = self.shape.get("_summary")
        if summary == "count":
            count = 0
        if summary == "text" and (self.includes or self.revincludes):
            raise errors.invalid("_summary=text cannot be combined with _include or _revinclude")
        elements = tuple(
            item.strip() for item in self.shape.get("_elements", "").split(",") if item.strip()
        )
        query = Query(self.types, x.And(tuple(self.parts)), self.sort, limit=max(count, 1))
        applied = list(self.applied)
        if "_count" not in self.shape and count:
            applied.append(("_count", str(count)))
        return Search(
            query,
            tuple(self.includes),
            tuple(self.revincludes),
            self.shape.get("_total"),  # type: ignore[arg-type] # checked when read
            summary,  # type: ignore[arg-type] # checked when read
            elements,
            count,
            tuple(applied),
            tuple(self.warnings),
        )


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise errors.invalid(f"{name} is '{value[:64]}'; use {', '.join(allowed)}")
    return value


def _reference_numbers(resource_types: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(
        item.number
        for name in resource_types
        for item in parameters(name)
        if item.type == "reference"
    )
