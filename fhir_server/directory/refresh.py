"""Keeping the waits of services true: a version more of a service when its figures have changed, and only then.

Each process follows what is written and looks again at the services concerned, a little at a time; whichever is first
writes. docs/decisions/0015-waits-are-versions.md
"""

from __future__ import annotations

import heapq
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Any

from fhir_server.directory import waits
from fhir_server.directory.following import Follower
from fhir_server.directory.names import WAIT
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write, append
from fhir_server.referral.extensions import with_only
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import Store, StoredVersion, Transaction

Json = dict[str, Any]
LOG = logging.getLogger("fhir_server.directory")

# The share of its time that a step may take, and how long a service that keeps changing is left alone between two.
STEP_SECONDS = 0.2
REST_SECONDS = 5.0
_SERVICES_AT_ONCE = 200
_TYPE = "HealthcareService"


@dataclass
class Refresher:
    """One process's share of keeping waits true.

    changed: services that something written concerns, which go first; backlog: service id -> the moment (microseconds
    since 1970) from which on its figures have to be, as time alone has changed them; due: when that will be the case;
    looked_at: service id -> when that was last, by the clock, which runs on whatever the time of day does.
    """

    store: Store
    context: Context
    clock: Callable[[], float] = time.monotonic
    chance: random.Random = field(default_factory=random.Random)
    follower: Follower | None = None
    changed: dict[str, None] = field(default_factory=dict)
    backlog: dict[str, int] = field(default_factory=dict)
    due: list[tuple[int, str]] = field(default_factory=list)
    next_due: dict[str, int] = field(default_factory=dict)
    looked_at: dict[str, float] = field(default_factory=dict)
    last_key: int | None = 0
    started: int = 0

    def step(self) -> int:
        """Do what is to be done, for a limited time; how many services got new figures."""
        until = self.clock() + STEP_SECONDS
        self._follow(until)
        self._fall_due()
        self._remember()
        done = 0
        for service_id in list(self.changed):
            if self.clock() > until:
                return done
            if self._rested(service_id):
                done += self._look(service_id, None)
        for service_id, since in list(self.backlog.items()):
            if self.clock() > until:
                return done
            if self._rested(service_id):
                done += self._look(service_id, since)
        return done

    def _rested(self, service_id: str) -> bool:
        return self.clock() - self.looked_at.get(service_id, -inf) >= REST_SECONDS

    def _follow(self, until: float) -> None:
        """Take in what was written since the last step, at least one page of it."""
        if self.follower is None:
            with self.store.read() as transaction:
                self.follower = Follower(transaction.settled())
            self.started = self.context.now()
        while True:
            with self.store.read() as transaction:
                found = self.follower.read(self.context, transaction)
            self.changed.update(dict.fromkeys(found))
            if self.follower.done or self.clock() > until:
                return

    def _fall_due(self) -> None:
        """What time alone has changed, which at midnight is everything: in an order of each process's own."""
        now = self.context.now()
        fallen: list[tuple[str, int]] = []
        while self.due and self.due[0][0] <= now:
            moment, service_id = heapq.heappop(self.due)
            if self.next_due.get(service_id) == moment:
                del self.next_due[service_id]
                fallen.append((service_id, moment))
        self.chance.shuffle(fallen)
        self.backlog.update(fallen)

    def _remember(self) -> None:
        """After the start: every service is looked at once, for what changed while nobody followed."""
        if self.last_key is None or len(self.backlog) >= _SERVICES_AT_ONCE:
            return
        keys = self.store.keys(_TYPE, self.last_key, _SERVICES_AT_ONCE)
        with self.store.read() as transaction:
            found = [version.logical_id for version in transaction.by_key(keys).values()]
        self.chance.shuffle(found)
        self.backlog.update(dict.fromkeys(found, self.started))
        self.last_key = keys[-1] if keys else None

    def _look(self, service_id: str, since: int | None) -> bool:
        """Look at a service that waits for it; whether it got new figures. What fails is tried again."""
        self.looked_at[service_id] = self.clock()
        try:
            done, again = self._refresh(service_id, since)
        except FhirError as refusal:
            LOG.warning("waits not computed", extra={"status": refusal.status})
            return False
        if not again:
            self.changed.pop(service_id, None)
            self.backlog.pop(service_id, None)
        return done

    def _refresh(self, service_id: str, since: int | None) -> tuple[bool, bool]:
        """Whether the service got new figures, and whether it is to be looked at again: somebody else has written it.

        since: figures from then on will do, which another process may have written.
        """
        with self.store.read() as transaction:
            version = transaction.current(_TYPE, service_id)
            if version is None or version.deleted:
                self.next_due.pop(service_id, None)
                return False, False
            service = parse(version.body)
            shown = waits.stated(service)
            if since is not None and shown is not None and waits.as_of(shown) >= since:
                self._wait_until(service_id, waits.changing(shown, self.context))
                return False, False
            found = waits.figures(service_id, self.context, transaction)
        made = None if found is None else found.extension(self.context.now())
        if made is not None:
            self._wait_until(service_id, waits.changing(made, self.context))
        if _same(shown, made):
            return False, False
        changed = with_only(service, WAIT, [] if made is None else [made])
        try:
            written = self.store.write(partial(_write, version, changed, self.context))
        except FhirError as refusal:
            LOG.warning("waits not stored", extra={"status": refusal.status})
            # 422: a service that a profile, stored after it, does not allow; the rest passes.
            return False, refusal.status != 422
        return written, not written

    def _wait_until(self, service_id: str, moment: int) -> None:
        if self.next_due.get(service_id) != moment:
            self.next_due[service_id] = moment
            heapq.heappush(self.due, (moment, service_id))


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
