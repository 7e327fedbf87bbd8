"""A search expression in words, for those who ask how their search was read (_explain=true).

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression, Leaf, Range
from fhir_server.search.parameters import CANONICAL, CUSTOM, IDENTIFIER, OF_TYPE, TEXT, by_number
from fhir_server.spec.dates import EARLIEST, LATEST
from fhir_server.spec.instants import write_instant

_MEANT = {
    "eq": "is within", "ne": "is not within", "gt": "ends after", "lt": "begins before",
    "ge": "ends after, or is within,", "le": "begins before, or is within,", "sa": "begins after",
    "eb": "ends before", "ap": "overlaps",
}  # fmt: skip
_MODES = {
    "starts": "begins with", "exact": "is exactly", "contains": "contains", "words": "has a word beginning with",
    "equals": "is", "ends": "ends with",
}  # fmt: skip
_OFFSETS = {
    IDENTIFIER: "the identifier in ", OF_TYPE: "the typed identifier in ", TEXT: "the text of ",
    CANONICAL: "the canonical amount of ",
}  # fmt: skip
_MOST = 20


def described(expression: Expression) -> str:
    """The expression in words."""
    match expression:
        case x.And(parts):
            return _joined(parts, " and ") if parts else "anything"
        case x.Or(parts):
            return _joined(parts, " or ") if parts else "nothing"
        case x.Not(part):
            return f"not ({described(part)})"
        case x.IdIn(ids):
            return f"the id is {_listed(ids)}"
        case x.OfType(resource_types):
            return f"the type is {_listed(resource_types)}"
        case x.LastUpdated(ranges):
            return " or ".join(f"lastUpdated {_dates(item)}" for item in ranges)
        case x.Other(leaf):
            return f"a value for which not: {described(leaf)}"
        case x.Present(_, parameters):
            return f"{_named(parameters)} is there"
        case x.Chain(parameters, target, inner):
            return f"{_named(parameters)} refers to a {target} for which ({described(inner)})"
        case x.LogicalChain(parameters, target, _, inner):
            return f"{_named(parameters)} is that of a {target} for which ({described(inner)})"
        case x.Has(source, parameters, inner):
            return f"a {source} refers here by {_named(parameters)}, for which ({described(inner)})"
        case x.WordMatch(parameters, words):
            told = " and ".join(f"'{word}'" for word in words[:_MOST])
            return f"{_named(parameters)} has the words {told}"
        case x.CompositeMatch(parameters, leaves):
            told = " and ".join(_value(leaf) for leaf in leaves)
            return f"{_named(parameters)} has, on one repeat, {told}"
        case _:
            return f"{_named(expression.parameters)} {_value(expression)}"


def _joined(parts: Iterable[Expression], word: str) -> str:
    return word.join(f"({described(part)})" for part in parts)


def _value(leaf: Leaf) -> str:
    match leaf:
        case x.TokenMatch(_, tokens):
            return f"is {_listed(_token(item) for item in tokens)}"
        case x.StringMatch(_, mode, values):
            return f"{_MODES[mode]} {_listed(values)}"
        case x.ReferenceMatch(_, targets):
            return f"refers to {_listed(_target(item) for item in targets)}"
        case x.DateMatch(_, ranges):
            return " or ".join(map(_dates, ranges))
        case x.DateWindow(_, ranges):
            return " and ".join(map(_dates, ranges))
        case x.NumberMatch(_, ranges):
            return " or ".join(map(_numbers, ranges))
        case x.QuantityMatch(_, quantities):
            return " or ".join(_quantity(item) for item in quantities)
        case x.UriMatch(_, mode, values, version):
            told = {"exact": "is", "below": "is at or below", "above": "is at or above"}[mode]
            return f"{told} {_listed(values)}" + (f" in version {version}" if version else "")
        case x.Near():
            return f"is near the point ({leaf.x:.6f}, {leaf.y:.6f}, {leaf.z:.6f})"


def _listed(items: Iterable[str]) -> str:
    found = list(items)
    shown = " or ".join(f"'{item}'" for item in found[:_MOST])
    return shown if len(found) <= _MOST else f"{shown} or one of {len(found) - _MOST} more"


def _named(parameters: tuple[int, ...]) -> str:
    """The parameters by their codes; several when a search is of several types, or of several elements."""
    names = dict.fromkeys(_name(number) for number in parameters)
    return _listed(names).replace("'", "")


def _name(number: int) -> str:
    if number >= CUSTOM:
        return "a parameter of this server"
    offset = number // 10_000 * 10_000
    item = by_number(number - offset)
    return f"{_OFFSETS.get(offset, '')}{item.resource_type}.{item.code}"


def _token(token: x.Token) -> str:
    code = "any code" if token.code is None else token.code
    match token.system:
        case None:
            return f"{code} of any system"
        case "":
            return f"{code} without a system"
    return f"{code} of {token.system}"


def _target(target: x.Target) -> str:
    name = target.url or f"{target.target_type or 'any type'}/{target.target_id}"
    return f"{name}|{target.version}" if target.version else name


def _dates(wanted: Range) -> str:
    return f"{_MEANT[wanted.prefix]} {_moment(wanted.low)} to {_moment(wanted.high)}"


def _moment(value: float) -> str:
    if value <= EARLIEST or value >= LATEST:
        return "open"
    try:
        return write_instant(int(value))
    except (OverflowError, ValueError):
        return "a time out of reach"


def _numbers(wanted: Range) -> str:
    if wanted.low == wanted.high:
        return f"{_MEANT[wanted.prefix]} {wanted.low:.12g}"
    return f"{_MEANT[wanted.prefix]} {wanted.low:.12g} to {wanted.high:.12g}"


def _quantity(item: x.Quantity) -> str:
    unit = f" {item.code}" if item.code else " of any unit"
    return f"{_numbers(item.range)}{unit}" + (f" of {item.system}" if item.system else "")
