"""One search parameter with its modifier and value becomes an expression (https://hl7.org/fhir/R4/search.html#modifiers)."""

from __future__ import annotations

import difflib
import time
from typing import TYPE_CHECKING

from fhir_server.search import expression as x
from fhir_server.search import values
from fhir_server.search.expression import Expression
from fhir_server.search.parameters import (
    IDENTIFIER,
    SearchParameter,
    parameter,
    parameters,
    supported,
)
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type, resource_types
from fhir_server.spec.errors import FhirError, Issue

if TYPE_CHECKING:
    from fhir_server.search.query import SearchSettings

_MODIFIERS = {
    "token": ("missing", "not"),
    "string": ("missing", "exact", "contains"),
    "reference": ("missing", "identifier"),
    "date": ("missing",),
    "number": ("missing",),
    "quantity": ("missing",),
    "uri": ("missing", "below", "above"),
}
# Defined by R4, not offered (yet): known by name, so that the answer can say so.
_SPECIAL = (
    "_text",
    "_content",
    "_filter",
    "_list",
    "_query",
    "_contained",
    "_containedType",
    "_type",
    "_has",
)


class Unknown(FhirError):
    """A parameter that is not known or not offered: an error when strict, a warning when lenient."""

    def __init__(self, code: str, diagnostics: str) -> None:
        super().__init__(400, (Issue("error", code, diagnostics),))

    @property
    def issue(self) -> Issue:
        """What is wrong."""
        return self.issues[0]


class Filters:
    """Reads the parameters that select, for one or several types."""

    def __init__(
        self, resource_types: tuple[str, ...], settings: SearchSettings, depth: int = 0
    ) -> None:
        self.types = resource_types
        self.settings = settings
        self.depth = depth
        if depth > settings.maximum_depth:
            raise errors.too_costly(f"Chains go at most {settings.maximum_depth} references deep")

    def read(self, name: str, value: str) -> Expression:
        """The expression of one parameter.

        Raises Unknown for a parameter that is not offered, another FhirError 400 for a malformed value or a
        modifier that the parameter does not take.
        """
        if name.startswith("_has:"):
            return self._has(name, value)
        head, dot, rest = name.partition(".")
        code, _, modifier = head.partition(":")
        if code == "_id" and not dot:
            return self._id(modifier, value)
        if code == "_lastUpdated" and not dot:
            return self._last_updated(modifier, value)
        found = self._parameters(code)
        if dot:
            return self._chain(found, modifier, rest, value)
        return self._filter(found, modifier, value)

    def _parameters(self, code: str) -> list[SearchParameter]:
        """The parameter of each type searched."""
        if code in _SPECIAL:
            raise Unknown("not-supported", f"The parameter {code} is not offered by this server.")
        found = [parameter(name, code) for name in self.types]
        known = [item for item in found if item is not None]
        if len(known) != len(found):
            if len(self.types) > 1 and known:
                raise errors.invalid(
                    f"{code} is not common to all types searched; name the types that have it by _type"
                )
            raise Unknown("not-supported", self._no_such(code))
        if not all(supported(item) for item in known):
            raise Unknown(
                "not-supported",
                f"The {known[0].type} parameter {code} is not offered by this server.",
            )
        return known

    def _no_such(self, code: str) -> str:
        where = self.types[0] if len(self.types) == 1 else "all types searched"
        near = difflib.get_close_matches(code, [item.code for item in parameters(self.types[0])], 3)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        return f"There is no search parameter '{code[:64]}' on {where}.{hint}"

    def _split(self, name: str, value: str) -> list[str]:
        parts = [part for part in values.split(value, ",") if part]
        if not parts:
            values.refuse(name, value, "at least one value")
        if len(parts) > self.settings.maximum_values:
            raise errors.too_costly(
                f"{name} lists {len(parts)} values; at most {self.settings.maximum_values} are searched at once"
            )
        return parts

    def _id(self, modifier: str, value: str) -> Expression:
        if modifier == "not":
            return x.Not(x.IdIn(tuple(self._split("_id", value))))
        if modifier:
            raise _no_modifier("_id", modifier, ("not",))
        return x.IdIn(tuple(self._split("_id", value)))

    def _last_updated(self, modifier: str, value: str) -> Expression:
        if modifier:
            raise _no_modifier("_lastUpdated", modifier, ())
        return x.LastUpdated(self._dates("_lastUpdated", value))

    def _dates(self, name: str, value: str) -> tuple[x.Range, ...]:
        now = time.time_ns() // 1000
        zone = self.settings.zone
        return tuple(values.date(name, part, zone, now) for part in self._split(name, value))

    def _filter(self, found: list[SearchParameter], modifier: str, value: str) -> Expression:
        first = found[0]
        numbers = tuple(item.number for item in found)
        if modifier == "missing":
            return _missing(first, numbers, value)
        allowed = _MODIFIERS[first.type]
        is_type = first.type == "reference" and is_resource_type(modifier)
        if modifier and modifier not in allowed and not is_type:
            raise _no_modifier(first.code, modifier, allowed)
        match first.type:
            case "token":
                return self._token(first, numbers, modifier, value)
            case "reference":
                return self._reference(found, numbers, modifier, value)
            case "string":
                return self._string(first.code, numbers, modifier, value)
            case "date":
                return x.DateMatch(numbers, self._dates(first.code, value))
            case "number":
                return x.NumberMatch(
                    numbers,
                    tuple(
                        values.number(first.code, part) for part in self._split(first.code, value)
                    ),
                )
            case "quantity":
                parts = self._split(first.code, value)
                return x.QuantityMatch(
                    numbers, tuple(values.quantity(first.code, part) for part in parts)
                )
            case "uri":
                return self._uri(first.code, numbers, modifier, value)
        raise AssertionError(first)

    def _token(
        self, first: SearchParameter, numbers: tuple[int, ...], modifier: str, value: str
    ) -> Expression:
        tokens = tuple(values.token(first.code, part) for part in self._split(first.code, value))
        found = x.TokenMatch(numbers, tokens)
        return x.Not(found) if modifier == "not" else found

    def _string(self, name: str, numbers: tuple[int, ...], modifier: str, value: str) -> Expression:
        parts = [values.unescape(part) for part in self._split(name, value)]
        if modifier == "exact":
            return x.StringMatch(numbers, "exact", tuple(parts))
        folded = tuple(values.fold(part) for part in parts)
        return x.StringMatch(numbers, "contains" if modifier == "contains" else "starts", folded)

    def _uri(self, name: str, numbers: tuple[int, ...], modifier: str, value: str) -> Expression:
        parts = [values.unescape(part) for part in self._split(name, value)]
        if modifier:
            return x.UriMatch(numbers, "below" if modifier == "below" else "above", tuple(parts))
        return x.Or(tuple(_versioned_uri(numbers, part) for part in parts))

    def _reference(
        self, found: list[SearchParameter], numbers: tuple[int, ...], modifier: str, value: str
    ) -> Expression:
        first = found[0]
        if modifier == "identifier":
            tokens = tuple(
                values.token(first.code, part) for part in self._split(first.code, value)
            )
            return x.TokenMatch(tuple(number + IDENTIFIER for number in numbers), tokens)
        targets = _targets(found)
        if modifier and modifier not in targets:
            raise errors.invalid(
                f"{first.code} does not refer to {modifier}; it refers to {', '.join(targets[:20])}"
            )
        bases = self.settings.base_urls
        listed = tuple(
            values.reference(first.code, part, targets, bases, modifier or None)
            for part in self._split(first.code, value)
        )
        return x.ReferenceMatch(numbers, listed)

    def _chain(
        self, found: list[SearchParameter], modifier: str, rest: str, value: str
    ) -> Expression:
        first = found[0]
        if first.type != "reference":
            raise errors.invalid(f"{first.code} is no reference: nothing can be chained after it")
        targets = _targets(found)
        if modifier:
            if modifier not in targets:
                raise errors.invalid(
                    f"{first.code} does not refer to '{modifier[:64]}'; it refers to {', '.join(targets[:20])}"
                )
            targets = (modifier,)
        numbers = tuple(item.number for item in found)
        parts: list[Expression] = []
        unknown: FhirError | None = None
        for target in targets:
            try:
                inner = Filters((target,), self.settings, self.depth + 1).read(rest, value)
            except Unknown as error:
                unknown = error
                continue
            parts.append(x.Chain(numbers, target, inner))
        if not parts:
            assert unknown is not None
            raise unknown
        return parts[0] if len(parts) == 1 else x.Or(tuple(parts))

    def _has(self, name: str, value: str) -> Expression:
        """_has:[type]:[reference]:[parameter], the last of which may be a chain or another _has."""
        parts = name.split(":", 3)
        if len(parts) != 4 or not is_resource_type(parts[1]) or not parts[3]:
            raise errors.invalid(
                f"'{name[:100]}' is not _has:[type]:[reference parameter]:[parameter]"
            )
        _, source, code, rest = parts
        by = parameter(source, code)
        if by is None or by.type != "reference":
            raise errors.invalid(f"_has: {source} has no reference parameter '{code[:64]}'")
        if not any(item in _targets([by]) for item in self.types):
            raise errors.invalid(f"_has: {source}.{code} does not refer to {self.types[0]}")
        inner = Filters((source,), self.settings, self.depth + 1).read(rest, value)
        return x.Has(source, (by.number,), inner)


def _targets(found: list[SearchParameter]) -> tuple[str, ...]:
    """The concrete types that the parameters may refer to."""
    named = dict.fromkeys(name for item in found for name in item.targets)
    return resource_types() if "Resource" in named else tuple(named)


def _no_modifier(code: str, modifier: str, allowed: tuple[str, ...]) -> FhirError:
    offered = " and ".join(f":{item}" for item in allowed) or "none"
    return errors.not_supported(
        f"{code} does not take the modifier ':{modifier[:64]}'; it takes {offered}"
    )


def _missing(first: SearchParameter, numbers: tuple[int, ...], value: str) -> Expression:
    if value not in ("true", "false"):
        values.refuse(f"{first.code}:missing", value, "true or false")
    table = first.type
    present: Expression = x.Present(table, numbers)  # type: ignore[arg-type] # supported types are tables
    if table == "reference":
        identified = tuple(number + IDENTIFIER for number in numbers)
        present = x.Or((present, x.Present("token", identified)))
    return x.Not(present) if value == "true" else present


def _versioned_uri(numbers: tuple[int, ...], text: str) -> x.UriMatch:
    """canonical|version, or any uri."""
    value, _, version = text.partition("|")
    return x.UriMatch(numbers, "exact", (value,), version)
