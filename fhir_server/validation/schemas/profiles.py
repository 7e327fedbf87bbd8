"""What a profile asks beyond its base, as JSON Schema; conditions on objects that are of the base already.

Slices are told apart by the values of their discriminators; those by other means, constraints in FHIRPath and what a
reference leads to are left to the validator. https://hl7.org/fhir/R4/profiling.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.spec.json_format import FhirDecimal
from fhir_server.validation.profiles.demands import Child, Demand, Slice, Slicing, Test
from fhir_server.validation.profiles.library import Library
from fhir_server.validation.rules import Kind
from fhir_server.validation.schemas.codes import bound
from fhir_server.validation.schemas.types import NULL, present, reference

Json = dict[str, Any]


class ProfileSchemas:
    """Schemas of the profiles of a library; named: the profiles that were referred to, by the name of their schema."""

    def __init__(self, library: Library) -> None:
        self._library = library
        self.named: dict[str, str] = {}

    def of(self, url: str) -> Json:
        """What the profile with that canonical url asks; KeyError when it is not known."""
        profile = self._library.profile(url)
        if profile is None:
            raise KeyError(url)
        return _all([*self._demanded(profile.root, profile.type)])

    def refer(self, url: str) -> Json:
        """A reference to the schema of a profile."""
        name = url.rpartition("/")[2]
        self.named[name] = url
        return reference(name)

    def _demanded(self, demand: Demand, kind: str) -> Iterator[Json]:
        """What is asked of one value of that type."""
        if demand.fixed is not None:
            yield {"const": _plain(demand.fixed)}
        if demand.pattern is not None:
            yield _pattern(demand.pattern)
        if demand.binding is not None and demand.binding.strength == "required":
            codes = self._library.terminology.members(demand.binding.value_set)
            if codes is not None:
                yield bound(sorted(codes), kind)
        for url in (demand.profiles or {}).get("Extension", ()):
            if self._library.profile(url) is not None:
                yield self.refer(url)
        for child in demand.children:
            yield from self._child(child)

    def _child(self, child: Child) -> Iterator[Json]:
        kinds = child.element.kinds
        types = child.each.types
        allowed = [kind for kind in kinds if types is None or kind.type in types]
        if child.maximum == 0:
            allowed = []
        refused = [kind for kind in kinds if kind not in allowed]
        if refused:
            yield {"properties": {name: False for kind in refused for name in _names(kind)}}
        if child.minimum > child.element.minimum and allowed:
            ways = [present(kind) for kind in allowed]
            yield ways[0] if len(ways) == 1 else {"anyOf": ways}
        for kind in allowed:
            value = _all([*self._demanded(child.each, kind.type)])
            made = self._many(child, kind, value) if child.element.many else value
            if made:
                yield {"properties": {kind.name: made}}

    def _many(self, child: Child, kind: Kind, value: Json) -> Json:
        made: Json = {}
        if child.minimum > max(1, child.element.minimum):
            made["minItems"] = child.minimum
        if child.maximum is not None:
            made["maxItems"] = child.maximum
        if value:
            made["items"] = {"anyOf": [value, NULL]} if kind.sibling else value
        slices = self._slices(child.slicing, kind) if child.slicing is not None else []
        return _all([made, *slices]) if slices else made

    def _slices(self, slicing: Slicing, kind: Kind) -> list[Json]:
        told = [
            (item, condition)
            for item in slicing.slices
            if (condition := self._condition(item, kind)) is not None
        ]
        made = []
        for item, condition in told:
            if item.minimum or item.maximum is not None:
                number: Json = {"contains": condition, "minContains": item.minimum}
                if item.maximum is not None:
                    number["maxContains"] = item.maximum
                made.append(number)
            each = _all([*self._demanded(item.each, kind.type)])
            if each:
                made.append({"items": {"if": condition, "then": each}})
        if slicing.rules == "closed" and len(told) == len(slicing.slices) and not slicing.default:
            made.append({"items": {"anyOf": [condition for _, condition in told]}})
        return made

    def _condition(self, item: Slice, kind: Kind) -> Json | None:
        """That a value belongs to a slice; None when that cannot be said."""
        if not item.tests:
            return None
        found = [self._test(test, kind) for test in item.tests]
        return None if None in found else _all([part for part in found if part])

    def _test(self, test: Test, kind: Kind) -> Json | None:
        if test.wanted is None or not all(part.isalpha() for part in _steps(test.path)):
            return None
        made = _all([*self._demanded(test.wanted, kind.type)])
        for step in reversed(_steps(test.path)):
            made = {"required": [step], "properties": {step: made}}
        return made


def _steps(path: str) -> list[str]:
    return [] if path == "$this" else path.removeprefix("$this.").split(".")


def _names(kind: Kind) -> tuple[str, ...]:
    return (kind.name, "_" + kind.name) if kind.sibling else (kind.name,)


def _pattern(value: Any) -> Json:
    """What holds of a value that has at least what the pattern has."""
    if isinstance(value, dict):
        properties = {name: _pattern(item) for name, item in value.items()}
        return {"type": "object", "required": list(properties), "properties": properties}
    if isinstance(value, list):
        return {"type": "array", "allOf": [{"contains": _pattern(item)} for item in value]}
    return {"const": _plain(value)}


def _plain(value: Any) -> Any:
    if isinstance(value, FhirDecimal):
        return float(value.text)
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list) else value


def _all(parts: list[Json]) -> Json:
    """All of the schemas, as one."""
    kept = [part for part in parts if part]
    if len(kept) == 1:
        return kept[0]
    return {"allOf": kept} if kept else {}
