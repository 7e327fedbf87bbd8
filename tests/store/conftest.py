"""Stores of every kind: `store` runs a test on the in-memory reference, SQLite and PostgreSQL."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy.engine import make_url
from writing import plain

from fhir_server.store.contract import Store
from fhir_server.store.open import open_store, prepare_database
from fhir_server.store.tables import METADATA

KINDS = ("memory", "sqlite", "postgresql")


@pytest.fixture(scope="session")
def migrated_postgresql(postgresql: str) -> str:
    """A database of this process's own that the tests of stores empty and share."""
    name = f"fhir_store_{os.getpid()}"
    with psycopg.connect(plain(postgresql), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
    url = make_url(postgresql).set(database=name).render_as_string(hide_password=False)
    prepare_database(url)
    return url


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with the newest schema and nothing in it."""
    path = tmp_path_factory.mktemp("store") / "migrated.sqlite"
    prepare_database(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_database(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """Gives the URL of an empty database of a kind, migrated."""

    def make(kind: str) -> str:
        if kind == "memory":
            return "memory://"
        if kind == "sqlite":
            path = tmp_path / "fhir.sqlite"
            shutil.copy(request.getfixturevalue("migrated_sqlite"), path)
            return f"sqlite:///{path}"
        url: str = request.getfixturevalue("migrated_postgresql")
        tables = ", ".join(f'"{table}"' for table in METADATA.tables)
        with psycopg.connect(plain(url), autocommit=True) as connection:
            connection.execute(f"TRUNCATE {tables} RESTART IDENTITY")
        return url

    return make


@pytest.fixture(params=KINDS)
def store(request: pytest.FixtureRequest, empty_database: Callable[[str], str]) -> Iterator[Store]:
    """An empty store of each kind."""
    opened = open_store(empty_database(request.param))
    yield opened
    opened.close()


@pytest.fixture(params=KINDS[1:])
def database_url(request: pytest.FixtureRequest, empty_database: Callable[[str], str]) -> str:
    """An empty database of each kind that is one."""
    return empty_database(request.param)
