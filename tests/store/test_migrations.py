"""Making and checking the schema (https://alembic.sqlalchemy.org/en/latest/autogenerate.html)."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine
from writing import current, plain, write

from fhir_server.store import migrating
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.open import open_store, prepare_database
from fhir_server.store.schema import HEAD
from fhir_server.store.tables import METADATA

ROOT = Path(__file__).resolve().parents[2]


def _declared(name: str | None, _kind: str, _parents: object) -> bool:
    """Not the index of words, which is of another kind on each database."""
    return name is None or not name.startswith(("words_found", "words_listed"))


def test_the_migrations_make_what_the_metadata_declare(database_url: str) -> None:
    engine = create_engine(database_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "include_name": _declared}
        )
        assert compare_metadata(context, METADATA) == []
    engine.dispose()


def test_the_named_head_is_the_newest_migration() -> None:
    assert ScriptDirectory(str(migrating._MIGRATIONS)).get_heads() == [HEAD]


def test_migrating_again_changes_nothing(blank_database: Callable[[], str]) -> None:
    url = blank_database()
    prepare_database(url)
    store = open_store(url)
    made = write(store, "Patient/a")
    secret = store.secret("cursor")
    store.close()
    prepare_database(url)
    store = open_store(url)
    assert current(store, "Patient/a") == made
    assert store.secret("cursor") == secret
    store.close()


_START = """
import sys
from fhir_server.store.open import open_store
store = open_store(sys.argv[1])
print(store.secret("cursor").hex())
store.close()
"""


def test_processes_that_start_at_once_on_an_empty_database_agree(
    blank_database: Callable[[], str],
) -> None:
    url = blank_database()
    started = [
        subprocess.Popen(
            [sys.executable, "-c", _START, url],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    ended = [(*process.communicate(timeout=60), process.returncode) for process in started]
    assert [told for _, told, status in ended if status] == []
    assert len({secret for secret, _, _ in ended}) == 1


def test_a_migration_that_fails_leaves_nothing(
    blank_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = blank_database()

    def fail(connection: Any) -> None:
        migrate(connection)
        raise ZeroDivisionError

    migrate = migrating._upgrade
    with monkeypatch.context() as patched:
        patched.setattr(migrating, "_upgrade", fail)
        with pytest.raises(ZeroDivisionError):
            prepare_database(url)
    engine = create_engine(url)
    with engine.connect() as connection:
        assert not engine.dialect.get_table_names(connection)
    engine.dispose()
    open_store(url).close()


def test_a_schema_of_a_newer_version_is_refused(blank_database: Callable[[], str]) -> None:
    url = blank_database()
    prepare_database(url)
    change = "UPDATE alembic_version SET version_num = '9999'"
    if url.startswith("sqlite"):
        with sqlite3.connect(url.removeprefix("sqlite:///")) as file:
            file.execute(change)
        file.close()
    else:
        with psycopg.connect(plain(url)) as connection:
            connection.execute(change)
    with pytest.raises(UnsafeDatabase, match="newer version"):
        prepare_database(url)


def test_a_start_with_nothing_to_migrate_does_not_load_the_migrations(database_url: str) -> None:
    loaded = f"{_START}\nprint(*({{'alembic', 'sqlalchemy'}} & set(sys.modules)))"
    ended = subprocess.run(
        [sys.executable, "-c", loaded, database_url],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    _secret, *found = ended.stdout.split()
    assert found == ([] if database_url.startswith("sqlite") else ["sqlalchemy"])
