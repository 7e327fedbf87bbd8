"""Filling an empty database with a data set made on the way: validated, stamped and indexed by two processes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from typing import Any, Protocol

import orjson

from fhir_server import validation
from fhir_server.search.extraction import entries
from fhir_server.spec.json_format import parse
from fhir_server.store.bulk import Batch, batch_of, write_postgresql, write_sqlite

Json = dict[str, Any]
CHUNK = 5_000


class Dataset(Protocol):
    """Resources by type and number; every process makes its own of them."""

    def parts(self) -> Iterator[tuple[str, int]]:
        """Type and number, what is referred to first."""

    def resource(self, kind: str, number: int) -> Json:
        """The one of that type and number, with its id."""


@dataclass(frozen=True, slots=True)
class Work:
    """A chunk to prepare: numbers from first, below last, whose rows begin with that key."""

    dataset: Dataset
    kind: str
    first: int
    last: int
    key: int
    now: int


def _works(dataset: Dataset, now: int) -> Iterator[Work]:
    key = 1
    for kind, number in dataset.parts():
        for first in range(0, number, CHUNK):
            last = min(number, first + CHUNK)
            yield Work(dataset, kind, first, last, key, now)
            key += last - first


def prepare(work: Work) -> Batch:
    """Validated, stamped and indexed."""
    found = []
    stamp = datetime.fromtimestamp(work.now / 1e6, UTC).isoformat(timespec="milliseconds")
    for number in range(work.first, work.last):
        resource = work.dataset.resource(work.kind, number)
        # As the server reads it: decimals are not what Python takes them for.
        read = parse(orjson.dumps(resource))
        issues = validation.validate(read, resource_type=work.kind)
        assert not issues, issues
        resource = {
            "resourceType": work.kind,
            "id": resource["id"],
            "meta": {"versionId": "1", "lastUpdated": stamp.replace("+00:00", "Z")},
            **resource,
        }
        found.append((resource, entries(read)))
    return batch_of(found, work.key, work.now)


def fill_with(dataset: Dataset, url: str) -> tuple[int, float]:
    """Fill an empty database; how many resources, and in how many seconds."""
    works = list(_works(dataset, time.time_ns() // 1_000_000 * 1000))
    began = time.perf_counter()
    with get_context("spawn").Pool(2) as pool:
        batches = pool.imap(prepare, works)
        if url.startswith("sqlite"):
            write_sqlite(url, batches)
        else:
            write_postgresql(url, batches)
    return sum(number for _, number in dataset.parts()), time.perf_counter() - began
