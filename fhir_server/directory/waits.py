"""What a service shows of how long it makes patients wait: its free slots to come, and waits until appointments.

docs/referrals-directory.md says what each figure is of. https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from fhir_server.booking import facts
from fhir_server.booking.names import PRIORITY
from fhir_server.directory.names import WAIT
from fhir_server.directory.statistics import written
from fhir_server.interactions.call import Context
from fhir_server.referral import extensions
from fhir_server.spec.instants import SECOND, write_instant

Json = dict[str, Any]
Alert = Literal["LIMITED", "NORMAL", "AVAILABLE"]

# Codes of slots that a referral of that priority may not take: it takes those of its own and of lower priority.
BEYOND = {
    "routine": ("URGENT", "TWO_WEEK_WAIT"),
    "urgent": ("TWO_WEEK_WAIT",),
    "two-week-wait": (),
}


@dataclass(frozen=True, slots=True)
class Figures:
    """first_free: priority -> start of the first free slot, microseconds; free_7, free_28: until the end of that day.

    median, percentile_92: days, None without a sample.
    """

    first_free: tuple[tuple[str, int], ...]
    free_7: int
    free_28: int
    median: float | None
    percentile_92: float | None
    sample: int

    @property
    def alert(self) -> Alert:
        """LIMITED without a free slot in 28 days, AVAILABLE with one in 7."""
        if self.free_28 == 0:
            return "LIMITED"
        return "AVAILABLE" if self.free_7 else "NORMAL"

    def extension(self, as_of: int) -> Json:
        """As the extension service-wait."""
        listed: list[Json] = [
            {"url": f"first-free-slot-{name}", "valueInstant": write_instant(start)}
            for name, start in self.first_free
        ]
        listed += [
            {"url": "free-slots-7-days", "valueUnsignedInt": self.free_7},
            {"url": "free-slots-28-days", "valueUnsignedInt": self.free_28},
        ]
        for url, days in (("median-wait", self.median), ("percentile-92-wait", self.percentile_92)):
            if days is not None:
                listed.append({"url": url, "valueDecimal": written(days)})
        listed += [
            {"url": "sample-size", "valueUnsignedInt": self.sample},
            {"url": "as-of", "valueInstant": write_instant(as_of)},
            {"url": "capacity-alert", "valueCode": self.alert},
        ]
        return {"url": WAIT, "extension": listed}


def midnight(now: int, days: int, zone: ZoneInfo) -> int:
    """The beginning of the day so many days after today, in microseconds since 1970."""
    today = datetime.fromtimestamp(now / SECOND, zone).date()
    return int(datetime.combine(today + timedelta(days=days), time(), zone).timestamp()) * SECOND


def priority_of(slot: Json) -> str | None:
    """The code of eRS-Priority that a slot is for; None: routine."""
    for item in slot.get("appointmentType", {}).get("coding", ()):
        if item.get("system") == PRIORITY:
            found: str | None = item.get("code")
            return found
    return None


def stated(service: Json) -> Json | None:
    """The extension service-wait of a HealthcareService, or None."""
    return extensions.one(service, WAIT)


def value(shown: Json, figure: str) -> Any:
    """One figure of the extension, or None."""
    return extensions.part(shown, figure)


def without_moment(extension: Json) -> list[Json]:
    """The figures of an extension without when they were computed."""
    return [item for item in extension.get("extension", ()) if item.get("url") != "as-of"]


def as_of(shown: Json) -> int:
    """When the figures of the extension were computed, microseconds since 1970."""
    found = value(shown, "as-of")
    return 0 if found is None else facts.moment(found)


def changing(shown: Json, context: Context) -> int:
    """The moment at which time alone will change the figures of the extension."""
    now = context.now()
    starts = [facts.moment(item) for item in first_free(shown).values()]
    return min([midnight(now, 1, context.policy.zone), *starts])


def first_free(shown: Json) -> dict[str, str]:
    """Priority -> the instant of the first free slot that the extension tells for it."""
    starts = ((priority, value(shown, f"first-free-slot-{priority}")) for priority in BEYOND)
    return {priority: start for priority, start in starts if start is not None}
