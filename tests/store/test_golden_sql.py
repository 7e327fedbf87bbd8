"""The SQL of each shape of search, for people to read and for changes to be seen: tests/golden/search_sql/*.sql.

`pytest tests/store/test_golden_sql.py --write-golden` writes them anew. Both databases run the same text; the driver
of PostgreSQL only writes its own marks.
"""

from __future__ import annotations

import re
import sqlite3
from pathlib import Path

import psycopg
import pytest
from conftest import plain
from test_search import CASES, SUBJECT, WHEN

from fhir_server.search import expression as x
from fhir_server.search.expression import Query, Range, SortKey
from fhir_server.store import search_sql
from fhir_server.store.postgresql import _marked

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "search_sql"
_SOON = SortKey("date", (WHEN,), False)
_SUBJECT = x.ReferenceMatch((SUBJECT,), (x.Target("Patient", "p"),))
_FREE = x.TokenMatch((1,), (x.Token(None, "free"),))

SHAPES: dict[str, Query] = {name: Query(("Task",), where) for name, (where, _) in CASES.items()}
SHAPES |= {
    "page without order": Query(("Task",), _SUBJECT, after=(7,)),
    "page in an order": Query(("Task",), _SUBJECT, (_SOON,), after=(1000, 7)),
    "page after a missing value": Query(("Task",), _SUBJECT, (_SOON,), after=(None, 7)),
    "order of two": Query(("Task",), _SUBJECT, (_SOON, SortKey("id", (), True)), after=(5, "a", 7)),
    "broad code": Query(("Slot",), _FREE),
    "broad code, next page": Query(("Slot",), _FREE, after=(7,)),
    "slots of a schedule": Query(
        ("Slot",),
        x.And((_SUBJECT, _FREE, x.DateMatch((WHEN,), (Range("ge", 10, 20),)))),
        (_SOON,),
    ),
    "several types": Query(("Task", "Patient"), _SUBJECT),
    "has": Query(("Patient",), x.Has("Task", (SUBJECT,), _FREE)),
    "has by id": Query(("Patient",), x.Has("Task", (SUBJECT,), x.IdIn(("1",)))),
}  # fmt: skip


def _readable(statement: search_sql.Sql) -> str:
    text = re.sub(r" (FROM|WHERE|AND|ORDER BY|JOIN|LIMIT)\b", r"\n\1", statement.text)
    values = "\n".join(f"-- {value!r}" for value in statement.values)
    return f"{text}\n{values}\n"


def _path(name: str) -> Path:
    return GOLDEN / (re.sub(r"\W+", "_", name) + ".sql")


@pytest.mark.parametrize("name", SHAPES)
def test_a_search_is_the_statement_that_is_written_down(
    name: str, request: pytest.FixtureRequest
) -> None:
    found = _readable(search_sql.search(SHAPES[name]))
    path = _path(name)
    if request.config.getoption("--write-golden"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(found)
    assert found == path.read_text()


def test_no_statement_is_written_down_that_is_not_tested() -> None:
    assert {path.name for path in GOLDEN.iterdir()} == {_path(name).name for name in SHAPES}


@pytest.mark.parametrize("name", SHAPES)
def test_values_are_bound_and_never_text(name: str) -> None:
    statement = search_sql.search(SHAPES[name])
    assert statement.text.count("?") == len(statement.values)
    for value in statement.values:
        assert not isinstance(value, str) or len(value) < 4 or value not in statement.text


def test_both_databases_take_every_statement(
    migrated_sqlite: Path, migrated_postgresql: str
) -> None:
    file = sqlite3.connect(f"file:{migrated_sqlite}?mode=ro", uri=True)
    with psycopg.connect(plain(migrated_postgresql)) as connection:
        for query in SHAPES.values():
            for statement in (
                search_sql.search(query),
                search_sql.count(query.resource_types, query.where),
            ):
                file.execute(f"EXPLAIN {statement.text}", statement.values)
                connection.execute(f"EXPLAIN {_marked(statement.text)}", statement.values)
    file.close()


@pytest.mark.parametrize(
    "name",
    [
        "id",
        "reference",
        "code of a system",
        "slots of a schedule",
        "has by id",
        "chain by id",
        "broad code",
    ],
)
def test_sqlite_answers_from_an_index(name: str, migrated_sqlite: Path) -> None:
    """No step of the plan reads a table, or an index from its beginning to its end."""
    statement = search_sql.search(SHAPES[name])
    file = sqlite3.connect(f"file:{migrated_sqlite}?mode=ro", uri=True)
    plan = [
        row[3] for row in file.execute(f"EXPLAIN QUERY PLAN {statement.text}", statement.values)
    ]
    file.close()
    assert not [step for step in plan if step.startswith("SCAN") and step.split()[1] != "q"], plan
