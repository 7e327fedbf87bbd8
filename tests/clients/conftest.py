"""One server for all clients."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tools.serving import ServerProcess


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The FHIR base of a running server on an empty database."""
    folder = tmp_path_factory.mktemp("clients")
    with ServerProcess(f"sqlite:///{folder}/fhir.sqlite") as server:
        yield server.base
