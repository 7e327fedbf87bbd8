"""A server behind a gateway that tells it who asks, and the people who do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "referral"))

from access_desk import Asking, Person, World, alone, within


@pytest.fixture(scope="session")
def guarded(databases) -> str:
    """The base of a server that asks for roles; tests share it."""
    running = databases.server(
        role_header="NHSD-eRS-Business-Function", patient_cut_off_minutes="60"
    )
    return f"{running.base}/"


@pytest.fixture(scope="session")
def gateway(guarded: str) -> Iterator[httpx.Client]:
    """One connection for everybody, as a gateway has."""
    with httpx.Client(base_url=guarded, timeout=30) as client:
        yield client


@pytest.fixture
def world(gateway: httpx.Client) -> World:
    """A practice, a trust and a patient, and others who have nothing to do with them."""
    return World(partial(Asking, gateway))


@pytest.fixture(params=["rest", "transaction"])
def write(request: pytest.FixtureRequest) -> Callable[[Person, dict[str, Any]], httpx.Response]:
    """Somebody writes a resource by POST or PUT, or by a transaction with nothing else in it."""
    return alone if request.param == "rest" else within
