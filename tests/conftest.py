"""Real servers on both databases: `server` and `client` run a test once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import cache, partial
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fhir_server.store.open import prepare_database
from tools.serving import ServerProcess
from tools.temporary_postgresql import temporary_postgresql

# How long an example takes is the machine's affair: what is bounded has tests that count.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL server: the one that FHIR_TEST_POSTGRESQL names, or one that lives for this run."""
    given = os.environ.get("FHIR_TEST_POSTGRESQL")
    if given:
        yield given
        return
    with temporary_postgresql() as url:
        yield url


class Databases:
    """Databases of one kind, and the servers on them that tests share until the end of the run."""

    def __init__(self, blank: Callable[[], str], copy: Callable[[str], str]) -> None:
        self.blank = blank
        self._copy = copy
        self._migrated: str | None = None
        self._shared: dict[tuple[tuple[str, str], ...], ServerProcess] = {}
        self._stack = ExitStack()

    def migrated(self) -> str:
        """The URL of an empty database with the newest schema: a copy, which is quicker than to migrate each."""
        if self._migrated is None:
            self._migrated = self.blank()
            prepare_database(self._migrated)
        return self._copy(self._migrated)

    def server(self, **settings: str) -> ServerProcess:
        """The one server with these settings."""
        key = tuple(sorted(settings.items()))
        if key not in self._shared:
            self._shared[key] = self._stack.enter_context(self.own(**settings))
        return self._shared[key]

    def own(self, workers: int = 1, **settings: str) -> ServerProcess:
        """A server for one test alone, to be started."""
        named = {f"FHIR_{name.upper()}": value for name, value in settings.items()}
        return ServerProcess(self.migrated(), workers=workers, settings=named)

    def close(self) -> None:
        self._stack.close()


@pytest.fixture(scope="session")
def sqlite_databases(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Databases]:
    """Files of SQLite."""

    def blank() -> str:
        return f"sqlite:///{tmp_path_factory.mktemp('database')}/fhir.sqlite"

    def copy(url: str) -> str:
        made = blank()
        shutil.copy(url.removeprefix("sqlite:///"), made.removeprefix("sqlite:///"))
        return made

    made = Databases(blank, copy)
    yield made
    made.close()


@pytest.fixture(scope="session")
def postgresql_databases(postgresql: str) -> Iterator[Databases]:
    """Databases of the PostgreSQL server."""
    url = make_url(postgresql)
    plain = url.set(drivername="postgresql").render_as_string(hide_password=False)

    def copy(template: str) -> str:
        name = f"fhir_test_{os.getpid()}_{next(_NUMBERS)}"
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE {template}")
        return url.set(database=name).render_as_string(hide_password=False)

    made = Databases(
        partial(copy, "template0"), lambda template: copy(str(make_url(template).database))
    )
    yield made
    made.close()


@pytest.fixture(scope="session")
def database_of(request: pytest.FixtureRequest) -> Callable[[str], str]:
    """As new_database, of a kind that is named: database_of("sqlite")."""
    return lambda kind: request.getfixturevalue(f"{kind}_databases").migrated()


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def databases(request: pytest.FixtureRequest) -> Databases:
    """Those of the kind under test.

    Shared servers hang on fixtures without parameters: pytest ends what hangs on this one whenever the kind changes,
    which is twice in each file.
    """
    found: Databases = request.getfixturevalue(f"{request.param}_databases")
    return found


@pytest.fixture(scope="session")
def blank_database(databases: Databases) -> Callable[[], str]:
    """Makes a database of the kind under test that has no table yet, and gives its URL."""
    return databases.blank


@pytest.fixture(scope="session")
def new_database(databases: Databases) -> Callable[[], str]:
    """Makes a database of the kind under test with the newest schema and nothing in it, and gives its URL."""
    return databases.migrated


@pytest.fixture(scope="session")
def server(databases: Databases) -> ServerProcess:
    """A running server with the default settings; tests share it, so each uses ids and identifiers of its own."""
    return databases.server()


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """An HTTP client of that server; paths are relative to the FHIR base: client.get("Patient/1")."""
    with httpx.Client(base_url=server.base + "/", timeout=30, verify=False) as made:
        yield made


@pytest.fixture
def serve(databases: Databases) -> Iterator[Callable[..., httpx.Client]]:
    """Starts a server of its own with settings, serve(update_create="false"), and gives a client of it."""
    with ExitStack() as stack:

        def start(workers: int = 1, **settings: str) -> httpx.Client:
            running = stack.enter_context(databases.own(workers, **settings))
            return stack.enter_context(
                httpx.Client(base_url=running.base + "/", timeout=30, verify=False)
            )

        yield start


@pytest.fixture(scope="module")
def serve_module(databases: Databases) -> Iterator[Callable[..., httpx.Client]]:
    """As serve, but tests of a module that name the same settings share the server."""
    with ExitStack() as stack:

        @cache
        def start(**settings: str) -> httpx.Client:
            running = stack.enter_context(databases.own(**settings))
            return stack.enter_context(
                httpx.Client(base_url=running.base + "/", timeout=30, verify=False)
            )

        yield start
