"""Which services are concerned by what was written lately, read off the histories of the types that waits are made of.

https://hl7.org/fhir/R4/http.html#history
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import HistoryQuery, ReadTransaction, StoredVersion

Json = dict[str, Any]
_TYPES = ("Appointment", "HealthcareService", "Schedule", "Slot")
_PAGE = 500
_MOST_SCHEDULES = 50_000


@dataclass
class Follower:
    """Reads on from where it was: one process's place in the histories. since: microseconds.

    The histories are read in spans that are settled, so nothing is missed whichever process wrote it. A span begins at
    the moment at which the last one ended, as more may have been written at it; seen: what was read of that moment.
    """

    since: int
    until: int | None = None
    after: dict[str, tuple[int, int]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    services: dict[str, tuple[str, ...]] = field(default_factory=dict)
    seen: set[tuple[int, str, str, int]] = field(default_factory=set)

    def read(self, context: Context, transaction: ReadTransaction) -> list[str]:
        """The ids of the services that changes concern, of at most one page of a type."""
        if self.until is None:
            self.until = transaction.settled()
            self.pending = list(_TYPES)
        if not self.pending:
            return []
        resource_type = self.pending[-1]
        hits = transaction.history(
            HistoryQuery(
                resource_type,
                since=self.since,
                until=self.until,
                limit=_PAGE,
                after=self.after.get(resource_type),
            )
        )
        found: dict[str, None] = {}
        read: list[tuple[int, str, str, int]] = []
        for hit in hits:
            version = hit.version
            key = (
                version.last_updated,
                version.resource_type,
                version.logical_id,
                version.version_id,
            )
            if key not in self.seen:
                found.update(dict.fromkeys(self._concerned(version, context, transaction)))
                if version.last_updated == self.until:
                    read.append(key)
        self.seen.update(read)
        if len(hits) == _PAGE:
            self.after[resource_type] = hits[-1].position
        else:
            self.pending.pop()
        if not self.pending:
            if self.until > self.since:
                self.seen = {item for item in self.seen if item[0] == self.until}
            self.since, self.until, self.after = self.until, None, {}
        return list(found)

    @property
    def done(self) -> bool:
        """Whether the span is read to its end, so that the next one can begin."""
        return self.until is None

    def _concerned(
        self, version: StoredVersion, context: Context, transaction: ReadTransaction
    ) -> Iterator[str]:
        match version.resource_type:
            case "HealthcareService":
                # A new one; what is written of it later changes no figure.
                if version.created:
                    yield version.logical_id
            case "Schedule":
                self.services.pop(version.logical_id, None)
                for item in _now_and_before(version, transaction):
                    yield from services_of(item.get("actor", ()), context)
            case "Slot":
                for item in _now_and_before(version, transaction):
                    for _, target in facts.targets([item.get("schedule", {})], context):
                        yield from self._of_schedule(target[1], context, transaction)
            case _:
                for item in _now_and_before(version, transaction):
                    actors = (each.get("actor", {}) for each in item.get("participant", ()))
                    yield from services_of(actors, context)

    def _of_schedule(
        self, schedule_id: str, context: Context, transaction: ReadTransaction
    ) -> tuple[str, ...]:
        if schedule_id not in self.services:
            if len(self.services) >= _MOST_SCHEDULES:
                self.services.clear()
            schedule = facts.resource(("Schedule", schedule_id), context, transaction) or {}
            self.services[schedule_id] = tuple(services_of(schedule.get("actor", ()), context))
        return self.services[schedule_id]


def services_of(references: Any, context: Context) -> Iterator[str]:
    """The ids of the HealthcareServices among references."""
    for _, (kind, logical_id) in facts.targets(references, context):
        if kind == "HealthcareService":
            yield logical_id


def _now_and_before(version: StoredVersion, transaction: ReadTransaction) -> Iterator[Json]:
    """The resource and what it was: a slot that moves concerns the clinic that it leaves, too."""
    if not version.deleted:
        yield parse_stored(version.body)
    if version.version_id > 1:
        before = transaction.version(
            version.resource_type, version.logical_id, version.version_id - 1
        )
        if before is not None and not before.deleted:
            yield parse_stored(before.body)
