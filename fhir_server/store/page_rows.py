"""The rows of a page as matches that are read when they are asked for: most of what a row tells is never asked.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial

from fhir_server.search.expression import Position
from fhir_server.store.contract import Found, Match
from fhir_server.store.rows import Row, type_names

# A type's number and an id.
Target = tuple[int, str]
_VERSIONED = b"/_history/"


class PageRow(Match):
    """A row (key, type's number, id, body, value of each sort key...); its first, third and fourth are a Match's."""

    __slots__ = ()

    @property
    def resource_type(self) -> str:
        """The type's name."""
        row: Row = self
        return type_names()[row[1]]

    @property
    def position(self) -> Position:
        """Where the row stands in the order of the search."""
        row: Row = self
        return (*row[4:], self.key)


class OwnedRow(PageRow):
    """A row that tells as well what its resource refers to.

    (key, type's number, id, body, parameter, the target's id and its type's number, value of the sort key)
    """

    __slots__ = ()

    @property
    def position(self) -> Position:
        """Where the row stands in the order of the search."""
        row: Row = self
        return (row[7], self.key)


# A NamedTuple's own way takes twice as long.
_made = partial(tuple.__new__, PageRow)
_owned = partial(tuple.__new__, OwnedRow)


def page_row(row: Row) -> Match:
    """A row as a match."""
    return _made(row)


def page_rows(rows: Iterable[Row]) -> list[Match]:
    """The rows as matches."""
    return list(map(_made, rows))


def owned_rows(rows: Sequence[Row]) -> list[Match] | None:
    """The rows as matches that tell what they refer to; None when a reference may name a version: no row tells it."""
    if _VERSIONED in b"".join([row[3] for row in rows]):
        return None
    return list(map(_owned, rows))


def plain(rows: Iterable[Row]) -> list[Row]:
    """The rows without what they refer to."""
    return [(*row[:4], row[7]) for row in rows]


def owners(resources: Sequence[Found], parameter: int) -> dict[Target, None] | None:
    """The targets of all those matches of one page by a parameter, each once; None where their rows do not tell."""
    if not resources or not isinstance(resources[0], OwnedRow):
        return None
    rows: Sequence[Row] = resources
    if rows[0][4] != parameter:
        return None
    return dict.fromkeys([(row[6], row[5]) for row in rows])
