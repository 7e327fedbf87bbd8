"""What the tests over HTTP share."""

from __future__ import annotations

import httpx
import pytest
from shelf import Shelf


@pytest.fixture
def shelf(client: httpx.Client) -> Shelf:
    """Resources of this test alone, on the shared server."""
    return Shelf(client)
