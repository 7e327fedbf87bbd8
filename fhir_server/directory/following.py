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
    """Reads on from where it was: one process's place in the histories.

    The histories are read in spans that are settled, so nothing is missed whichever process wrote it, and each span
    begins where the last one ended, so that nothing is read twice, however much has one moment. begin, until: positions
    in the histories, the end left out; after: where the next page of a type goes on.
    """

    begin: tuple[int, int]
    until: tuple[int, int] | None = None
    after: dict[str, tuple[int, int]] = field(default_factory=dict)
    pending: list[str] = field(default_factory=list)
    services: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def read(self, context: Context, transaction: ReadTransaction) -> list[str]:
        """The ids of the services that changes concern, of at most one page of a type."""
        if self.until is None:
            self.until = transaction.settled_position()
            self.pending = list(_TYPES)
        if not self.pending:
            return []
        resource_type = self.pending[-1]
        position = self.after.get(resource_type, self.until)
        query = HistoryQuery(resource_type, begin=self.begin, after=position, limit=_PAGE)
        hits = transaction.history(query)
        found = dict.fromkeys(
            service_id
            for hit in hits
            for service_id in self._concerned(hit.version, context, transaction)
        )
        if len(hits) == _PAGE:
            self.after[resource_type] = hits[-1].position
        else:
            self.pending.pop()
        if not self.pending:
            self.begin, self.until, self.after = self.until, None, {}
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
