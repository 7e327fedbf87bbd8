"""Filling an empty database at once: as a whole, with every key and index, or not at all."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fhir_server.search import expression as x
from fhir_server.search.entries import TokenEntry
from fhir_server.search.expression import Query
from fhir_server.store.bulk import Batch, batch_of, write_postgresql, write_sqlite
from fhir_server.store.checks import UnsafeDatabase
from fhir_server.store.open import open_store

CODE = 11


def batches(number: int, *, broken: bool = False) -> Iterator[Batch]:
    for first in range(1, number, 2):
        made = [
            ({"resourceType": "Task", "id": f"{item}"}, [TokenEntry(CODE, "", f"c{item % 3}")])
            for item in (first, first + 1)
        ]
        yield batch_of(made, first, 1_000_000)
    if broken:
        raise RuntimeError("the power is cut")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(
    request: pytest.FixtureRequest, tmp_path: Path, empty_database: Callable[[str], str]
) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/filled.sqlite"
    return empty_database("postgresql")


def fill(url: str, filled: Iterator[Batch]) -> None:
    (write_sqlite if url.startswith("sqlite") else write_postgresql)(url, filled)


def found(url: str) -> list[str]:
    store = open_store(url)
    try:
        with store.read() as view:
            hits = view.search(Query(("Task",), x.TokenMatch((CODE,), (x.Token(None, "c1"),))))
            return [hit.version.logical_id for hit in hits]
    finally:
        store.close()


def test_what_was_filled_is_found(url: str) -> None:
    fill(url, batches(11))
    assert found(url) == ["1", "4", "7", "10"]


def test_a_filling_that_ends_early_leaves_nothing_and_can_be_done_again(url: str) -> None:
    with pytest.raises(RuntimeError):
        fill(url, batches(9, broken=True))
    if url.startswith("sqlite"):
        assert not Path(url.removeprefix("sqlite:///")).exists()
    else:
        assert found(url) == []
    fill(url, batches(4))
    assert found(url) == ["1", "4"]


def test_a_file_that_is_there_is_not_filled(tmp_path: Path) -> None:
    there = tmp_path / "there.sqlite"
    there.write_bytes(b"")
    with pytest.raises(UnsafeDatabase):
        write_sqlite(f"sqlite:///{there}", batches(3))
