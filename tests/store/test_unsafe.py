"""A database that forgets what it acknowledged is refused at the start.

https://www.postgresql.org/docs/current/runtime-config-wal.html, https://www.sqlite.org/pragma.html#pragma_synchronous
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import apsw
import psycopg
import pytest
from sqlalchemy.engine import make_url
from writing import plain, write

from fhir_server.store import sqlite, sqlite_driver, sqlite_writer
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.open import open_store, prepare_database
from tools.temporary_postgresql import temporary_postgresql


@pytest.fixture
def own_database(
    postgresql: str,
) -> Iterator[tuple[str, psycopg.Connection[tuple[object, ...]], str]]:
    """URL and name of a database to spoil, and a connection beside it."""
    name = f"fhir_unsafe_{os.getpid()}"
    with psycopg.connect(plain(postgresql), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {name}")
        connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        url = make_url(postgresql).set(database=name).render_as_string(hide_password=False)
        yield url, connection, name
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("value", ["off", "local"])
def test_synchronous_commit_that_does_not_wait_is_refused(own_database, value: str) -> None:
    url, connection, name = own_database
    connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = {value}")
    with pytest.raises(
        UnsafeDatabase, match=f"synchronous_commit = {value}.*Set synchronous_commit = on"
    ):
        open_store(url)
    connection.execute(f"ALTER DATABASE {name} SET synchronous_commit = on")
    open_store(url).close()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["fsync", "full_page_writes"])
def test_a_cluster_that_does_not_write_through_is_refused(name: str) -> None:
    with temporary_postgresql() as url:
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute(f"ALTER SYSTEM SET {name} = off")
            connection.execute("SELECT pg_reload_conf()")
        deadline = 200
        while deadline:
            with psycopg.connect(plain(url)) as connection:
                row = connection.execute(f"SHOW {name}").fetchone()
            deadline = 0 if row == ("off",) else deadline - 1
        with pytest.raises(UnsafeDatabase, match=f"{name} = off"):
            open_store(url)


def test_an_encoding_that_cannot_hold_every_character_is_refused(own_database) -> None:
    url, connection, name = own_database
    other = f"{name}_ascii"
    connection.execute(
        f"CREATE DATABASE {other} ENCODING 'SQL_ASCII' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0"
    )
    try:
        with pytest.raises(UnsafeDatabase, match="SQL_ASCII"):
            open_store(make_url(url).set(database=other).render_as_string(hide_password=False))
    finally:
        connection.execute(f"DROP DATABASE {other}")


def test_a_database_that_does_not_answer_is_refused() -> None:
    with pytest.raises(UnsafeDatabase, match="cannot be reached"):
        open_store("postgresql+psycopg://nobody@127.0.0.1:1/nowhere")


@pytest.mark.parametrize("url", ["mysql://x/y", "nonsense", "sqlite+pysqlcipher//x"])
def test_other_databases_are_refused(url: str) -> None:
    with pytest.raises(UnsafeDatabase):
        prepare_database(url)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.sqlite"
    path.write_text("These are notes, and they are not a database at all. " * 50)
    with pytest.raises(UnsafeDatabase, match="not an SQLite database"):
        open_store(f"sqlite:///{path}")


def test_a_folder_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnsafeDatabase, match="cannot be opened"):
        open_store(f"sqlite:///{tmp_path}/file/below/fhir.sqlite")


def test_every_connection_to_sqlite_is_in_wal_with_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[apsw.Connection] = []
    connect = sqlite_driver.connect

    def remember(path: str, *patience: float) -> apsw.Connection:
        made.append(connect(path, *patience))
        return made[-1]

    for module in (sqlite, sqlite_writer):
        monkeypatch.setattr(module, "connect", remember)
    store = open_store(f"sqlite:///{tmp_path}/fhir.sqlite")
    write(store, "Patient/a")
    with store.read() as view:
        assert view.current("Patient", "a")
        modes = [
            (
                item.pragma("journal_mode"),
                item.pragma("synchronous"),
            )
            for item in made
        ]
    store.close()
    assert modes == [("wal", 2)] * 2


def test_a_file_that_does_not_take_wal_is_refused() -> None:
    # A database in memory has no journal to write ahead in.
    with pytest.raises(UnsafeDatabase, match="journal_mode=memory"):
        sqlite_driver.connect(":memory:")


def test_the_file_is_readable_for_its_owner_only(tmp_path: Path) -> None:
    open_store(f"sqlite:///{tmp_path}/fhir.sqlite").close()
    assert (tmp_path / "fhir.sqlite").stat().st_mode & 0o777 == 0o600
