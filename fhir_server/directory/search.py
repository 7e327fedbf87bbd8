"""Finding services: what an index answers first, then service by service, the nearest in rings that grow.

https://hl7.org/fhir/R4/search.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.booking import facts, queries
from fhir_server.directory import places
from fhir_server.directory.asked import Asked, note
from fhir_server.directory.places import HALF_AROUND_KM, Vector, position_of
from fhir_server.directory.suiting import Match, Sieve
from fhir_server.interactions.call import Context
from fhir_server.search.expression import And, Expression, Not, Query
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.store.contract import ReadTransaction, StoredVersion

Json = dict[str, Any]
Order = tuple[float, str]
Identity = tuple[str, str]

_TYPE = "HealthcareService"
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
        self.base = And(
            (
                *(expression for _, expression in self.asked.criteria),
                Not(queries.coded(_TYPE, "active", "false")),
            )
        )

    def page(self, after: Order | None) -> Found:
        """The matches after that place in the order; FhirError 403 when too many have to be looked at."""
        number = self.transaction.count((_TYPE,), self.base)
        by_distance = self.asked.sort == "distance"
        if by_distance and self.asked.distance is None and number > FEW:
            return self._in_rings(after, number)
        matches = self._within(number) if self.asked.distance is not None else self._all(number)
        matches.sort(key=lambda item: item.order(self.asked))
        rest = [item for item in matches if after is None or item.order(self.asked) > after]
        page = rest[: self.asked.count]
        notes = self._notes(number)
        return Found(page, len(matches), len(rest) > len(page), notes)

    def _all(self, number: int) -> list[Match]:
        if number > MOST:
            raise _too_many(number)
        return self._matches(self._services(self.base, MOST))

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

    def _in_rings(self, after: Order | None, number: int) -> Found:
        """The nearest first, in circles that grow until the page is full."""
        asked = self.asked
        assert asked.place is not None
        radius, seen, matches = _FIRST_RING_KM, set[str](), list[Match]()
        visited: set[str] = set()
        while True:
            located = places.around(asked.place, radius, self.transaction, _MOST_PLACES + 1)
            if len(located) > _MOST_PLACES:
                raise _too_many(len(located))
            fresh = [item.logical_id for item in located if item.logical_id not in visited]
            visited.update(fresh)
            services = [item for item in self._at(fresh) if item.logical_id not in seen]
            seen.update(item.logical_id for item in services)
            matches += self._matches(services)
            matches.sort(key=lambda item: item.order(asked))
            rest = [
                item
                for item in matches
                if (after is None or item.order(asked) > after) and (item.distance or 0.0) <= radius
            ]
            if len(rest) > asked.count:
                return Found(rest[: asked.count], None, True, self._notes(number))
            if radius >= HALF_AROUND_KM or len(seen) >= number:
                break
            radius = min(radius * 2, HALF_AROUND_KM)
        if number > len(seen):
            reason = "near: it has no Location with a position; sort=wait lists such services"
            self.sieve.left_out[reason] = number - len(seen)
        return Found(rest, len(matches), False, self._notes(number))

    def _at(self, location_ids: list[str]) -> list[StoredVersion]:
        """The services that are at one of those Locations, and for which the criteria hold."""
        if not location_ids:
            return []
        named = (f"Location/{item}" for item in location_ids)
        refers = queries.referring(_TYPE, "location", named)
        return self._services(And((refers, self.base)), MOST + 1)

    def _services(self, where: Expression, limit: int) -> list[StoredVersion]:
        hits = self.transaction.search(Query((_TYPE,), where, limit=limit))
        return [hit.version for hit in hits]

    def _matches(self, versions: list[StoredVersion]) -> list[Match]:
        # Nothing is written back, so decimals need not keep their digits: this reader is ten times as fast.
        services = [(orjson.loads(item.body), item.body) for item in versions]
        located = self._located(service for service, _ in services)
        found = (self.sieve.match(service, body, located) for service, body in services)
        return [item for item in found if item is not None]

    def _located(self, services: Iterator[Json]) -> dict[Identity, Vector]:
        """The positions of the services' Locations, where a place is asked for."""
        if self.asked.place is None:
            return {}
        wanted = [
            target
            for service in services
            for _, target in facts.targets(service.get("location", ()), self.context)
            if target[0] == "Location"
        ]
        read = self.transaction.many(list(dict.fromkeys(wanted)))
        positions = {
            target: position_of(orjson.loads(version.body)) for target, version in read.items()
        }
        return {target: found for target, found in positions.items() if found is not None}

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


def _too_many(number: int) -> errors.FhirError:
    return errors.too_costly(
        f"{number} services or places would have to be looked at; add a specialty, code, named-clinician or"
        " organisation, or a smaller distance"
    )
