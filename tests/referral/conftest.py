"""Fixtures of the tests of referrals."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from referral_desk import Desk


@pytest.fixture
def desk(client: httpx.Client) -> Desk:
    """A patient, a requester and services of their own on the shared server."""
    return Desk(client)
