"""A window of time: the resources of a type with one code and a date in it, of some owners or of all, soonest first.

A booking operation asks for it at every call, so that a database has a statement for it whose text never changes.
https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from fhir_server.search.expression import (
    And,
    DateMatch,
    Expression,
    Position,
    Query,
    Range,
    ReferenceMatch,
    SortKey,
    Target,
    Token,
    TokenMatch,
)
from fhir_server.spec.instants import MILLISECOND

if TYPE_CHECKING:
    from fhir_server.store.contract import Match, ReadTransaction


class Referrers(NamedTuple):
    """Resources, all of one type, that refer to one of those (type, id) by the parameter.

    through: or to a resource of that type that refers to one of them by that parameter.
    """

    targets: tuple[tuple[str, str], ...]
    parameter: int
    through: tuple[str, int] | None = None


class Window(NamedTuple):
    """date, status and owner are the numbers of search parameters of which a resource has one value.

    low, high: the date covers a moment at or after low and begins before high, in microseconds since 1970. code: that
    of the token, of any system. owners: their type and ids, any of which the reference may name; None: anybody's.
    after: the position of the last match of the page before.
    """

    resource_type: str
    date: int
    low: int
    high: int
    status: int
    code: str
    owner: int
    owners: tuple[str, tuple[str, ...]] | None
    limit: int
    after: Position | None = None

    def where(self) -> Expression:
        """The same as a search."""
        ranges = (
            Range("ge", self.low, self.low + MILLISECOND),
            Range("lt", self.high, self.high + MILLISECOND),
        )
        parts: list[Expression] = [TokenMatch((self.status,), (Token(None, self.code),))]
        parts += [DateMatch((self.date,), (item,)) for item in ranges]
        if self.owners is not None:
            named = tuple(Target(self.owners[0], item) for item in self.owners[1])
            parts.append(ReferenceMatch((self.owner,), named))
        return And(tuple(parts))

    def query(self) -> Query:
        """A page of that search."""
        sort = (SortKey("date", (self.date,), descending=False),)
        return Query((self.resource_type,), self.where(), sort, self.limit, self.after)


def owned_window(
    wanted: Window, by: Referrers, most: int, transaction: ReadTransaction
) -> tuple[list[Match], list[Match], int]:
    """See ReadTransaction.owned_window: in two steps."""
    owners = transaction.referrers(by, most)
    if not owners:
        return [], [], 0
    assert wanted.owners is not None
    ids = tuple([item.logical_id for item in owners])
    return owners, *transaction.window(wanted._replace(owners=(wanted.owners[0], ids)))
