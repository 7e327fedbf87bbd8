"""Finding services: what an index answers first, then service by service, the nearest in rings that grow.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from heapq import nsmallest

from fhir_server.booking import queries
from fhir_server.directory import places
from fhir_server.directory.asked import Asked, note
from fhir_server.directory.places import HALF_AROUND_KM, Vector, read_position
from fhir_server.directory.services import Service, read_service
from fhir_server.directory.suiting import Match, Sieve
from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target
from fhir_server.search.expression import And, Expression, Not, Query
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.store.contract import ReadTransaction

Order = tuple[float, str]
# Location id -> its point, None for one without.
Positions = Mapping[str, Vector | None]

_TYPE = "HealthcareService"
_PLACE = "Location"
_ACTIVE = Not(queries.coded(_TYPE, "active", "false"))
# So many services are looked at one by one; of more, the nearest are found in rings.
FEW = 300
MOST = 2000
_FIRST_RING_KM = 8.0
_MOST_PLACES = 5000


@dataclass(frozen=True, slots=True)
class Found:
    """A page of matches in their order; total None: more than was looked at; more: another page follows."""

    page: list[Match]
    total: int | None
    more: bool
    notes: tuple[Issue, ...]


@dataclass
class Finder:
    """One search of the directory."""

    asked: Asked
    context: Context
    transaction: ReadTransaction

    def __post_init__(self) -> None:
        self.sieve = Sieve(self.asked, self.context)
        self.criteria = And(tuple(expression for _, expression in self.asked.criteria))
        self.base = And((self.criteria, _ACTIVE))

    def page(self, after: Order | None) -> Found:
        """The matches after that place in the order; FhirError 403 when too many have to be looked at."""
        # Where nothing is decided by the distance it is only told, of what is shown.
        told = self.asked.sort == "wait" and self.asked.distance is None
        if self.asked.distance is not None:
            number = self._number()
            matches = self._within(number)
        else:
            by_distance = self.asked.sort == "distance"
            # Mostly there are few, and need not be counted before.
            services = self._services(self.criteria, (FEW if by_distance else MOST) + 1)
            number = len(services)
            if by_distance and number > FEW:
                return self._in_rings(after)
            if number > MOST:
                raise _too_many(self._number())
            matches = self._matches(services, located=not told)
        # The order is the first of a match, and no two have the same.
        rest = matches if after is None else [item for item in matches if item.order > after]
        page = nsmallest(self.asked.count, rest)
        if told:
            page = self._placed(page)
        notes = self._notes(number)
        return Found(page, len(matches), len(rest) > len(page), notes)

    def _within(self, number: int) -> list[Match]:
        """Those with a place within the distance."""
        asked = self.asked
        assert asked.place is not None
        assert asked.distance is not None
        located = places.around(asked.place, asked.distance, self.transaction, _MOST_PLACES + 1)
        services = self._at([item.logical_id for item in located])
        if len(located) > _MOST_PLACES or len(services) > MOST:
            raise _too_many(max(len(located), len(services)))
        left = number - len(services)
        if left:
            self.sieve.left_out[
                "distance: it is farther away, or has no Location with a position"
            ] = left
        return self._matches(services)

    def _in_rings(self, after: Order | None) -> Found:
        """The nearest of more than a few first, in circles that grow until the page is full."""
        asked = self.asked
        assert asked.place is not None
        radius, seen, matches = _FIRST_RING_KM, set[str](), list[Match]()
        visited: dict[str, Vector | None] = {}
        number: int | None = None
        while True:
            located = places.around(asked.place, radius, self.transaction, _MOST_PLACES + 1)
            if len(located) > _MOST_PLACES:
                raise _too_many(len(located))
            fresh = [item for item in located if item.logical_id not in visited]
            visited |= {item.logical_id: read_position(item.body) for item in fresh}
            found = self._at([item.logical_id for item in fresh])
            services = [item for item in found if item.service_id not in seen]
            seen.update(item.service_id for item in services)
            matches += self._matches(services, known=visited)
            matches.sort()
            rest = [
                item
                for item in matches
                if (after is None or item.order > after) and (item.distance or 0.0) <= radius
            ]
            if len(rest) > asked.count:
                return Found(rest[: asked.count], None, True, self._notes(len(seen)))
            # Counting takes as long as some rings do.
            if number is None and len(seen) > FEW:
                number = self._number()
            if radius >= HALF_AROUND_KM or (number is not None and len(seen) >= number):
                break
            radius = min(radius * _wider(len(rest), asked.count + 1), HALF_AROUND_KM)
        number = self._number() if number is None else number
        if number > len(seen):
            reason = "near: it has no Location with a position; sort=wait lists such services"
            self.sieve.left_out[reason] = number - len(seen)
        return Found(rest, len(matches), False, self._notes(number))

    def _number(self) -> int:
        return self.transaction.count((_TYPE,), self.base)

    def _at(self, location_ids: list[str]) -> list[Service]:
        """The services that are at one of those Locations, and for which the criteria hold."""
        if not location_ids:
            return []
        named = (f"Location/{item}" for item in location_ids)
        refers = queries.referring(_TYPE, "location", named)
        return self._services(And((refers, self.criteria)), MOST + 1)

    def _services(self, where: Expression, limit: int) -> list[Service]:
        """Those that are active, which what is kept of them tells sooner than an index."""
        found = self.transaction.derived(Query((_TYPE,), where, limit=limit), read_service)
        active = [item for item in found if item.active]
        if len(active) < len(found) == limit:
            # Others are beyond the limit, which those that are not active have used up.
            query = Query((_TYPE,), And((where, _ACTIVE)), limit=limit)
            return self.transaction.derived(query, read_service)
        return active

    def _matches(
        self, services: Sequence[Service], known: Positions | None = None, *, located: bool = True
    ) -> list[Match]:
        at = self._located(services, known or {}) if located else {}
        return self.sieve.matches(services, at)

    def _placed(self, page: list[Match]) -> list[Match]:
        """The matches with their distances."""
        at = self._located([item.service for item in page], {})
        return [item._replace(distance=self.sieve.distance(item.service, at)) for item in page]

    def _located(self, services: Sequence[Service], known: Positions) -> dict[str, Vector]:
        """Where the services' Locations are, by the references as they are written, if a place is asked for.

        known: the positions of Locations that were read already, by id.
        """
        if self.asked.place is None:
            return {}
        written = dict.fromkeys(item for service in services for item in service.locations)
        targets = {
            item: target[1]
            for item in written
            if (target := local_target(item, self.context)) is not None and target[0] == _PLACE
        }
        wanted = [(_PLACE, item) for item in targets.values() if item not in known]
        read = {
            item: read_position(version.body)
            for (_, item), version in self.transaction.many(wanted).items()
        }
        positions = {**known, **read}
        return {
            item: position
            for item, target in targets.items()
            if (position := positions.get(target)) is not None
        }

    def _notes(self, number: int) -> tuple[Issue, ...]:
        """Why services were left out, by criterion."""
        found = [
            note(f"{count} services left out by {reason}")
            for reason, count in sorted(self.sieve.left_out.items())
        ]
        if number == 0:
            found += self._none()
        return (*self.asked.notes, *found)

    def _none(self) -> list[Issue]:
        """Which criterion it was that left nothing."""
        for count, (name, expression) in enumerate(self.asked.criteria, 1):
            if not self.transaction.count((_TYPE,), expression):
                return [note(f"No service has the {name} that is asked for")]
            together = And(tuple(part for _, part in self.asked.criteria[:count]))
            if not self.transaction.count((_TYPE,), together):
                others = ", ".join(other for other, _ in self.asked.criteria[: count - 1])
                return [note(f"No service has the {name} and the {others} that are asked for")]
        return [note("No active service has what is asked for")]


def _wider(found: int, wanted: int) -> float:
    """How many times as wide the next ring is: so that it is likely to hold what is wanted, and not much more."""
    return min(4.0, max(1.5, 1.2 * math.sqrt(wanted / found))) if found else 4.0


def _too_many(number: int) -> errors.FhirError:
    return errors.too_costly(
        f"{number} services or places would have to be looked at; add a specialty, code, named-clinician or"
        " organisation, or a smaller distance"
    )
