"""How many requests a client may send a second (RFC 6585 4, https://hl7.org/fhir/R4/http.html#Status-Codes)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from fhir_server.interactions.coded import refusal
from fhir_server.spec.errors import FhirError

_MOST_CLIENTS = 10_000


class Rates:
    """A bucket for each client: burst requests at once, and rate more in each second; of one process."""

    def __init__(
        self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.rate = rate
        self.burst = burst
        self.clock = clock
        # Client -> how many requests are left, and when that was so.
        self._left: dict[bytes, tuple[float, float]] = {}

    def check(self, client: bytes) -> None:
        """Count a request of the client; FhirError 429 with Retry-After when it is one too many."""
        now = self.clock()
        left, since = self._left.get(client, (float(self.burst), now))
        left = min(self.burst, left + (now - since) * self.rate)
        if left < 1:
            raise _too_many(math.ceil((1 - left) / self.rate))
        if client not in self._left and len(self._left) >= _MOST_CLIENTS:
            self._forget(now)
        self._left[client] = (left - 1, now)

    def _forget(self, now: float) -> None:
        """Those whose buckets are full again, or all when that is nobody."""
        kept = {
            client: (left, since)
            for client, (left, since) in self._left.items()
            if left + (now - since) * self.rate < self.burst
        }
        self._left = kept if len(kept) < _MOST_CLIENTS else {}


def _too_many(seconds: int) -> FhirError:
    told = "This client sends too many requests; go on after the time in Retry-After"
    again = {"Retry-After": str(seconds)}
    return refusal(429, "throttled", "TOO_MANY_REQUESTS", told, headers=again)
