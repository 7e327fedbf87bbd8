"""Keeping the waits of services true: a version more of a service when its figures have changed, and only then.

Each process follows what is written and looks again at the services concerned, a little at a time; whichever is first
writes. docs/decisions/0015-waits-are-versions.md
"""

from __future__ import annotations

import heapq
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from fhir_server.directory import waits
from fhir_server.directory.following import Follower
from fhir_server.directory.rules import with_waits
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write, append
from fhir_server.spec.errors import FhirError
from fhir_server.spec.instants import SECOND
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import Store, StoredVersion, Transaction

Json = dict[str, Any]
LOG = logging.getLogger("fhir_server.directory")

# The share of its time that a step may take, and how long a service that keeps changing is left alone between two.
STEP_SECONDS = 0.2
REST = 10 * SECOND
_SERVICES_AT_ONCE = 200
_TYPE = "HealthcareService"


@dataclass
class Refresher:
    """One process's share of keeping waits true.

    wanted: service id -> the change that concerns it; due: when time alone changes the figures of a service; refreshed:
    when a service was looked at last. All moments in microseconds since 1970.
    """

    store: Store
    context: Context
    clock: Callable[[], float] = time.monotonic
    follower: Follower | None = None
    wanted: dict[str, int] = field(default_factory=dict)
    due: list[tuple[int, str]] = field(default_factory=list)
    next_due: dict[str, int] = field(default_factory=dict)
    refreshed: dict[str, int] = field(default_factory=dict)
    last_key: int | None = 0

    def step(self) -> int:
        """Do what is to be done, for a limited time; how many services got new figures."""
        until = self.clock() + STEP_SECONDS
        self._follow(until)
        self._remember(until)
        now = self.context.now()
        while self.due and self.due[0][0] <= now:
            moment, service_id = heapq.heappop(self.due)
            if self.next_due.get(service_id) == moment:
                self.wanted.setdefault(service_id, moment)
        done = 0
        for service_id in sorted(self.wanted, key=self.wanted.__getitem__):
            if self.clock() > until:
                break
            if now - self.refreshed.get(service_id, 0) < REST:
                continue
            del self.wanted[service_id]
            self.refreshed[service_id] = now
            done += self._refresh(service_id)
        return done

    def _follow(self, until: float) -> None:
        """Take in what was written since the last step, at least one page of it."""
        if self.follower is None:
            with self.store.read() as transaction:
                self.follower = Follower(transaction.settled())
        while True:
            with self.store.read() as transaction:
                found = self.follower.read(self.context, transaction)
            for service_id, moment in found.items():
                self.wanted[service_id] = max(moment, self.wanted.get(service_id, 0))
            if self.follower.done or self.clock() > until:
                return

    def _remember(self, until: float) -> None:
        """After the start: every service is looked at once, for what changed while nobody followed."""
        while self.last_key is not None and len(self.wanted) < _SERVICES_AT_ONCE:
            keys = self.store.keys(_TYPE, self.last_key, _SERVICES_AT_ONCE)
            if not keys:
                self.last_key = None
                return
            with self.store.read() as transaction:
                for version in transaction.by_key(keys).values():
                    self.wanted.setdefault(version.logical_id, 0)
            self.last_key = keys[-1]
            if self.clock() > until:
                return

    def _refresh(self, service_id: str) -> bool:
        """Look at one service; whether it got new figures."""
        with self.store.read() as transaction:
            version = transaction.current(_TYPE, service_id)
            if version is None or version.deleted:
                self.next_due.pop(service_id, None)
                return False
            found = waits.figures(service_id, self.context, transaction)
        made = None
        if found is not None:
            figures, changing = found
            made = figures.extension(self.context.now())
            self.next_due[service_id] = changing
            heapq.heappush(self.due, (changing, service_id))
        service = parse(version.body)
        if _same(waits.stated(service), made):
            return False
        changed = with_waits(service, [] if made is None else [made])
        try:
            written = self.store.write(partial(_write, version, changed, self.context))
        except FhirError as refusal:
            # For example a service that a profile, stored after it, does not allow.
            LOG.warning("waits not stored", extra={"status": refusal.status})
            return False
        if not written:
            self.wanted[service_id] = self.context.now()
        return written


def _same(shown: Json | None, made: Json | None) -> bool:
    if shown is None or made is None:
        return shown is made
    return waits.without_moment(shown) == waits.without_moment(made)


def _write(seen: StoredVersion, service: Json, context: Context, transaction: Transaction) -> bool:
    """Append the service if it is still what was seen; false when somebody else has written it."""
    transaction.lock([(_TYPE, seen.logical_id)])
    current = transaction.current(_TYPE, seen.logical_id)
    if current is None or current.version_id != seen.version_id:
        return False
    append(Write("PUT", _TYPE, seen.logical_id, current), service, context, transaction)
    return True
