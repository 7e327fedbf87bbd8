"""Fixtures of the booking tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from booking_clinic import Clinic

from tools.serving import ServerProcess


@pytest.fixture
def clinic(client: httpx.Client) -> Clinic:
    """A clinic of its own on the shared server."""
    return Clinic(client)


@pytest.fixture
def clinic_of(serve_module: Callable[..., httpx.Client]) -> Callable[..., Clinic]:
    """Makes a clinic on a server with settings of its own."""
    return lambda **settings: Clinic(serve_module(**settings))


@pytest.fixture
def serve_process(
    new_database: Callable[[], str],
) -> Iterator[Callable[..., tuple[ServerProcess, Clinic]]]:
    """Starts a server that a test may kill, and makes a clinic on it."""
    with ExitStack() as stack:

        def start(**settings: str) -> tuple[ServerProcess, Clinic]:
            named = {f"FHIR_{name.upper()}": value for name, value in settings.items()}
            server = stack.enter_context(ServerProcess(new_database(), settings=named))
            client = stack.enter_context(httpx.Client(base_url=server.base + "/", timeout=60))
            return server, Clinic(client)

        yield start
