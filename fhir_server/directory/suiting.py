"""Whether a service suits what is asked for, beyond what an index answers, and what it was left out for.

https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fhir_server.directory.asked import Asked
from fhir_server.directory.places import Vector, kilometres
from fhir_server.directory.services import Limit, Service
from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target

UNKNOWN = 1e9


class Match(NamedTuple):
    """A service that suits. distance: kilometres to its nearest place, wait: days; None: not known.

    order: where it stands in the answer: by what is asked for, which comes last where it is not known, and the id.
    """

    order: tuple[float, str]
    service: Service
    distance: float | None
    wait: float | None

    @property
    def service_id(self) -> str:
        """The id of the service."""
        return self.service.service_id

    def score(self, asked: Asked) -> float:
        """From 1 (here, now) down to 0 (not known), in the order of the answer."""
        value = self.order[0]
        if value >= UNKNOWN:
            return 0.0
        return round(1 / (1 + value / (10 if asked.sort == "distance" else 28)), 9)


@dataclass
class Sieve:
    """Looks at services one by one, and counts those that are left out by the criterion."""

    asked: Asked
    context: Context
    left_out: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.now = self.context.now()
        asked = self.asked
        limits = (asked.distance, asked.maximum_wait, asked.commissioner)
        self._limited = any(item is not None for item in limits)

    def matches(self, services: Iterable[Service], located: Mapping[str, Vector]) -> list[Match]:
        """Those that suit, in no order; located: where their locations are, by the references as they are written."""
        priority, now, limited = self.asked.priority, self.now, self._limited
        by_distance = self.asked.sort == "distance"
        found = []
        for service in services:
            distance = self.distance(service, located) if located else None
            wait = service.wait(priority, now)
            if (limited or service.limits) and (reason := self._reason(service, distance, wait)):
                self.left_out[reason] += 1
                continue
            value = distance if by_distance else wait
            order = (UNKNOWN if value is None else round(value, 6), service.service_id)
            found.append(Match(order, service, distance, wait))
        return found

    def _reason(self, service: Service, distance: float | None, wait: float | None) -> str:
        """The first criterion that leaves the service out, or ""."""
        return (
            self._too_far(distance)
            or self._too_long(wait)
            or self._not_commissioned(service)
            or (self._not_eligible(service) if service.limits else "")
        )

    def distance(self, service: Service, located: Mapping[str, Vector]) -> float | None:
        """Kilometres to its nearest place; None when no place is asked for, or none of its own is known."""
        place = self.asked.place
        if place is None:
            return None
        found = [
            kilometres(place.vector, located[item]) for item in service.locations if item in located
        ]
        return min(found, default=None)

    def _too_far(self, distance: float | None) -> str:
        if self.asked.distance is None:
            return ""
        if distance is None:
            return "distance: it has no Location with a position"
        return "distance: it is farther away" if distance > self.asked.distance else ""

    def _too_long(self, wait: float | None) -> str:
        if self.asked.maximum_wait is None:
            return ""
        if wait is None:
            return "max-wait-days: it shows no wait"
        return "max-wait-days: its wait is longer" if wait > self.asked.maximum_wait else ""

    def _not_commissioned(self, service: Service) -> str:
        """A service that names no commissioner takes referrals under the rules of any."""
        wanted = self.asked.commissioner
        if wanted is None or not service.commissioners:
            return ""
        for written in service.commissioners:
            target = local_target(written, self.context)
            if target is not None and "/".join(target) == wanted:
                return ""
        return "commissioning-org: it is for other commissioners"

    def _not_eligible(self, service: Service) -> str:
        """Each eligibility that states limits is an alternative."""
        limits = service.limits
        if any(not self._outside(limit) for limit in limits):
            return ""
        return self._outside(limits[0])

    def _outside(self, limit: Limit) -> str:
        age, sex = self.asked.age, self.asked.sex
        if age is not None and (
            (limit.low is not None and age < limit.low)
            or (limit.high is not None and age > limit.high)
        ):
            return "age: it is for patients of other ages"
        # Only male and female leave out: who is neither, or not known, is for the clinician to judge.
        if sex in ("male", "female") and limit.sexes and sex not in limit.sexes:
            return "sex: it is for patients of another sex"
        return ""
