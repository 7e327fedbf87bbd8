"""Fixtures of the directory's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import httpx
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from service_directory import Directory


@pytest.fixture
def directory(client: httpx.Client) -> Directory:
    """A directory of services of its own on the shared server."""
    return Directory(client)
