"""What a parameter's modifier and value ask of its elements (https://hl7.org/fhir/R4/search.html#modifiers)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal, TypeVar

from fhir_server.search import expression as x
from fhir_server.search import literals
from fhir_server.search.composite_values import read_composite
from fhir_server.search.escaping import split, unescape
from fhir_server.search.expression import Expression
from fhir_server.search.parameters import (
    CANONICAL,
    IDENTIFIER,
    OF_TYPE,
    TEXT,
    SearchParameter,
)
from fhir_server.search.paths import types
from fhir_server.search.positions import chord, point
from fhir_server.search.settings import SearchSettings
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type

T = TypeVar("T")

MODIFIERS: dict[str, tuple[str, ...]] = {
    "token": ("missing", "not", "text", "of-type", "in", "not-in", "above", "below"),
    "string": ("missing", "exact", "contains"),
    "reference": ("missing", "identifier", "text"),
    "uri": ("missing", "below", "above"),
    "date": ("missing",),
    "number": ("missing",),
    "quantity": ("missing",),
    "composite": ("missing",),
    "special": ("missing",),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A parameter as it stands in a search: of each of the types searched, by its full name."""

    name: str
    parameters: tuple[SearchParameter, ...]
    settings: SearchSettings

    @property
    def numbers(self) -> tuple[int, ...]:
        return tuple(item.number for item in self.parameters)

    @property
    def types(self) -> frozenset[str]:
        """The node types of the elements; empty when one cannot be told."""
        found = [types(item) for item in self.parameters]
        return frozenset().union(*found) if all(found) else frozenset()

    @property
    def targets(self) -> tuple[str, ...]:
        """The types that a reference may be to; empty for any."""
        return tuple(sorted({name for item in self.parameters for name in item.targets}))

    def each(self, value: str, read: Callable[[str], T]) -> tuple[T, ...]:
        """What the comma-separated values are read as; FhirError 400 that names the parameter and the form."""
        found = []
        for item in self.listed(value):
            try:
                found.append(read(item))
            except ValueError as error:
                raise errors.invalid(
                    f"The parameter '{self.name}' has the value '{item[:64]}': {error}"
                ) from None
        return tuple(found)

    def listed(self, value: str) -> list[str]:
        """The comma-separated values, empty ones left out."""
        found = [item for item in split(value, ",") if item]
        limit = self.settings.maximum_values
        if len(found) > limit:
            raise errors.too_costly(
                f"The parameter '{self.name}' has {len(found)} values; at most {limit} are searched for"
            )
        return found


def match(asked: Asked, modifier: str | None, value: str) -> Expression:
    """The expression of parameter:modifier=value; FhirError 400 for a modifier or value that cannot be."""
    first = asked.parameters[0]
    if modifier == "missing":
        return _missing(asked, value)
    if first.code == "_id":
        return _logical_ids(asked, modifier, value)
    match first.type:
        case "token":
            return _token(asked, modifier, value)
        case "string":
            return _string(asked, modifier, value)
        case "reference":
            return _reference(asked, modifier, value)
        case "uri":
            return _uri(asked, modifier, value)
    if modifier is not None:
        raise _refused(asked, modifier)
    match first.type:
        case "composite":
            return _composite(asked, value)
        case "special":
            return _near(asked, value)
        case "date":
            ranges = asked.each(value, lambda item: literals.date_range(item, asked.settings))
            if first.code == "_lastUpdated":
                return x.LastUpdated(ranges)
            return x.DateMatch(asked.numbers, ranges)
        case "number":
            return x.NumberMatch(asked.numbers, asked.each(value, literals.number_range))
        case "quantity":
            return _quantity(asked, value)
    raise AssertionError(first.type)


# What is asked of otherwise than others of its type.
_MODIFIERS_OF = {"_id": ("missing", "not"), "_text": ("missing",), "_content": ("missing",)}


def _refused(asked: Asked, modifier: str) -> errors.FhirError:
    first = asked.parameters[0]
    offered = [f":{name}" for name in _MODIFIERS_OF.get(first.code, MODIFIERS[first.type])]
    if first.type == "reference":
        offered.append(":[type]")
    whose = f"'{first.code}'" if first.code in _MODIFIERS_OF else f"a {first.type} parameter"
    return errors.not_supported(
        f"The modifier ':{modifier[:64]}' of '{first.code}' is not supported; {whose} has {', '.join(offered)}"
    )


def _missing(asked: Asked, value: str) -> Expression:
    if value not in ("true", "false"):
        raise errors.invalid(f"The parameter '{asked.name}' is '{value[:64]}'; use true or false")
    first = asked.parameters[0]
    present: Expression
    if first.code in ("_id", "_lastUpdated"):
        present = x.And(())  # every stored resource has them
    else:
        table: x.Table = "position" if first.type == "special" else first.type
        if first.code in ("_text", "_content"):
            table = "words"
        present = x.Present(table, _stored(asked))
    return x.Not(present) if value == "true" else present


def _stored(asked: Asked) -> tuple[int, ...]:
    """The numbers under which an element is indexed; of a composite also those of its canonical units."""
    if asked.parameters[0].type != "composite":
        return asked.numbers
    return (*asked.numbers, *(number + CANONICAL for number in asked.numbers))


def _logical_ids(asked: Asked, modifier: str | None, value: str) -> Expression:
    if modifier not in (None, "not"):
        raise _refused(asked, modifier or "")
    found = x.IdIn(asked.each(value, literals.logical_id))
    return found if modifier is None else x.Not(found)


def _token(asked: Asked, modifier: str | None, value: str) -> Expression:
    if modifier == "of-type" and "Identifier" in asked.types:
        numbers = tuple(number + OF_TYPE for number in asked.numbers)
        return x.TokenMatch(numbers, asked.each(value, literals.typed_identifier))
    if modifier == "text":
        return _described(asked, value)
    if modifier in ("in", "not-in", "above", "below"):
        return coded(asked, modifier, value)
    if modifier not in (None, "not"):
        raise _refused(asked, modifier)
    known = asked.types
    found = asked.each(value, lambda item: literals.tokens(item, known))
    matched = x.TokenMatch(asked.numbers, _flat(found))
    return matched if modifier is None else x.Not(matched)


def coded(asked: Asked, modifier: str, value: str) -> Expression:
    """:in and :not-in of value sets, :above and :below of codes; FhirError 400 for what the terminology cannot tell."""
    terminology = asked.settings.terminology
    found: set[tuple[str, str]] = set()
    for item in asked.listed(value):
        codes: frozenset[tuple[str, str]] | None
        if modifier in ("in", "not-in"):
            codes = terminology.members(unescape(item))
            told = f"the value set '{item[:200]}' is unknown here, or cannot be enumerated"
        else:
            codes = _related(asked, modifier, item)
            told = f"nothing is known of what is {modifier} '{item[:200]}'; write system|code of a known system"
        if codes is None:
            raise errors.not_supported(f"'{asked.name}': {told}")
        found |= codes
    if len(found) > asked.settings.maximum_codes:
        raise errors.too_costly(
            f"'{asked.name}' stands for {len(found)} codes; at most {asked.settings.maximum_codes} are searched for"
        )
    # An element of type code has its system implied, so that it is not in the index.
    plain = asked.types <= {"code"} and bool(asked.types)
    tokens = tuple(
        sorted({x.Token("" if plain else system, code) for system, code in found}, key=str)
    )
    matched = x.TokenMatch(asked.numbers, tokens)
    return x.Not(matched) if modifier == "not-in" else matched


def _related(asked: Asked, modifier: str, item: str) -> frozenset[tuple[str, str]] | None:
    tokens = literals.tokens(item, asked.types)
    terminology = asked.settings.terminology
    ask = terminology.below if modifier == "below" else terminology.above
    found: set[tuple[str, str]] = set()
    for token in tokens:
        codes = ask(token.system, token.code) if token.system and token.code else None
        if codes is None:
            return None
        found |= codes
    return frozenset(found)


def _described(asked: Asked, value: str) -> Expression:
    """:text, the words that stand beside a code or reference."""
    numbers = tuple(number + TEXT for number in asked.numbers)
    return x.StringMatch(numbers, "words", asked.each(value, literals.folded))


def _flat(found: Iterable[Iterable[T]]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(item for group in found for item in group))


def _string(asked: Asked, modifier: str | None, value: str) -> Expression:
    if asked.parameters[0].code in ("_text", "_content"):
        if modifier is not None:
            raise _refused(asked, modifier)
        return _all_words(asked, value)
    match modifier:
        case None:
            return x.StringMatch(asked.numbers, "starts", asked.each(value, literals.folded))
        case "contains":
            return x.StringMatch(asked.numbers, "contains", asked.each(value, literals.folded))
        case "exact":
            return x.StringMatch(asked.numbers, "exact", asked.each(value, unescape))
    raise _refused(asked, modifier)


def _all_words(asked: Asked, value: str) -> Expression:
    """Every word of one of the values is in the text."""
    found = tuple(x.WordMatch(asked.numbers, words) for words in asked.each(value, literals.words))
    return found[0] if len(found) == 1 else x.Or(found)


def _composite(asked: Asked, value: str) -> Expression:
    """part$part, each part by the rules of its own type."""
    first = asked.parameters[0]
    found: list[Expression] = []
    for item in asked.each(value, lambda text: read_composite(first, text, asked.settings)):
        measured = any(isinstance(part, x.QuantityMatch) and part.parameters for part in item)
        numbers = tuple(number + CANONICAL * measured for number in asked.numbers)
        found.append(x.CompositeMatch(numbers, item))
    return found[0] if len(found) == 1 else x.Or(tuple(found))


def _near(asked: Asked, value: str) -> Expression:
    found = tuple(
        x.Near(asked.numbers, *point(latitude, longitude), chord(distance))
        for latitude, longitude, distance in asked.each(value, literals.near)
    )
    return found[0] if len(found) == 1 else x.Or(found)


def _quantity(asked: Asked, value: str) -> Expression:
    """Values in a UCUM unit are compared in the canonical unit of its kind, others as they are written."""
    asked_for = asked.each(value, literals.quantity)
    plain = tuple(item for item in asked_for if literals.in_canonical(item) is None)
    measured = tuple(
        found for item in asked_for if (found := literals.in_canonical(item)) is not None
    )
    parts: list[Expression] = []
    if plain:
        parts.append(x.QuantityMatch(asked.numbers, plain))
    if measured:
        numbers = tuple(number + CANONICAL for number in asked.numbers)
        parts.append(x.QuantityMatch(numbers, measured))
    return parts[0] if len(parts) == 1 else x.Or(tuple(parts))


def _reference(asked: Asked, modifier: str | None, value: str) -> Expression:
    if modifier == "text":
        return _described(asked, value)
    if modifier == "identifier":
        numbers = tuple(number + IDENTIFIER for number in asked.numbers)
        found = asked.each(value, lambda item: literals.tokens(item, frozenset()))
        return x.TokenMatch(numbers, _flat(found))
    allowed = asked.targets
    if modifier is not None:
        if not is_resource_type(modifier):
            raise _refused(asked, modifier)
        check_target(asked, modifier)
        allowed = (modifier,)
    canonical = not asked.types <= {"Reference", "Resource"}

    def read(item: str) -> tuple[x.Target, ...]:
        targets = tuple(literals.targets(item, allowed, canonical, asked.settings))
        if modifier is not None and targets[0].target_type != modifier:
            raise ValueError(f"expected the id of a {modifier}, which ':{modifier}' asks for")
        return targets

    return x.ReferenceMatch(asked.numbers, _flat(asked.each(value, read)))


def _uri(asked: Asked, modifier: str | None, value: str) -> Expression:
    if modifier in ("below", "above"):
        mode: Literal["below", "above"] = "below" if modifier == "below" else "above"
        return x.UriMatch(asked.numbers, mode, asked.each(value, literals.hierarchical_uri))
    if modifier is not None:
        raise _refused(asked, modifier)
    canonical = "canonical" in asked.types
    by_version: dict[str, list[str]] = {}
    for urls, version in asked.each(
        value, lambda item: literals.uris(item, canonical, asked.settings)
    ):
        by_version.setdefault(version, []).extend(urls)
    matches = tuple(
        x.UriMatch(asked.numbers, "exact", tuple(dict.fromkeys(urls)), version)
        for version, urls in by_version.items()
    )
    return matches[0] if len(matches) == 1 else x.Or(matches)


def check_target(asked: Asked, wanted: str) -> None:
    """FhirError 400 unless the reference may be to that type."""
    code = asked.parameters[0].code
    if not is_resource_type(wanted):
        raise errors.not_supported(
            f"':{wanted[:64]}' in '{asked.name}' is neither a supported modifier nor a resource type"
        )
    if asked.targets and wanted not in asked.targets:
        listed = ", ".join(asked.targets[:10])
        raise errors.invalid(f"'{code}' does not refer to {wanted}, but to {listed}")
