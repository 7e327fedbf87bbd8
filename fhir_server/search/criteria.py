"""One search criterion, a name with a modifier or chain and a value, as an expression.

https://hl7.org/fhir/R4/search.html#chaining
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.search.modifiers import Asked, check_target, match
from fhir_server.search.parameters import SearchParameter, parameter, parameters, supported
from fhir_server.search.settings import SearchSettings
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type

_EVERY_TYPE = {
    "_list": "membership of a List",
    "_filter": "filter expressions",
    "_text": "the text of the narrative",
    "_content": "the text of the content",
    "_contained": "contained resources",
    "_containedType": "contained resources",
}


class NotUnderstood(Exception):
    """A parameter that this server does not know or offer: an error or a warning, as the caller's handling says."""


@dataclass(slots=True)
class Reading:
    """A search that is being read; remaining: how many expressions its chains may still become."""

    settings: SearchSettings
    remaining: int

    def spend(self) -> None:
        """Account for one expression; FhirError too_costly when there are too many."""
        self.remaining -= 1
        if self.remaining < 0:
            raise errors.too_costly(
                "The chains of this search lead to too many types; name them: subject:Patient.name"
            )


def criterion(
    resource_types: tuple[str, ...], name: str, value: str, reading: Reading, depth: int = 0
) -> Expression:
    """The expression of name=value, for resources of each of the types; value is not empty.

    Raises NotUnderstood for a parameter that is unknown or not offered, FhirError 400 for a modifier, prefix or value
    that cannot be, and 403 for what costs too much.
    """
    reading.spend()
    if name == "_has" or name.startswith("_has:"):
        return _has(resource_types, name, value, reading, depth)
    head, dot, rest = name.partition(".")
    code, colon, modifier = head.partition(":")
    if code == "_query":
        raise errors.not_supported(f"This server has no named query '{value[:64]}' (_query)")
    try:
        found = find(resource_types, code)
    except NotUnderstood as unknown:
        if colon and not dot:
            raise errors.not_supported(
                f"The modifier ':{modifier[:64]}' is not supported here: {unknown}"
            ) from None
        raise
    asked = Asked(name[:200], found, reading.settings)
    if dot:
        return _chain(asked, modifier if colon else None, rest, value, reading, depth)
    return match(asked, modifier if colon else None, value)


def find(resource_types: tuple[str, ...], code: str) -> tuple[SearchParameter, ...]:
    """The parameter of each type; NotUnderstood if there is none or it is not offered.

    Raises FhirError 400 when only some of several types have it, or not all in the same way.
    """
    listed = [parameter(name, code) for name in resource_types]
    found = tuple(item for item in listed if item is not None)
    if not found:
        raise NotUnderstood(_unknown(resource_types, code))
    if len(found) < len(listed) or len({item.type for item in found}) > 1:
        raise errors.invalid(
            f"The parameter '{code}' is not common to all the types searched; name those with it in _type"
        )
    if not supported(found[0]):
        raise NotUnderstood(_not_offered(found[0]))
    return found


def _unknown(resource_types: tuple[str, ...], code: str) -> str:
    shown = code[:64]
    if code in _EVERY_TYPE:
        return f"This server does not search by {_EVERY_TYPE[code]} ({code})"
    if code == "_type":
        return "_type chooses the types in a search of the whole server only"
    where = resource_types[0] if len(resource_types) == 1 else "A search of several types"
    known = [item.code for item in parameters(resource_types[0]) if supported(item)]
    near = difflib.get_close_matches(shown, known, n=3)
    hint = f"; near are {', '.join(near)}" if near else ""
    return f"{where} has no search parameter '{shown}'{hint}"


def _not_offered(item: SearchParameter) -> str:
    if item.code in _EVERY_TYPE:
        return f"This server does not search by {_EVERY_TYPE[item.code]} ({item.code})"
    return f"'{item.code}' is a {item.type} parameter, which this server does not search by"


def _chain(
    asked: Asked, wanted: str | None, rest: str, value: str, reading: Reading, depth: int
) -> Expression:
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
    known = [name for name in targets if _has_parameter(name, rest)]
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
    chains = []
    unknown: NotUnderstood | None = None
    for name in known:
        try:
            inner = criterion((name,), rest, value, reading, depth + 1)
        except NotUnderstood as error:
            unknown = error
        else:
            chains.append(x.Chain(asked.numbers, name, inner))
    if unknown is not None and not chains:
        raise unknown
    return chains[0] if len(chains) == 1 else x.Or(tuple(chains))


def _has_parameter(resource_type: str, name: str) -> bool:
    code = name.partition(".")[0].partition(":")[0]
    return code == "_has" or parameter(resource_type, code) is not None


def _check_depth(name: str, depth: int, reading: Reading) -> None:
    if depth >= reading.settings.maximum_depth:
        raise errors.too_costly(
            f"'{name[:64]}' is chained too deeply; at most {reading.settings.maximum_depth} references are followed"
        )


def _has(
    resource_types: tuple[str, ...], name: str, value: str, reading: Reading, depth: int
) -> Expression:
    _check_depth(name, depth, reading)
    parts = name.split(":", 3)
    if len(parts) != 4 or not all(parts):
        raise errors.invalid(f"'{name[:200]}' is not of the form _has:Type:reference:parameter")
    _, source, code, rest = parts
    if not is_resource_type(source):
        raise errors.invalid(f"'{source[:64]}' in '{name[:200]}' is no resource type")
    referring = find((source,), code)[0]
    if referring.type != "reference":
        raise errors.invalid(f"'{code}' of {source} in '{name[:200]}' is not a reference")
    if referring.targets and not set(referring.targets) & set(resource_types):
        raise errors.invalid(f"'{code}' of {source} does not refer to {resource_types[0]}")
    inner = criterion((source,), rest, value, reading, depth + 1)
    return x.Has(source, (referring.number,), inner)
