"""Commands in this process, and looks into the store that they wrote."""

import pytest
from typer.testing import CliRunner

from fhir_server.cli import application
from fhir_server.server import store_of
from fhir_server.settings import Settings


@pytest.fixture
def database(blank_database):
    """The URL of an empty database, once on SQLite and once on PostgreSQL."""
    return blank_database()


@pytest.fixture
def run(database):
    """Runs a command on the database: run("load", path); the result has exit_code, stdout and stderr."""

    def command(name, *arguments):
        given = [name, *map(str, arguments), "--database", database]
        return CliRunner().invoke(application, given, catch_exceptions=False)

    return command


@pytest.fixture
def stored(database):
    """The current versions of identities: stored(("Patient", "a")), in a dictionary by identity."""

    def look(*identities):
        store = store_of(Settings(database=database))
        try:
            with store.read() as transaction:
                return transaction.many(identities)
        finally:
            store.close()

    return look
