"""Storing the definitions that are part of the program, before anything is served (docs/decisions/0013).

Whoever starts compares them with what is stored and writes only what differs, in one transaction under a lock: of
several processes one writes and the others find it done. A definition of a later version than ours is left as it is,
so that an old process beside a new one does not undo what that one did.
https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

import logging
from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.interactions.defining import DEFINING, define
from fhir_server.interactions.own_definitions import same
from fhir_server.interactions.write import index, moment, stamp
from fhir_server.reindexing import LOCK
from fhir_server.search.custom import Catalogue, Custom, State, definitions
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored, serialise
from fhir_server.spec.published import Identity, own_definitions
from fhir_server.store.contract import HistoryQuery, ReadTransaction, Store, Transaction

LOG = logging.getLogger("fhir_server.publishing")
Json = dict[str, Any]


def publish(store: Store, context: Context) -> None:
    """Make the store hold every definition of the program; FhirError 503 when it cannot be written to."""
    with store.read() as transaction:
        if not _outdated(transaction) and not _undefined(transaction):
            return
    store.write(lambda transaction: _publish(context, transaction))


def catalogue() -> Catalogue:
    """The search parameters of the program, as a fresh database has them."""
    return Catalogue(
        tuple(
            Custom(parameter, "ready")
            for (kind, _), resource in own_definitions().items()
            if kind == DEFINING
            for parameter in definitions(resource)
        )
    )


def _outdated(transaction: ReadTransaction) -> list[Identity]:
    """Those that are not stored, or stored otherwise by a program that is not newer."""
    own = own_definitions()
    stored = transaction.many(list(own))
    return [
        identity
        for identity, resource in own.items()
        if identity not in stored or _older(parse_stored(stored[identity].body), resource)
    ]


def _older(stored: Json, resource: Json) -> bool:
    return not same(stored, resource) and _version(stored) <= _version(resource)


def _version(resource: Json) -> tuple[int, ...]:
    parts = str(resource.get("version", "")).split(".")
    return tuple(int(part) for part in parts if part.isdecimal())


def _undefined(transaction: ReadTransaction) -> list[Json]:
    """The search parameters of the program that the catalogue does not have."""
    known = {item.url for item in transaction.catalogue.listed() if item.state != "retired"}
    return [
        resource
        for (kind, _), resource in own_definitions().items()
        if kind == DEFINING and resource["url"] not in known
    ]


def _publish(context: Context, transaction: Transaction) -> None:
    own = own_definitions()
    transaction.lock([LOCK, *own])
    # Nothing is to be indexed where nothing was ever stored; elsewhere it is done beside the other work.
    state: State = "indexing" if transaction.history(HistoryQuery(limit=1)) else "ready"
    outdated = _outdated(transaction)
    for identity in outdated:
        _store(identity, own[identity], context, transaction)
    changed = [own[identity] for identity in outdated if identity[0] == DEFINING]
    for resource in [*changed, *_undefined(transaction)]:
        _define(resource, state, context, transaction)


def _store(identity: Identity, resource: Json, context: Context, transaction: Transaction) -> None:
    """Append a version, without the checks that the tests of the definitions make once for all.

    Nobody is told to look for definitions among what is stored: validators know these from the program's files.
    """
    previous = transaction.current(*identity)
    last_updated = moment(previous, context, transaction)
    version_id = previous.version_id + 1 if previous else 1
    stamped = stamp(resource, identity[1], version_id, last_updated)
    transaction.put(
        resource_type=identity[0],
        logical_id=identity[1],
        previous=previous,
        last_updated=last_updated,
        method="PUT",
        created=previous is None or previous.deleted,
        body=serialise(stamped),
        entries=index(stamped, context),
    )


def _define(resource: Json, state: State, context: Context, transaction: Transaction) -> None:
    try:
        define(resource, context, transaction)
    except FhirError as refusal:
        # The deployment has a parameter of that code already: it is the one that its clients know.
        told = refusal.issues[0].diagnostics
        LOG.warning("search parameter left out: %s", told, extra={"url": resource["url"]})
        return
    for item in transaction.catalogue.listed():
        if item.url == resource["url"] and item.state == "requested":
            transaction.catalogue.change(item.number, state)
