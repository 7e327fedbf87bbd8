"""Prometheus metrics: how many requests, how they ended, how long they took; no resource, no query, no caller.

Several workers count into files that they share, so that /metrics tells of all of them whichever answers; a single
worker's own metrics come with those of its process (memory, CPU, garbage collection).
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from typing import Any

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector

# What prometheus_client looks for when it is loaded, in the environment of a worker.
_SHARED = "PROMETHEUS_MULTIPROC_DIR"

_REQUESTS = Counter(
    "fhir_requests", "Requests by interaction and status", ["interaction", "status"]
)
_SECONDS = Histogram(
    "fhir_request_seconds",
    "Time to the whole answer",
    ["interaction"],
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
)


@cache
def _children(interaction: str, status: int) -> tuple[Any, Any]:
    return _REQUESTS.labels(interaction, str(status)), _SECONDS.labels(interaction)


# What is not counted yet: one after the other is quicker than each between two requests.
_ANSWERED: deque[tuple[str, int, float]] = deque()
_MOST_WAITING = 64
# Another worker may be asked for the metrics, so that nothing waits here.
_COUNTS_AT_ONCE = _SHARED in os.environ


def observe(interaction: str, status: int, seconds: float) -> None:
    """Count one answered request, before the metrics are shown."""
    _ANSWERED.append((interaction, status, seconds))
    if _COUNTS_AT_ONCE or len(_ANSWERED) > _MOST_WAITING:
        _count()


def _count() -> None:
    # Who shows them may be another thread.
    with suppress(IndexError):
        while True:
            interaction, status, seconds = _ANSWERED.popleft()
            counter, histogram = _children(interaction, status)
            counter.inc()
            histogram.observe(seconds)


@contextmanager
def shared_metrics(workers: int) -> Iterator[None]:
    """The workers started within share what they count, in a folder that is removed at the end."""
    if workers == 1 or _SHARED in os.environ:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="fhir-metrics-") as folder:
        os.environ[_SHARED] = folder
        yield


def exposition() -> tuple[bytes, str]:
    """The text of /metrics and its media type."""
    _count()
    if _SHARED not in os.environ:
        return generate_latest(), CONTENT_TYPE_LATEST
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call] # it has no annotations
    return generate_latest(registry), CONTENT_TYPE_LATEST
