"""A search as an expression, between the text of the query and the SQL or in-memory predicate that answers it.

https://hl7.org/fhir/R4/search.html
Every leaf names the parameters (numbers, see entries.py) that it looks at: several for a search over several types.
A leaf is true of a resource when at least one of its index entries for one of the parameters passes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

Table = Literal[
    "token",
    "string",
    "reference",
    "date",
    "number",
    "quantity",
    "uri",
    "position",
    "words",
    "composite",
]
Prefix = Literal["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"]


@dataclass(frozen=True, slots=True)
class And:
    """All of them; And(()) is true of every resource."""

    parts: tuple[Expression, ...]
    # A whole search is looked up in one cache after another, and often: what it hashes to is worked out once.
    _hash: int = field(default=0, init=False, compare=False, repr=False)

    def __hash__(self) -> int:
        if not self._hash:
            object.__setattr__(self, "_hash", hash(self.parts))
        return self._hash


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of them; Or(()) is true of none."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The complement within the types searched, resources without the element included."""

    part: Expression


@dataclass(frozen=True, slots=True)
class IdIn:
    """The logical id is one of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OfType:
    """The resource is of one of these types, in a search over several."""

    resource_types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Range:
    """A comparison of a stored range [lo, hi) with the search value's [low, high) by prefix.

    eq: low <= lo and hi <= high; ne: not eq; gt: hi > high; lt: lo < low; ge: hi > high or eq; le: lo < low or eq;
    sa: lo >= high; eb: hi <= low; ap: lo < high and hi > low, with low and high widened already.
    An exact stored value has lo == hi; an exact search value has low == high, and eq then also needs lo == hi.
    """

    prefix: Prefix
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class LastUpdated:
    """meta.lastUpdated, in microseconds since 1970, passes one of the comparisons."""

    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Token:
    """system None: any system; "": no system. code None: any code of that system."""

    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class TokenMatch:
    parameters: tuple[int, ...]
    tokens: tuple[Token, ...]


@dataclass(frozen=True, slots=True)
class StringMatch:
    """mode exact compares the written form, the others the folded form with folded values.

    words: the value is the beginning of the string or of a word in it; equals, ends: all of it, its end.
    """

    parameters: tuple[int, ...]
    mode: Literal["starts", "exact", "contains", "words", "equals", "ends"]
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Target:
    """target_type None: any type with that id. url for a reference outside this server. version "" matches any.

    target_id "" with a type: any resource of that type, whether it is there or not.
    """

    target_type: str | None
    target_id: str
    url: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class ReferenceMatch:
    parameters: tuple[int, ...]
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class DateMatch:
    parameters: tuple[int, ...]
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class DateWindow:
    """One value passes every comparison: what several DateMatches are of an element that is there once."""

    parameters: tuple[int, ...]
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class NumberMatch:
    parameters: tuple[int, ...]
    ranges: tuple[Range, ...]


@dataclass(frozen=True, slots=True)
class Quantity:
    """system None: any; code compares with the unit's code, and with the unit's text too when system is None."""

    range: Range
    system: str | None
    code: str | None


@dataclass(frozen=True, slots=True)
class QuantityMatch:
    parameters: tuple[int, ...]
    quantities: tuple[Quantity, ...]


@dataclass(frozen=True, slots=True)
class UriMatch:
    """mode exact; below: the value or anything beneath it by path segment; above: the value or its ancestors."""

    parameters: tuple[int, ...]
    mode: Literal["exact", "below", "above"]
    values: tuple[str, ...]
    version: str = ""


@dataclass(frozen=True, slots=True)
class Near:
    """A position at most chord away from the point x, y, z of the unit sphere (see positions.py)."""

    parameters: tuple[int, ...]
    x: float
    y: float
    z: float
    chord: float


@dataclass(frozen=True, slots=True)
class WordMatch:
    """All of the words, which are folded, are in the text; at least one."""

    parameters: tuple[int, ...]
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CompositeMatch:
    """One composite entry passes every part: leaves, in the order of the components, whose parameters say nothing."""

    parameters: tuple[int, ...]
    parts: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Other:
    """The resource has an entry for the leaf's parameters that does not pass it."""

    leaf: Leaf


@dataclass(frozen=True, slots=True)
class Present:
    """The resource has at least one entry for the parameters; Not(Present) is :missing=true."""

    table: Table
    parameters: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """A reference parameter points to a current resource of target_type for which the inner expression holds."""

    parameters: tuple[int, ...]
    target_type: str
    inner: Expression


@dataclass(frozen=True, slots=True)
class LogicalChain:
    """A reference that names no resource but an identifier, of a current resource for which inner holds.

    parameters: the numbers of the references' identifiers; identifiers: those of the target type's own.
    """

    parameters: tuple[int, ...]
    target_type: str
    identifiers: tuple[int, ...]
    inner: Expression


@dataclass(frozen=True, slots=True)
class Has:
    """A resource of source_type that refers here by the reference parameters and for which inner holds (_has)."""

    source_type: str
    parameters: tuple[int, ...]
    inner: Expression


Leaf = (
    TokenMatch | StringMatch | ReferenceMatch | DateMatch | DateWindow | NumberMatch | QuantityMatch | UriMatch | Near
)  # fmt: skip
Expression = (
    And
    | Or
    | Not
    | IdIn
    | OfType
    | LastUpdated
    | Leaf
    | Other
    | WordMatch
    | CompositeMatch
    | Present
    | Chain
    | LogicalChain
    | Has
)


def chained_parameters(expression: Expression) -> Iterator[int]:
    """The reference parameters of the matches themselves that chains start from."""
    match expression:
        case And(parts) | Or(parts):
            for part in parts:
                yield from chained_parameters(part)
        case Not(part):
            yield from chained_parameters(part)
        case Chain(parameters):
            yield from parameters


Position = tuple[int | float | str | None, ...]


@dataclass(frozen=True, slots=True)
class SortKey:
    """Order by the lowest (ascending) or highest (descending) value of a parameter; resources without one come last.

    table "last-updated" and "id" order by those columns and name no parameters.
    """

    table: Literal[
        "token", "string", "reference", "date", "number", "quantity", "uri", "last-updated", "id"
    ]
    parameters: tuple[int, ...]
    descending: bool


@dataclass(frozen=True, slots=True)
class Query:
    """What the store is asked: the current, not deleted resources of the types for which the expression holds.

    resource_types: at least one. The order is total: after the sort keys comes the internal key, in the direction of
    the first of them.
    after: the position of the last hit of the page before; limit: at most so many hits. backward: the hits before that
    position instead, the nearest ones, still in the order of the query.
    """

    resource_types: tuple[str, ...]
    where: Expression
    sort: tuple[SortKey, ...] = ()
    limit: int = 20
    after: Position | None = None
    backward: bool = False
