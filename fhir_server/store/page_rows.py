"""The rows of a page as matches that are read when they are asked for: most of what a row tells is never asked.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial

from fhir_server.search.expression import Position
from fhir_server.store.contract import Match
from fhir_server.store.rows import Row, type_names


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


# A NamedTuple's own way takes twice as long.
_made = partial(tuple.__new__, PageRow)


def page_rows(rows: Iterable[Row]) -> list[Match]:
    """The rows as matches."""
    return list(map(_made, rows))
