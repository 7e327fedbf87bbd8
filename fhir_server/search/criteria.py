"""One search criterion, a name with a modifier or chain and a value, as an expression.

https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from dataclasses import dataclass

from fhir_server.search import expression as x
from fhir_server.search import literals
from fhir_server.search.custom import ready
from fhir_server.search.expression import Expression
from fhir_server.search.filter import (
    Comparison,
    Filter,
    Hop,
    Joined,
    Negated,
    compared,
    parse_filter,
)
from fhir_server.search.modifiers import Asked, check_target, match
from fhir_server.search.parameters import (
    IDENTIFIER,
    SearchParameter,
    parameter,
    parameters,
    supported,
)
from fhir_server.search.settings import SearchSettings
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type

_SPECIAL = frozenset({"_list", "_filter", "_query"})
_LIST = "List"

# What is done where a chain ends: the expression of an asked parameter, a modifier and a value.
End = Callable[[Asked, str | None, str], Expression]


class NotUnderstood(Exception):
    """A parameter that this server does not know or offer: an error or a warning, as the caller's handling says."""


@dataclass(slots=True)
class Reading:
    """A search that is being read; remaining: how many expressions its chains may still become."""

    settings: SearchSettings
    remaining: int

    def spend(self, number: int = 1) -> None:
        """Account for so many expressions; FhirError too_costly when there are too many."""
        self.remaining -= number
        if self.remaining < 0:
            raise errors.too_costly(
                "The chains of this search lead to too many types; name them: subject:Patient.name"
            )


def criterion(
    resource_types: tuple[str, ...],
    name: str,
    value: str,
    reading: Reading,
    depth: int = 0,
    end: End = match,
) -> Expression:
    """The expression of name=value, for resources of each of the types; value is not empty.

    Raises NotUnderstood for a parameter that is unknown or not offered, FhirError 400 for a modifier, prefix or value
    that cannot be, and 403 for what costs too much.
    """
    reading.spend()
    if name == "_has" or name.startswith("_has:"):
        return _has(resource_types, name, value, reading, depth, end)
    head, dot, rest = name.partition(".")
    code, colon, modifier = head.partition(":")
    if code in _SPECIAL:
        return _special(resource_types, code, modifier, value, reading, depth)
    try:
        found = find(resource_types, code, reading.settings)
    except NotUnderstood as unknown:
        if colon and not dot:
            raise errors.not_supported(
                f"The modifier ':{modifier[:64]}' is not supported here: {unknown}"
            ) from None
        raise
    asked = Asked(name[:200], found, reading.settings)
    if dot:
        return _chain(asked, modifier if colon else None, rest, value, reading, depth, end)
    return end(asked, modifier if colon else None, value)


def find(
    resource_types: tuple[str, ...], code: str, settings: SearchSettings
) -> tuple[SearchParameter, ...]:
    """The parameter of each type; NotUnderstood if there is none or it is not offered.

    Raises FhirError 400 when only some of several types have it, or not all in the same way.
    """
    listed = [parameter(name, code) or _custom(name, code, settings) for name in resource_types]
    found = tuple(item for item in listed if item is not None)
    if not found:
        raise NotUnderstood(_unknown(resource_types, code))
    if len(found) < len(listed) or len({item.type for item in found}) > 1:
        raise errors.invalid(
            f"The parameter '{code}' is not common to all the types searched; name those with it in _type"
        )
    if not supported(found[0]) or (code == "_content" and not settings.content):
        raise NotUnderstood(f"This server is not set up to search by '{code}'")
    return found


def _custom(name: str, code: str, settings: SearchSettings) -> SearchParameter | None:
    found = settings.catalogue.find(name, code)
    return None if found is None else ready(found)


def _unknown(resource_types: tuple[str, ...], code: str) -> str:
    shown = code[:64]
    if code == "_type":
        return "_type chooses the types in a search of the whole server only"
    where = resource_types[0] if len(resource_types) == 1 else "A search of several types"
    known = [item.code for item in parameters(resource_types[0]) if supported(item)]
    near = difflib.get_close_matches(shown, known, n=3)
    hint = f"; near are {', '.join(near)}" if near else ""
    return f"{where} has no search parameter '{shown}'{hint}"


def _special(
    resource_types: tuple[str, ...],
    code: str,
    modifier: str,
    value: str,
    reading: Reading,
    depth: int,
) -> Expression:
    """The criteria that are no elements: lists, filters and named queries."""
    if modifier:
        raise errors.not_supported(f"{code} has no modifier ':{modifier[:64]}'")
    if code == "_list":
        return _members(value, reading)
    if code == "_filter":
        return _filtered(parse_filter(value), resource_types, reading, depth)
    for query in reading.settings.queries:
        if query.name == value:
            return query.expression(resource_types)
    raise errors.not_supported(f"This server has no named query '{value[:64]}' (_query)")


def _filtered(
    wanted: Filter, resource_types: tuple[str, ...], reading: Reading, depth: int
) -> Expression:
    """The expression of a _filter; what it does not understand is 400, whatever the handling."""
    match wanted:
        case Negated(inner):
            return x.Not(_filtered(inner, resource_types, reading, depth))
        case Joined(word, left, right):
            parts = tuple(_filtered(part, resource_types, reading, depth) for part in (left, right))
            return x.And(parts) if word == "and" else x.Or(parts)
        case Comparison():
            try:
                return _compared(wanted, wanted.path, resource_types, reading, depth)
            except NotUnderstood as unknown:
                raise errors.invalid(f"_filter: {unknown}") from None


def _compared(
    comparison: Comparison,
    path: tuple[Hop, ...],
    resource_types: tuple[str, ...],
    reading: Reading,
    depth: int,
) -> Expression:
    """A comparison at the end of a path; a filter on a hop holds of the same target as what follows it."""
    first, rest = path[0], path[1:]
    if first.filter is None and all(hop.filter is None for hop in rest):
        name = ".".join(hop.name for hop in path)

        def end(asked: Asked, modifier: str | None, value: str) -> Expression:
            return compared(asked, modifier, comparison.operator, value)

        return criterion(resource_types, name, comparison.value, reading, depth, end)
    if not rest:
        raise errors.invalid(
            f"_filter: nothing follows {first.name}[...]; write {first.name}[...].parameter"
        )
    code, _, wanted = first.name.partition(":")
    asked = Asked(
        f"_filter {first.name[:64]}", find(resource_types, code, reading.settings), reading.settings
    )

    def inner(target: str) -> Expression:
        found = _compared(comparison, rest, (target,), reading, depth + 1)
        if first.filter is None:
            return found
        return x.And((_filtered(first.filter, (target,), reading, depth + 1), found))

    return _followed(asked, wanted or None, rest[0].name, inner, reading, depth)


def _members(value: str, reading: Reading) -> Expression:
    """What the Lists with those ids hold (https://hl7.org/fhir/R4/search.html#list)."""
    item = parameter(_LIST, "item")
    assert item is not None
    asked = Asked("_list", (item,), reading.settings)
    if value.startswith("$"):
        raise errors.not_supported(
            f"The functional list '{value[:64]}' is not kept here; name a List by its id"
        )
    return x.Has(_LIST, (item.number,), x.IdIn(asked.each(value, literals.logical_id)))


def _chain(
    asked: Asked,
    wanted: str | None,
    rest: str,
    value: str,
    reading: Reading,
    depth: int,
    end: End,
) -> Expression:
    def inner(target: str) -> Expression:
        return criterion((target,), rest, value, reading, depth + 1, end)

    return _followed(asked, wanted, rest, inner, reading, depth)


def _followed(
    asked: Asked,
    wanted: str | None,
    rest: str,
    inner: Callable[[str], Expression],
    reading: Reading,
    depth: int,
) -> Expression:
    """The reference leads to a resource, of the type wanted or of any that has what follows, for which inner holds."""
    _check_depth(asked.name, depth, reading)
    first = asked.parameters[0]
    if first.type != "reference":
        raise errors.invalid(
            f"'{first.code}' in '{asked.name}' is not a reference: nothing follows it"
        )
    targets = asked.targets
    if wanted is not None:
        check_target(asked, wanted)
        targets = (wanted,)
    known = [name for name in targets if _has_parameter(name, rest, reading.settings)]
    if not known:
        code = rest.partition(".")[0].partition(":")[0]
        raise NotUnderstood(
            _unknown((wanted,), code)
            if wanted
            else f"No type that '{first.code}' refers to has a search parameter '{code[:64]}'"
        )
    if len(known) > reading.settings.maximum_targets:
        raise errors.invalid(
            f"'{first.code}' may refer to {len(known)} types; name the one that is meant:"
            f" {first.code}:{known[0]}.{rest[:64]}"
        )
    chains: list[Expression] = []
    unknown: NotUnderstood | None = None
    for name in known:
        try:
            found = inner(name)
        except NotUnderstood as error:
            unknown = error
        else:
            chains += _led(asked, name, found)
    if unknown is not None and not chains:
        raise unknown
    return chains[0] if len(chains) == 1 else x.Or(tuple(chains))


def _led(asked: Asked, target: str, inner: Expression) -> list[Expression]:
    """By the literal reference, and by the identifier of a reference that has nothing else."""
    found: list[Expression] = [x.Chain(asked.numbers, target, inner)]
    identifier = parameter(target, "identifier")
    if identifier is not None and identifier.type == "token":
        logical = tuple(number + IDENTIFIER for number in asked.numbers)
        found.append(x.LogicalChain(logical, target, (identifier.number,), inner))
    return found


def _has_parameter(resource_type: str, name: str, settings: SearchSettings) -> bool:
    code = name.partition(".")[0].partition(":")[0]
    return (
        code == "_has"
        or parameter(resource_type, code) is not None
        or settings.catalogue.find(resource_type, code) is not None
    )


def _check_depth(name: str, depth: int, reading: Reading) -> None:
    if depth >= reading.settings.maximum_depth:
        raise errors.too_costly(
            f"'{name[:64]}' is chained too deeply; at most {reading.settings.maximum_depth} references are followed"
        )


def _has(
    resource_types: tuple[str, ...],
    name: str,
    value: str,
    reading: Reading,
    depth: int,
    end: End,
) -> Expression:
    _check_depth(name, depth, reading)
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise errors.invalid(f"'{name[:200]}' is not of the form _has:Type:reference:parameter")
    _, source, code, rest = parts
    if not is_resource_type(source):
        raise errors.invalid(f"'{source[:64]}' in '{name[:200]}' is no resource type")
    referring = find((source,), code, reading.settings)[0]
    if referring.type != "reference":
        raise errors.invalid(f"'{code}' of {source} in '{name[:200]}' is not a reference")
    if referring.targets and not set(referring.targets) & set(resource_types):
        raise errors.invalid(f"'{code}' of {source} does not refer to {resource_types[0]}")
    inner = criterion((source,), rest, value, reading, depth + 1, end)
    return x.Has(source, (referring.number,), inner)
