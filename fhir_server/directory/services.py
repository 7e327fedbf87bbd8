"""What a search of the directory reads off a HealthcareService (https://hl7.org/fhir/R4/healthcareservice.html)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts
from fhir_server.directory import waits
from fhir_server.directory.names import COMMISSIONER, ELIGIBILITY
from fhir_server.referral.extensions import all_of, typed
from fhir_server.spec.dates import DAY
from fhir_server.spec.json_format import parse_plain

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Limit:
    """Who is eligible: years of age, both included, and administrative genders; None, no sexes: any."""

    low: int | None
    high: int | None
    sexes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Service:
    """locations, commissioners: references as they are written, "" for one that names nothing.

    first_free: priority -> start of the first free slot, microseconds since 1970; median: of its waits, days.
    """

    service_id: str
    active: bool
    locations: tuple[str, ...]
    commissioners: tuple[str, ...]
    limits: tuple[Limit, ...]
    first_free: Mapping[str, int]
    median: float | None

    def wait(self, priority: str, now: int) -> float | None:
        """Days that it shows for a priority: to its first free slot, else its median; None: it shows none."""
        first = self.first_free.get(priority)
        return self.median if first is None else max(0.0, (first - now) / DAY)


def read_service(body: bytes) -> Service:
    """The service with that JSON."""
    service: Json = parse_plain(body)
    shown = waits.stated(service)
    starts = {} if shown is None else waits.first_free(shown)
    median = None if shown is None else waits.value(shown, "median-wait")
    commissioners = (item.get("valueReference") for item in all_of(service, COMMISSIONER))
    limits = (
        limit for item in service.get("eligibility", ()) for limit in all_of(item, ELIGIBILITY)
    )
    return Service(
        service["id"],
        service.get("active") is not False,
        tuple(_written(item) for item in service.get("location", ())),
        tuple(_written(item) for item in commissioners),
        tuple(_limit(item) for item in limits),
        {priority: facts.moment(start) for priority, start in starts.items()},
        None if median is None else float(median),
    )


def _written(reference: Any) -> str:
    text = reference.get("reference") if isinstance(reference, dict) else None
    return text if isinstance(text, str) else ""


def _limit(extension: Json) -> Limit:
    return Limit(
        typed(extension, "minimum-age", "valueUnsignedInt"),
        typed(extension, "maximum-age", "valueUnsignedInt"),
        tuple(item.get("valueCode", "") for item in all_of(extension, "sex")),
    )
