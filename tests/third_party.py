"""Where third-party test data may lie: a folder shared/data beside the repository, or above it."""

from __future__ import annotations

from pathlib import Path

DATA = next(
    (
        found
        for parent in Path(__file__).resolve().parents
        if (found := parent / "shared" / "data").is_dir()
    ),
    Path("absent"),
)
