"""The referral-to-treatment clock of one referral: when it started and stopped, and how long it ran.

https://hl7.org/fhir/R4/servicerequest.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.directory.names import CLOCK_PAUSE, CLOCK_STOP
from fhir_server.referral.clock import start_of
from fhir_server.referral.extensions import all_of, typed
from fhir_server.referral.kinds import kind_of
from fhir_server.spec.dates import LATEST, interval

Json = dict[str, Any]
Span = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Clock:
    """Moments in microseconds since 1970. stated: the referral itself tells the start; stop None: it still runs."""

    start: int
    stated: bool
    stop: int | None
    pauses: tuple[Span, ...]

    def runs(self, moment: int) -> bool:
        """Whether the patient is waiting at that moment."""
        return self.start <= moment and (self.stop is None or self.stop > moment)

    def waited(self, moment: int) -> int:
        """How long the clock had run by then (or until it stopped) in microseconds, pauses left out."""
        end = moment if self.stop is None else min(moment, self.stop)
        paused = 0
        covered = self.start
        for low, high in self.pauses:
            begin, until = max(low, covered), min(high, end)
            if until > begin:
                paused += until - begin
                covered = until
        return max(0, end - self.start - paused)


def clock_of(referral: Json) -> Clock | None:
    """The clock of a ServiceRequest; without a stated start it started when the referral was written.

    None when neither is told, and for a question (advice and guidance) whose clock nobody started.
    """
    start = _moment(start_of(referral))
    stated = start is not None
    if start is None and kind_of(referral) != "advice":
        start = _moment(referral.get("authoredOn"))
    if start is None:
        return None
    stops = [
        moment
        for item in all_of(referral, CLOCK_STOP)
        if (moment := _moment(typed(item, "instant", "valueInstant"))) is not None
    ]
    return Clock(start, stated, min(stops, default=None), tuple(sorted(_pauses(referral))))


def _pauses(referral: Json) -> Iterator[Span]:
    for item in all_of(referral, CLOCK_PAUSE):
        period = typed(item, "period", "valuePeriod")
        if isinstance(period, dict):
            low, high = period.get("start"), period.get("end")
            if isinstance(low, str):
                yield interval(low)[0], _end(high) if isinstance(high, str) else LATEST


def _end(text: str) -> int:
    # The end of a Period that is a day belongs to it (datatypes.html#Period).
    return interval(text)[0 if "T" in text else 1]


def _moment(text: Any) -> int | None:
    return interval(text)[0] if isinstance(text, str) else None
