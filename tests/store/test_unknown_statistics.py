"""SQLite has no statistics where a database has grown from nothing: statements are written so that it needs none.

https://www.sqlite.org/optoverview.html
"""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from fhir_server.interactions.grammar import parse_query
from fhir_server.search.query import SearchSettings, parse_search
from fhir_server.store.rows import Row
from fhir_server.store.search_plan import plan
from fhir_server.store.search_sql import SHOWN, statements
from fhir_server.store.sqlite_driver import connect

SETTINGS = SearchSettings(handling="strict", now=0)
# Worklists and views of a referral: each is of one owner, patient or requester, and sorted by a date.
SEARCHES = (
    "ServiceRequest?requester=PractitionerRole/a&status=active&_sort=-authored",
    "ServiceRequest?requester=PractitionerRole/a&status=active&_sort=authored",
    "ServiceRequest?patient=a&category=b&_sort=-authored,status",
    "Task?owner=HealthcareService/a&code=REVIEW&status=requested&_sort=authored-on",
    "Task?owner=HealthcareService/a&status=requested&_sort=-authored-on",
    "Appointment?patient=a&_sort=date",
    "Appointment?patient=a&_sort=-date",
    "DocumentReference?related=ServiceRequest/a&_sort=-date",
    "Observation?patient=a&_sort=-date,code",
)


@pytest.fixture
def asked(migrated_sqlite: Path) -> apsw.Cursor:
    cursor = connect(str(migrated_sqlite)).cursor()
    tables = cursor.execute("SELECT name FROM sqlite_master").fetchall()
    assert ("sqlite_stat1",) not in tables
    return cursor


def nested(rows: list[Row]) -> list[str]:
    """What is done once for each row of something else."""
    within: set[int] = set()
    found = []
    for number, parent, _, told in rows:
        if told.startswith("CORRELATED") or parent in within:
            within.add(number)
            found.append(told)
    return found


@pytest.mark.parametrize("search", SEARCHES)
def test_nothing_is_walked_for_each_match(asked: apsw.Cursor, search: str) -> None:
    kind, _, query = search.partition("?")
    read = parse_search((kind,), parse_query(query), settings=SETTINGS).query
    planned = plan((kind,), read.where, read.sort, lambda *_: [(1,)])
    assert planned.start is not None
    for statement in statements(read, planned, SHOWN):
        rows = asked.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.values).fetchall()
        told = nested(rows)
        assert any("SEARCH" in item for item in told)
        # By its key, and not by the parameter, which all resources of a type have.
        assert [
            item for item in told if item.startswith(("SEARCH", "SCAN")) and "key=?" not in item
        ] == []
