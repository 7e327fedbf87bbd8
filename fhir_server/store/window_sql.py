"""The statement of a window: a walk of a projection, with the number of all its rows (see window.py)."""

from __future__ import annotations

from functools import cache, lru_cache
from operator import itemgetter

from fhir_server.search.expression import Position
from fhir_server.spec.instants import MILLISECOND
from fhir_server.store.contract import Match
from fhir_server.store.driver import Driver
from fhir_server.store.links_sql import referrers_found, referrers_question
from fhir_server.store.page_rows import page_rows
from fhir_server.store.projections import Projection, projections
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import fit
from fhir_server.store.sql_parts import marks
from fhir_server.store.window import Referrers, Window

# The most ids of owners in one statement.
MOST = 500
_SOONEST = itemgetter(4, 0)


def covering(wanted: Window) -> Projection | None:
    """The projection that the window can be read from."""
    if wanted.owners is not None and not 0 < len(wanted.owners[1]) <= MOST:
        return None
    return _projection(
        wanted.owner if wanted.owners is not None else None, wanted.status, wanted.date
    )


def rows(wanted: Window, projection: Projection, driver: Driver) -> tuple[list[Match], int | None]:
    """The page, and how many there are in all; None when the page is empty, so that no row tells it."""
    values = _values(wanted, projection)
    owners = 0
    if wanted.owners is not None:
        owners = len(wanted.owners[1])
        values = (*values, *wanted.owners[1])
    text = _text(projection.number, owners, wanted.after is not None)
    found = driver.fetch(text, (*values, *values, *_beyond(wanted), wanted.limit))
    # The rows of the page are joined in any order.
    found.sort(key=_SOONEST)
    return page_rows([row[:5] for row in found]), found[0][5] if found else None


def owned(
    wanted: Window, by: Referrers, most: int, driver: Driver
) -> tuple[list[Match], list[Match], int] | None:
    """Who refers, at most so many, the page of what is theirs, and how many there are in all.

    None when it is not one question: there is no projection for it, or no row tells how many.
    """
    projection = _projection(wanted.owner, wanted.status, wanted.date)
    kinds = {kind for kind, _ in by.targets}
    if projection is None or len(kinds) != 1 or len(by.targets) > MOST:
        return None
    question, values = referrers_question(by)
    theirs = _values(wanted, projection)
    found = driver.fetch(
        _owned(projection.number, question, wanted.after is not None),
        (*values, most, *theirs, *theirs, *_beyond(wanted), wanted.limit),
    )
    owners = referrers_found(row for row in found if row[4] is None)
    page = [row for row in found if row[4] is not None]
    if not page:
        return (owners, [], 0) if wanted.after is None or not owners else None
    page.sort(key=_SOONEST)
    return owners, page_rows([row[:5] for row in page]), page[0][5]


def _values(wanted: Window, projection: Projection) -> tuple[int | str, ...]:
    """Those of the condition, but the ids of owners."""
    last = wanted.low + MILLISECOND
    low = min(wanted.low, last - projection.width)
    values: tuple[int | str, ...] = (fit(wanted.code), low, wanted.high, last, wanted.low)
    if wanted.owners is None:
        return values
    return (*values, type_numbers().get(wanted.owners[0], -1))


def _beyond(wanted: Window) -> Position:
    """Where the page begins."""
    after = wanted.after
    return () if after is None else (after[0], after[0], after[1])


@lru_cache(maxsize=256)
def _owned(projection: int, question: str, paged: bool) -> str:
    theirs = "p.system1 = ? AND p.value1 IN (SELECT logical_id FROM owner)"
    return (
        f"WITH owner AS MATERIALIZED ({question}) SELECT key, type, logical_id, body, NULL, NULL FROM owner"
        f" UNION ALL SELECT * FROM ({_page(projection, theirs, paged)}) w"
    )


@cache
def _projection(owner: int | None, status: int, date: int) -> Projection | None:
    for item in projections():
        by = None if item.by is None else item.by.number
        if (by, item.also.number, item.date.number) == (owner, status, date):
            return item
    return None


@lru_cache(maxsize=256)
def _text(projection: int, owners: int, paged: bool) -> str:
    theirs = (
        f"p.system1 = ? AND p.value1 IN ({marks(range(owners))})" if owners else "p.value1 = ''"
    )
    return _page(projection, theirs, paged)


def _page(projection: int, theirs: str, paged: bool) -> str:
    condition = (
        f"p.parameter = {projection} AND p.value2 = ? AND p.low >= ? AND p.low < ?"
        f" AND (p.high > ? OR p.low >= ?) AND {theirs}"
    )
    after = " AND p.low >= ? AND (p.low > ? OR p.key > ?)" if paged else ""
    return (
        "SELECT v.key, v.type, v.logical_id, v.body, o.low,"
        f" (SELECT COUNT(*) FROM projection p WHERE {condition})"
        f" FROM (SELECT p.low, p.key FROM projection p WHERE {condition}{after}"
        " ORDER BY p.low, p.key LIMIT ?) o"
        " JOIN resource r ON r.key = o.key JOIN version v ON v.seq = r.seq"
    )
