"""Prometheus metrics: how many requests, how they ended, how long they took; no resource, no query, no caller."""

from __future__ import annotations

from functools import cache
from typing import Any

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Histogram, generate_latest

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


def observe(interaction: str, status: int, seconds: float) -> None:
    """Count one answered request."""
    counter, histogram = _children(interaction, status)
    counter.inc()
    histogram.observe(seconds)


def exposition() -> tuple[bytes, str]:
    """The text of /metrics and its media type."""
    return generate_latest(), CONTENT_TYPE_LATEST
