"""Fixtures of the booking tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from booking_clinic import Clinic


@pytest.fixture
def clinic(client: httpx.Client) -> Clinic:
    """A clinic of its own on the shared server."""
    return Clinic(client)


@pytest.fixture
def clinic_of(serve: Callable[..., httpx.Client]) -> Callable[..., Clinic]:
    """Makes a clinic on a server with settings of its own."""
    return lambda **settings: Clinic(serve(**settings))
