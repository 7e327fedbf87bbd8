"""What several tests over HTTP need."""

from __future__ import annotations

import httpx
import pytest
from exemplars import refused
from shelf import Shelf

from tools.serving import ServerProcess


@pytest.fixture
def goes_on(client):
    """Whatever a test sends, the server answers afterwards."""
    yield
    refused(client.get("Patient/nobody"), 404)


@pytest.fixture(scope="module")
def impatient(new_database):
    """A client of a server that waits for a body 0.3 seconds only, and reads at most 100,000 bytes of it."""
    settings = {"FHIR_BODY_TIMEOUT": "0.3", "FHIR_MAXIMUM_BODY": "100000"}
    with (
        ServerProcess(new_database(), settings=settings) as running,
        httpx.Client(base_url=running.base + "/", timeout=30) as made,
    ):
        yield made


@pytest.fixture
def shelf(client: httpx.Client) -> Shelf:
    """Resources of this test alone, on the shared server."""
    return Shelf(client)
