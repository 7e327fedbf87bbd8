"""The language of _filter: comparisons joined by and, or, not and brackets (https://hl7.org/fhir/R4/search_filter.html).

And and or have no precedence: an expression is read from the left.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_server.search import expression as x
from fhir_server.search import literals
from fhir_server.search.expression import Expression, Leaf
from fhir_server.search.modifiers import Asked, match
from fhir_server.spec import errors

_TOKEN = re.compile(r'\s*(?:"((?:[^"\\]|\\.)*)"|([()\[\]])|([^\s()\[\]"]+))')
_OPERATORS = frozenset(
    {"eq", "ne", "co", "sw", "ew", "gt", "lt", "ge", "le", "ap", "sa", "eb", "pr", "po", "ss", "sb", "in", "re"}
)  # fmt: skip
_RANGED = frozenset({"date", "number", "quantity"})
_DEEPEST = 20
_SEPARATORS = re.compile(r"([,$|\\])")


@dataclass(frozen=True, slots=True)
class Hop:
    """One name of a path, and what must hold of the resource that it leads to."""

    name: str
    filter: Filter | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """path operator value; the value is written as a search value, its separators escaped where it was quoted."""

    path: tuple[Hop, ...]
    operator: str
    value: str


@dataclass(frozen=True, slots=True)
class Joined:
    word: str
    left: Filter
    right: Filter


@dataclass(frozen=True, slots=True)
class Negated:
    inner: Filter


Filter = Comparison | Joined | Negated


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    quoted: bool = False


def parse_filter(text: str) -> Filter:
    """The filter; FhirError 400 that tells where the grammar is left."""
    reader = _Reader(_words(text))
    found = reader.filter()
    if reader.here is not None:
        raise _wrong(f"'{reader.here.text[:64]}' is not expected here")
    return found


def _wrong(told: str) -> errors.FhirError:
    return errors.invalid(
        f'_filter: {told}; write name operator value, as in: given eq "peter" and birthdate ge 2014-10-10'
    )


def _words(text: str) -> list[_Word]:
    found = []
    place = 0
    while text[place:].strip():
        token = _TOKEN.match(text, place)
        if token is None:
            raise _wrong("a string is not closed")
        quoted, bracket, plain = token.groups()
        if quoted is not None:
            found.append(_Word(re.sub(r"\\(.)", r"\1", quoted), quoted=True))
        else:
            found.append(_Word(bracket or plain))
        place = token.end()
    return found


class _Reader:
    """Reads words from the left."""

    def __init__(self, words: list[_Word]) -> None:
        self.words = words
        self.place = 0
        self.depth = 0

    @property
    def here(self) -> _Word | None:
        return self.words[self.place] if self.place < len(self.words) else None

    def take(self, wanted: str) -> _Word:
        """The next word, which must be there."""
        word = self.here
        if word is None:
            raise _wrong(f"{wanted} is missing at the end")
        self.place += 1
        return word

    def expect(self, bracket: str) -> None:
        if self.take(f"'{bracket}'") != _Word(bracket):
            raise _wrong(f"'{bracket}' is missing")

    def filter(self) -> Filter:
        """Terms joined by and and or, from the left."""
        self.depth += 1
        if self.depth > _DEEPEST:
            raise errors.too_costly(f"_filter is nested more than {_DEEPEST} deep")
        found = self.term()
        while self.here in (_Word("and"), _Word("or")):
            word = self.take("and or or").text
            found = Joined(word, found, self.term())
        self.depth -= 1
        return found

    def term(self) -> Filter:
        """A filter in brackets, a negated one, or a comparison."""
        if self.here == _Word("not"):
            self.take("not")
            self.expect("(")
            inner = self.filter()
            self.expect(")")
            return Negated(inner)
        if self.here == _Word("("):
            self.take("(")
            inner = self.filter()
            self.expect(")")
            return inner
        return self.comparison()

    def comparison(self) -> Comparison:
        """path operator value."""
        path = self.path()
        operator = self.take("an operator")
        if operator.quoted or operator.text not in _OPERATORS:
            listed = ", ".join(sorted(_OPERATORS))
            raise _wrong(f"'{operator.text[:64]}' is no operator ({listed})")
        value = self.take("a value")
        if not value.quoted and value.text in "()[]":
            raise _wrong("a value is missing")
        if not value.text:
            raise _wrong("a value is empty")
        text = _SEPARATORS.sub(r"\\\1", value.text) if value.quoted else value.text
        return Comparison(path, operator.text, text)

    def path(self) -> tuple[Hop, ...]:
        """name.name[filter].name"""
        hops: list[Hop] = []
        word = self.take("a parameter")
        while True:
            if word.quoted or word.text in "()[]":
                raise _wrong(f"'{word.text[:64]}' is not the name of a parameter")
            hops += [Hop(name) for name in word.text.removeprefix("." if hops else "\n").split(".")]
            if self.here != _Word("["):
                break
            self.take("[")
            hops[-1] = Hop(hops[-1].name, self.filter())
            self.expect("]")
            word = self.here or _Word("")
            if word.quoted or not word.text.startswith("."):
                break
            self.take("a parameter")
        if not all(hop.name for hop in hops):
            raise _wrong("a name in a path is empty")
        return tuple(hops)


def compared(asked: Asked, modifier: str | None, operator: str, value: str) -> Expression:
    """What an operator asks of a parameter; FhirError 400 for an operator that its type does not have."""
    kind = asked.parameters[0].type
    if modifier is not None:
        raise _wrong(f"'{asked.name}' has a modifier; use an operator instead")
    match operator, kind:
        case "pr", _:
            return match_missing(asked, value)
        case "eq", "string":
            return x.StringMatch(asked.numbers, "equals", asked.each(value, literals.folded))
        case "ew", "string":
            return x.StringMatch(asked.numbers, "ends", asked.each(value, literals.folded))
        case "sw", "string":
            return match(asked, None, value)
        case "co", "string":
            return match(asked, "contains", value)
        case "po", "date":
            ranges = asked.each(value, lambda item: literals.date_range(item, asked.settings))
            return x.DateMatch(
                asked.numbers, tuple(x.Range("ap", item.low, item.high) for item in ranges)
            )
        case (
            ("eq" | "ne" | "gt" | "lt" | "ge" | "le" | "ap" | "sa" | "eb"),
            ("date" | "number" | "quantity"),
        ):
            return match(asked, None, operator + value)
        case ("eq", _) | ("re", "reference"):
            return match(asked, None, value)
        case "ne", _:
            return _unequal(compared(asked, None, "eq", value))
        case (("ss" | "sb" | "in"), "token"):
            return match(asked, {"ss": "below", "sb": "above", "in": "in"}[operator], value)
        case (("ss" | "sb"), "uri"):
            return match(asked, "below" if operator == "ss" else "above", value)
    raise _wrong(
        f"'{asked.parameters[0].code}' is a {kind} parameter, which has no operator {operator}"
    )


def match_missing(asked: Asked, value: str) -> Expression:
    """pr true: there is a value."""
    if value not in ("true", "false"):
        raise _wrong(f"'{value[:64]}' is not true or false, which pr needs")
    return match(asked, "missing", "false" if value == "true" else "true")


def _unequal(equal: Expression) -> Expression:
    """An element that is not equal, where elements are compared one by one."""
    return x.Other(equal) if isinstance(equal, Leaf) else x.Not(equal)
