"""Who waits at a moment, from the versions of that moment: the same moment gives the same list, now and later.

What the indexes find now, and what has changed since, are looked at in the version that was current then.
https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts, queries
from fhir_server.directory.clock import Clock, clock_of
from fhir_server.interactions.call import Context
from fhir_server.search.expression import And, Expression, Query, Token
from fhir_server.spec import errors
from fhir_server.spec.dates import DAY
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import HistoryQuery, ReadTransaction, StoredVersion

Json = dict[str, Any]
_TYPE = "ServiceRequest"
_WAITING = "active"
_CHUNK = 1000
MOST = 100_000
MOST_CHANGES = 20_000
_MOST_SERVICES = 5000


@dataclass(frozen=True, slots=True)
class Waiter:
    """A referral whose clock runs. waited: microseconds, pauses left out; stated: its start is told, not assumed."""

    logical_id: str
    version_id: int
    waited: int
    stated: bool

    @property
    def weeks(self) -> float:
        """How many weeks the patient has waited."""
        return self.waited / (7 * DAY)

    @property
    def order(self) -> tuple[int, str]:
        """The longest wait first."""
        return -self.waited, self.logical_id


@dataclass(frozen=True, slots=True)
class List:
    """The waiting list; without_start: active referrals that tell no start of a clock."""

    waiters: list[Waiter]
    without_start: int


@dataclass(frozen=True)
class Wanted:
    """Whose list: of one organisation's services (Organization/id; None: all), and of specialties (none: all)."""

    organisation: str | None
    specialties: tuple[Token, ...]
    as_of: int
    context: Context
    transaction: ReadTransaction

    def list(self) -> List:
        """The list; FhirError 403 when too much has changed since, or too many wait."""
        services = self._services()
        found: list[Waiter] = []
        without_start = 0
        for version in self._versions(services):
            referral = parse_stored(version.body)
            if not self._belongs(referral, services):
                continue
            clock = clock_of(referral)
            if clock is None:
                without_start += 1
            elif clock.runs(self.as_of):
                found.append(_waiter(version, clock, self.as_of))
        found.sort(key=lambda item: item.order)
        return List(found, without_start)

    def _services(self) -> frozenset[str] | None:
        if self.organisation is None:
            return None
        provided = queries.referring("HealthcareService", "organization", [self.organisation])
        found = queries.found("HealthcareService", provided, self.transaction, _MOST_SERVICES)
        return frozenset(item.logical_id for item in found)

    def _versions(self, services: frozenset[str] | None) -> Iterator[StoredVersion]:
        """The versions of the moment that may belong to the list, each referral once."""
        changed = self._changed()
        for version in self._current(services):
            if version.logical_id not in changed:
                yield version
        for logical_id in changed:
            before = HistoryQuery(_TYPE, logical_id, until=self.as_of, limit=1)
            for hit in self.transaction.history(before):
                if not hit.version.deleted:
                    yield hit.version

    def _changed(self) -> set[str]:
        """The referrals that were written at the moment or later."""
        found: set[str] = set()
        after = None
        seen = 0
        while True:
            query = HistoryQuery(_TYPE, since=self.as_of, limit=_CHUNK, after=after)
            hits = self.transaction.history(query)
            found.update(hit.version.logical_id for hit in hits)
            seen += len(hits)
            if len(hits) < _CHUNK:
                return found
            if seen > MOST_CHANGES:
                raise errors.too_costly(
                    f"More than {MOST_CHANGES} versions of referrals are younger than as-of; ask for a later moment"
                )
            after = hits[-1].position

    def _current(self, services: frozenset[str] | None) -> Iterator[StoredVersion]:
        where = self._where(services)
        if where is None:
            return
        number = self.transaction.count((_TYPE,), where)
        if number > MOST:
            raise errors.too_costly(
                f"{number} referrals are active; ask for one organisation or specialty"
            )
        after = None
        while True:
            hits = self.transaction.search(Query((_TYPE,), where, limit=_CHUNK, after=after))
            yield from (hit.version for hit in hits)
            if len(hits) < _CHUNK:
                return
            after = hits[-1].position

    def _where(self, services: frozenset[str] | None) -> Expression | None:
        parts: list[Expression] = [queries.coded(_TYPE, "status", _WAITING)]
        if services is not None:
            if not services:
                return None
            named = (f"HealthcareService/{item}" for item in sorted(services))
            parts.append(queries.referring(_TYPE, "performer", named))
        if self.specialties:
            parts.append(queries.having(_TYPE, "performer-type", self.specialties))
        return And(tuple(parts))

    def _belongs(self, referral: Json, services: frozenset[str] | None) -> bool:
        """What the search asks of the current version, asked of the version of the moment."""
        if referral.get("status") != _WAITING:
            return False
        if services is not None:
            targets = facts.targets(referral.get("performer", ()), self.context)
            if not any(
                kind == "HealthcareService" and logical_id in services
                for _, (kind, logical_id) in targets
            ):
                return False
        if not self.specialties:
            return True
        codings = referral.get("performerType", {}).get("coding", ())
        return any(_is(coding, token) for coding in codings for token in self.specialties)


def _is(coding: Json, token: Token) -> bool:
    return (token.system is None or token.system == coding.get("system", "")) and (
        token.code is None or token.code == coding.get("code")
    )


def _waiter(version: StoredVersion, clock: Clock, as_of: int) -> Waiter:
    return Waiter(version.logical_id, version.version_id, clock.waited(as_of), clock.stated)
