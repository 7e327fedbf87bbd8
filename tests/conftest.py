"""Real servers on both databases: `server` and `client` run a test once on SQLite and once on PostgreSQL."""

from __future__ import annotations

import itertools
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, settings
from sqlalchemy.engine import make_url

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

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


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def new_database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], str]:
    """Makes an empty database of the kind under test, and gives its URL."""
    if request.param == "sqlite":
        return lambda: f"sqlite:///{tmp_path_factory.mktemp('database')}/fhir.sqlite"
    url = make_url(request.getfixturevalue("postgresql"))

    def create() -> str:
        name = f"fhir_test_{os.getpid()}_{next(_NUMBERS)}"
        plain = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} ENCODING 'UTF8' TEMPLATE template0")
        return url.set(database=name).render_as_string(hide_password=False)

    return create


@pytest.fixture(scope="session")
def server(new_database: Callable[[], str]) -> Iterator[ServerProcess]:
    """A running server with the default settings; tests share it, so each uses ids and identifiers of its own."""
    with ServerProcess(new_database()) as running:
        yield running


@pytest.fixture(scope="session")
def client(server: ServerProcess) -> Iterator[httpx.Client]:
    """An HTTP client of that server; paths are relative to the FHIR base: client.get("Patient/1")."""
    with httpx.Client(base_url=server.base + "/", timeout=30) as made:
        yield made


@pytest.fixture
def serve(new_database: Callable[[], str]) -> Iterator[Callable[..., httpx.Client]]:
    """Starts a server of its own with settings, serve(update_create="false"), and gives a client of it."""
    with ExitStack() as stack:

        def start(workers: int = 1, **settings: str) -> httpx.Client:
            named = {f"FHIR_{name.upper()}": value for name, value in settings.items()}
            running = stack.enter_context(
                ServerProcess(new_database(), workers=workers, settings=named)
            )
            return stack.enter_context(httpx.Client(base_url=running.base + "/", timeout=30))

        yield start
