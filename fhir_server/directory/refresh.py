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
from itertools import islice
from math import inf
from typing import Any

from fhir_server.directory import wait_figures, waits
from fhir_server.directory.following import Follower
from fhir_server.directory.names import WAIT
from fhir_server.interactions.call import Context
from fhir_server.interactions.write import Write, append
from fhir_server.referral.extensions import with_only
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Store, StoredVersion, Transaction

Json = dict[str, Any]
# Service id -> figures from then on will do, which another process may have written; None: those of now.
Group = dict[str, int | None]
# A service as it was seen, and with other figures.
Changed = tuple[StoredVersion, Json]
LOG = logging.getLogger("fhir_server.directory")

# The share of its time that a step may take, and how long a service that keeps changing is left alone between two.
STEP_SECONDS = 0.2
REST_SECONDS = 5.0
_SERVICES_AT_ONCE = 1000
# A write of so many keeps others waiting for some milliseconds.
_WRITTEN_AT_ONCE = 10
_TYPE = "HealthcareService"


@dataclass
class Refresher:
    """One process's share of keeping waits true.

    changed: services that something written concerns, which go first; backlog: service id -> the moment (microseconds
    since 1970) from which on its figures have to be, as time alone has changed them; due: when that will be the case;
    looked_at: service id -> when that was last, by the clock, which runs on whatever the time of day does.
    shown: services looked at since the span that the follower reads was settled: nothing in it is news of them.
    together: how many are looked at in one go.
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
    shown: set[str] = field(default_factory=set)
    last_key: int | None = 0
    started: int = 0
    together: int = 50

    def step(self) -> int:
        """Do what is to be done, for a limited time; how many services got new figures."""
        until = self.clock() + STEP_SECONDS
        self._follow(until)
        self._fall_due()
        self._remember()
        # What is changed needs figures of now, whatever the backlog says.
        waiting: dict[str, int | None] = dict.fromkeys(self.changed)
        waiting |= {item: since for item, since in self.backlog.items() if item not in waiting}
        rested = (item for item in waiting.items() if self._rested(item[0]))
        done = 0
        while self.clock() <= until and (group := dict(islice(rested, self.together))):
            done += self._look(group)
        return done

    def _rested(self, service_id: str) -> bool:
        return self.clock() - self.looked_at.get(service_id, -inf) >= REST_SECONDS

    def _follow(self, until: float) -> None:
        """Take in what was written since the last step, at least one page of it."""
        if self.follower is None:
            with self.store.read() as transaction:
                self.follower = Follower(transaction.settled_position())
            self.started = self.context.now()
        while True:
            if self.follower.done:
                self.shown.clear()
            with self.store.read() as transaction:
                found = self.follower.read(self.context, transaction)
            self.changed.update(dict.fromkeys(item for item in found if item not in self.shown))
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

    def _look(self, group: Group) -> int:
        """Look at services that wait for it; how many got new figures. What fails is tried again."""
        self.looked_at.update(dict.fromkeys(group, self.clock()))
        try:
            changed = self._changed(group)
        except FhirError as refusal:
            LOG.warning("waits not computed", extra={"status": refusal.status})
            return 0
        written, again = 0, set[str]()
        for first in range(0, len(changed), _WRITTEN_AT_ONCE):
            stored, others = self._store(changed[first : first + _WRITTEN_AT_ONCE])
            written += stored
            again |= others
        self.shown -= again
        for service_id in group:
            if service_id not in again:
                self.changed.pop(service_id, None)
                self.backlog.pop(service_id, None)
        return written

    def _changed(self, group: Group) -> list[Changed]:
        """The services that show other figures than those that they have now."""
        read: dict[str, tuple[StoredVersion, Json]] = {}
        with self.store.read() as transaction:
            versions = transaction.many([(_TYPE, service_id) for service_id in group])
            for service_id, since in group.items():
                version = versions.get((_TYPE, service_id))
                if version is None:
                    self.next_due.pop(service_id, None)
                    continue
                service = parse_stored(version.body)
                shown = waits.stated(service)
                if since is not None and shown is not None and waits.as_of(shown) >= since:
                    self._wait_until(service_id, waits.changing(shown, self.context))
                    continue
                read[service_id] = version, service
            if not read:
                return []
            found = wait_figures.figures(list(read), self.context, transaction)
        self.shown.update(read)
        now = self.context.now()
        changed = []
        for service_id, (version, service) in read.items():
            figures = found[service_id]
            made = None if figures is None else figures.extension(now)
            if made is not None:
                self._wait_until(service_id, waits.changing(made, self.context))
            if not _same(waits.stated(service), made):
                changed.append((version, with_only(service, WAIT, [] if made is None else [made])))
        return changed

    def _store(self, changed: list[Changed]) -> tuple[int, set[str]]:
        """How many were stored, and which are to be looked at again: somebody else has written them."""
        ids = {version.logical_id for version, _ in changed}
        try:
            stored = self.store.write(partial(_write, changed, self.context))
        except FhirError as refusal:
            # 422: a service that a profile, stored after it, does not allow; the rest passes.
            if refusal.status != 422:
                again = ids
            elif len(changed) == 1:
                again = set()
            else:
                each = [self._store([item]) for item in changed]
                return sum(number for number, _ in each), set().union(*(item for _, item in each))
            LOG.warning("waits not stored", extra={"status": refusal.status})
            return 0, again
        return len(stored), ids - stored

    def _wait_until(self, service_id: str, moment: int) -> None:
        if self.next_due.get(service_id) != moment:
            self.next_due[service_id] = moment
            heapq.heappush(self.due, (moment, service_id))


def _same(shown: Json | None, made: Json | None) -> bool:
    if shown is None or made is None:
        return shown is made
    return waits.without_moment(shown) == waits.without_moment(made)


def _write(changed: list[Changed], context: Context, transaction: Transaction) -> set[str]:
    """Append the services that are still what was seen; the ids of those, as somebody else has written the rest."""
    identities = sorted((_TYPE, seen.logical_id) for seen, _ in changed)
    transaction.lock(identities)
    current = transaction.many(identities)
    written = set()
    for seen, service in changed:
        previous = current.get((_TYPE, seen.logical_id))
        if previous is not None and previous.version_id == seen.version_id:
            append(Write("PUT", _TYPE, seen.logical_id, previous), service, context, transaction)
            written.add(seen.logical_id)
    return written
