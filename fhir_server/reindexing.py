"""Indexing what is stored already for search parameters that are new, beside the server's other work.

Every worker learns of a new parameter within REFRESH seconds, and indexes by it what is written from then on; only
after GRACE seconds what is older is gone through, a few resources a transaction. Progress is kept in the database, so
that another process, or the next, goes on where one was stopped. https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from functools import partial

from fhir_server.interactions.call import Context
from fhir_server.interactions.write import index
from fhir_server.search.custom import Catalogue, Custom
from fhir_server.search.extraction import parameter_entries
from fhir_server.search.parameters import SearchParameter, made
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse, parse_stored
from fhir_server.store.contract import Store, Transaction
from fhir_server.store.defined import PURGED, Defined

LOG = logging.getLogger("fhir_server.reindexing")

REFRESH = 1.0
GRACE = 3.0
CHUNK = 200
# Whoever changes what is defined and how far it is indexed holds it.
LOCK = ("SearchParameter", "$reindex")
# A retired parameter is forgotten by all workers before its rows are deleted.
_PURGE = 5000


class Catalogued:
    """The catalogue as this process knows it; calling it costs nothing."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._defined: list[Defined] = []
        self._catalogue = Catalogue()
        self.refresh()

    def __call__(self) -> Catalogue:
        return self._catalogue

    @property
    def unfinished(self) -> bool:
        """Whether there is something to index or to delete."""
        return any(
            item.state == "indexing" or (item.state == "retired" and item.last_key != PURGED)
            for item in self._defined
        )

    def refresh(self) -> None:
        """Read the database again."""
        found = self._store.defined()
        if found == self._defined:
            return
        self._defined = found
        catalogue = Catalogue(
            tuple(
                Custom(parameter_of(item), item.state) for item in found if item.state != "retired"
            )
        )
        # What was understood with a catalogue is forgotten with it: how far one has come is no matter.
        if catalogue != self._catalogue:
            self._catalogue = catalogue


def parameter_of(item: Defined) -> SearchParameter:
    """The parameter that was defined."""
    return made(item.number, item.resource_type, parse(item.definition))


def step(store: Store, context: Context) -> bool:
    """Do a little of what is to be done; False when there is nothing."""
    return store.write(lambda transaction: _step(transaction, context))


def _step(transaction: Transaction, context: Context) -> bool:
    transaction.lock([LOCK])
    early = context.now() - int(GRACE * 1_000_000)
    for item in transaction.catalogue.listed():
        if item.defined_at > early:
            continue
        if item.state == "indexing":
            _index(item, transaction, context)
            return True
        if item.state == "retired" and item.last_key != PURGED:
            transaction.catalogue.purge(item.number, _PURGE)
            return True
    return False


def _index(item: Defined, transaction: Transaction, context: Context) -> None:
    catalogue = transaction.catalogue
    keys = catalogue.keys(item.resource_type, item.last_key, CHUNK)
    if not keys:
        catalogue.change(item.number, "ready")
        return
    named = transaction.by_key(keys)
    transaction.lock([(found.resource_type, found.logical_id) for found in named.values()])
    parameter = parameter_of(item)
    found = {
        key: parameter_entries(
            parse_stored(version.body),
            parameter,
            base_urls=(context.base_url,),
            zone=context.policy.zone,
        )
        for key, version in transaction.by_key(keys).items()
    }
    catalogue.replace(item.number, found)
    catalogue.change(item.number, "indexing", keys[-1])


def everything(store: Store, context: Context) -> Iterator[tuple[str, str]]:
    """Index every resource anew; for each its name, and "" or "changed" or why it could not be indexed."""
    after = 0
    while keys := store.keys(after=after, limit=CHUNK):
        for key in keys:
            try:
                found = store.write(partial(_anew, key, context))
            except FhirError as refusal:
                yield f"resource {key}", refusal.issues[0].diagnostics
            else:
                if found is not None:
                    yield found
        after = keys[-1]
    store.mend()


def _anew(key: int, context: Context, transaction: Transaction) -> tuple[str, str] | None:
    for version in transaction.by_key([key]).values():
        name = f"{version.resource_type}/{version.logical_id}"
        transaction.lock([(version.resource_type, version.logical_id)])
        current = transaction.current(version.resource_type, version.logical_id)
        if current is None or current.deleted:
            return None
        changed = transaction.reindex(key, index(parse_stored(current.body), context))
        return name, "changed" if changed else ""
    return None


class Reindexer:
    """A thread of a worker that keeps its catalogue fresh, and takes part in what is to be indexed."""

    def __init__(self, store: Store, context: Context, catalogued: Catalogued) -> None:
        self._store = store
        self._context = context
        self._catalogued = catalogued
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="reindexer", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def _run(self) -> None:
        while not self._end.wait(REFRESH):
            try:
                self._catalogued.refresh()
                began = time.monotonic()
                while (
                    self._catalogued.unfinished
                    and not self._end.is_set()
                    and time.monotonic() - began < REFRESH
                    and step(self._store, self._context)
                ):
                    self._end.wait(0.005)
            except FhirError as refusal:
                # The database is busy or away: the next turn tries again.
                LOG.warning("reindexing waits", extra={"status": refusal.status})

    def close(self) -> None:
        """End with what is being done."""
        self._end.set()
        self._thread.join()
