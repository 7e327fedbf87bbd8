"""The statement of a window: a walk of a projection, with the number of all its rows (see window.py)."""

from __future__ import annotations

from functools import cache, lru_cache
from operator import itemgetter

from fhir_server.spec.instants import MILLISECOND
from fhir_server.store.contract import Match
from fhir_server.store.driver import Driver
from fhir_server.store.page_rows import page_rows
from fhir_server.store.projections import Projection, projections
from fhir_server.store.rows import type_numbers
from fhir_server.store.schema import fit
from fhir_server.store.sql_parts import marks
from fhir_server.store.window import Window

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
    last = wanted.low + MILLISECOND
    values: tuple[int | str, ...] = (
        fit(wanted.code), min(wanted.low, last - projection.width), wanted.high, last, wanted.low
    )  # fmt: skip
    owners = 0
    if wanted.owners is not None:
        kind, ids = wanted.owners
        owners = len(ids)
        values = (*values, type_numbers().get(kind, -1), *ids)
    after = wanted.after
    text = _text(projection.number, owners, after is not None)
    beyond = () if after is None else (after[0], after[0], after[1])
    found = driver.fetch(text, (*values, *values, *beyond, wanted.limit))
    # The rows of the page are joined in any order.
    found.sort(key=_SOONEST)
    return page_rows([row[:5] for row in found]), found[0][5] if found else None


@cache
def _projection(owner: int | None, status: int, date: int) -> Projection | None:
    for item in projections():
        by = None if item.by is None else item.by.number
        if (by, item.also.number, item.date.number) == (owner, status, date):
            return item
    return None


@lru_cache(maxsize=256)
def _text(projection: int, owners: int, paged: bool) -> str:
    owned = f"p.system1 = ? AND p.value1 IN ({marks(range(owners))})" if owners else "p.value1 = ''"
    condition = (
        f"p.parameter = {projection} AND p.value2 = ? AND p.low >= ? AND p.low < ?"
        f" AND (p.high > ? OR p.low >= ?) AND {owned}"
    )
    after = " AND p.low >= ? AND (p.low > ? OR p.key > ?)" if paged else ""
    return (
        "SELECT v.key, v.type, v.logical_id, v.body, o.low,"
        f" (SELECT COUNT(*) FROM projection p WHERE {condition})"
        f" FROM (SELECT p.low, p.key FROM projection p WHERE {condition}{after}"
        " ORDER BY p.low, p.key LIMIT ?) o"
        " JOIN resource r ON r.key = o.key JOIN version v ON v.seq = r.seq"
    )
