"""The parameters that shape a search's result: order, page, total, summary, elements and includes.

https://hl7.org/fhir/R4/search.html#return
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, cast

from fhir_server.search.criteria import NotUnderstood, find
from fhir_server.search.expression import SortKey
from fhir_server.search.parameters import parameters, supported
from fhir_server.search.settings import SearchSettings
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type, node_type

Summary = Literal["true", "text", "data", "count", "false"]
Total = Literal["none", "estimate", "accurate"]

_WHOLE = re.compile(r"\d{1,9}", re.ASCII)
_ONCE = frozenset({"_count", "_summary", "_total", "_explain"})
_MOST_KEYS = 10
_MOST_INCLUDES = 20


@dataclass(frozen=True, slots=True)
class Include:
    """One _include, or _revinclude when reverse: resources of source_type refer by the parameters to target_type.

    source_type and target_type None: any; no parameters: every reference; iterate: from included resources too.
    """

    source_type: str | None
    parameters: tuple[int, ...]
    target_type: str | None
    iterate: bool
    reverse: bool = False


@dataclass(slots=True)
class Shape:
    """What the result parameters of one search have asked for so far."""

    resource_types: tuple[str, ...]
    settings: SearchSettings
    sort: list[SortKey] = field(default_factory=list)
    sorted_by: list[str] = field(default_factory=list)
    count: int | None = None
    summary: Summary | None = None
    total: Total | None = None
    elements: list[str] = field(default_factory=list)
    includes: list[Include] = field(default_factory=list)
    revincludes: list[Include] = field(default_factory=list)
    included: list[tuple[str, str]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    explain: bool = False
    seen: set[str] = field(default_factory=set)

    def take(self, name: str, value: str) -> None:
        """Read one result parameter (see is_result).

        FhirError 400 for a modifier or value that cannot be. What is not understood is left out and goes to warnings;
        notes tell of what is used, but has no effect.
        """
        code, colon, modifier = name.partition(":")
        if colon and (code, modifier) not in (("_include", "iterate"), ("_revinclude", "iterate")):
            raise errors.not_supported(
                f"The modifier ':{modifier[:64]}' of {code} is not supported"
            )
        if code in _ONCE and code in self.seen:
            raise errors.invalid(f"{code} is there twice; keep one of them")
        self.seen.add(code)
        if value:
            _READERS[code](self, name, value)

    def applied(self) -> list[tuple[str, str]]:
        """The result parameters that are used, with the defaults and limits that were applied."""
        found = [*self.included]
        if self.sorted_by:
            found.append(("_sort", ",".join(self.sorted_by)))
        if self.elements:
            found.append(("_elements", ",".join(self.elements)))
        if self.summary is not None:
            found.append(("_summary", self.summary))
        if self.total is not None:
            found.append(("_total", self.total))
        if self.explain:
            found.append(("_explain", "true"))
        if self.summary != "count":
            found.append(("_count", str(self.limit())))
        return found

    def limit(self) -> int:
        """How many matches a page has; 0 for the total only."""
        if self.summary == "count":
            return 0
        return self.settings.default_count if self.count is None else self.count


def is_result(name: str) -> bool:
    """Whether a parameter shapes the result, and does not choose what is in it."""
    return name.partition(":")[0] in _READERS


def _sort(shape: Shape, _: str, value: str) -> None:
    for item in value.split(","):
        if not item:
            continue
        if len(shape.sort) >= _MOST_KEYS:
            raise errors.too_costly(f"_sort has more than {_MOST_KEYS} keys")
        descending = item.startswith("-")
        code, colon, modifier = item.removeprefix("-").partition(":")
        if colon:
            raise errors.not_supported(
                f"':{modifier[:64]}' in _sort is not supported; write -{code[:64]} for descending order"
            )
        try:
            key = _key(shape, code, descending)
        except NotUnderstood as unknown:
            shape.warnings.append(f"_sort by '{code[:64]}' is left out: {unknown}")
        else:
            shape.sort.append(key)
            shape.sorted_by.append(item)


def _key(shape: Shape, code: str, descending: bool) -> SortKey:
    if code == "_id":
        return SortKey("id", (), descending)
    if code == "_lastUpdated":
        return SortKey("last-updated", (), descending)
    if code == "_score":
        raise NotUnderstood("matches have no score")
    found = find(shape.resource_types, code, shape.settings)
    kind = found[0].type
    if kind == "composite" or kind == "special" or code in ("_text", "_content"):
        raise NotUnderstood(f"'{code[:64]}' is a {kind} parameter, which has no order")
    return SortKey(kind, tuple(item.number for item in found), descending)


def _count(shape: Shape, _: str, value: str) -> None:
    if _WHOLE.fullmatch(value) is None:
        raise errors.invalid(f"_count is '{value[:64]}'; use a whole number from 0")
    shape.count = min(int(value), shape.settings.maximum_count)


def _summary(shape: Shape, _: str, value: str) -> None:
    if value not in ("true", "text", "data", "count", "false"):
        raise errors.invalid(f"_summary is '{value[:64]}'; use true, text, data, count or false")
    shape.summary = cast("Summary", value)


def _total(shape: Shape, _: str, value: str) -> None:
    if value not in ("none", "estimate", "accurate"):
        raise errors.invalid(f"_total is '{value[:64]}'; use none, estimate or accurate")
    shape.total = cast("Total", value)


def _elements(shape: Shape, _: str, value: str) -> None:
    known = {
        item.element
        for name in shape.resource_types
        for item in node_type(name).properties.values()
    }
    for item in value.split(","):
        if item and item not in known:
            where = (
                shape.resource_types[0] if len(shape.resource_types) == 1 else "None of the types"
            )
            shape.warnings.append(f"_elements: {where} has no element '{item[:64]}' at its root")
        elif item and item not in shape.elements:
            shape.elements.append(item)


def _contained(shape: Shape, name: str, value: str) -> None:
    if name == "_contained" and value != "false":
        raise errors.not_supported(
            "This server does not search for contained resources; _contained is false or left out"
        )
    if name == "_containedType":
        shape.warnings.append(f"This server does not search for contained resources ({name})")


def _include(shape: Shape, name: str, value: str) -> None:
    found = _read_include(shape, name, value)
    if found is None:
        return
    if not found.iterate and found.source_type not in (None, *shape.resource_types):
        shape.notes.append(
            f"{name}={value[:200]} starts from {found.source_type}, which is not searched:"
            " it adds nothing; write _include:iterate to start from included resources"
        )
    shape.includes.append(found)
    shape.included.append((name, value))


def _revinclude(shape: Shape, name: str, value: str) -> None:
    found = _read_include(shape, name, value)
    if found is not None:
        shape.revincludes.append(found)
        shape.included.append((name, value))


def _read_include(shape: Shape, name: str, value: str) -> Include | None:
    """Type:parameter, Type:parameter:Target, Type:* and *."""
    if len(shape.included) >= _MOST_INCLUDES:
        raise errors.too_costly(f"The search has more than {_MOST_INCLUDES} includes")
    iterate = name.endswith(":iterate")
    if value == "*":
        return Include(None, (), None, iterate, name.startswith("_rev"))
    parts = value.split(":")
    source, code = (*parts, "")[:2]
    target = parts[2] if len(parts) == 3 else None
    problem = _include_problem(parts, source, code, target, shape.settings)
    if problem:
        shape.warnings.append(f"{name}={value[:200]} is left out: {problem}")
        return None
    numbers = tuple(
        item.number
        for item in (*parameters(source), *shape.settings.catalogue.of(source))
        if item.type == "reference" and supported(item) and code in ("*", item.code)
    )
    return Include(source, numbers, target, iterate, name.startswith("_rev"))


def _include_problem(
    parts: list[str], source: str, code: str, target: str | None, settings: SearchSettings
) -> str:
    if not 2 <= len(parts) <= 3 or not all(parts):
        return "write Type:parameter or Type:parameter:Target"
    if not is_resource_type(source):
        return f"'{source[:64]}' is no resource type"
    if target is not None and not is_resource_type(target):
        return f"'{target[:64]}' is no resource type"
    if code == "*":
        return ""
    try:
        found = find((source,), code, settings)[0]
    except NotUnderstood as unknown:
        return f"{unknown}"
    if found.type != "reference":
        return f"'{code}' of {source} is not a reference"
    if target is not None and found.targets and target not in found.targets:
        return f"'{code}' of {source} does not refer to {target}"
    return ""


def _explain(shape: Shape, _: str, value: str) -> None:
    if value not in ("true", "false"):
        raise errors.invalid(f"_explain is '{value[:64]}'; use true or false")
    shape.explain = value == "true"


_READERS: dict[str, Callable[[Shape, str, str], None]] = {
    "_sort": _sort,
    "_count": _count,
    "_summary": _summary,
    "_total": _total,
    "_elements": _elements,
    "_include": _include,
    "_revinclude": _revinclude,
    "_contained": _contained,
    "_containedType": _contained,
    "_explain": _explain,
}
