"""Whether the index rows of a store are those that its resources call for."""

from __future__ import annotations

from collections.abc import Iterator

from fhir_server.interactions.call import Context
from fhir_server.interactions.write import index
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Store

_PAGE = 500


def differences(store: Store, context: Context) -> Iterator[tuple[str, int, int]]:
    """For every current resource its name, how many index rows are missing, and how many should not be there.

    At the end what has index rows without being a current resource.
    """
    after = 0
    while keys := store.keys(after=after, limit=_PAGE):
        with store.read() as transaction:
            versions = transaction.by_key(keys)
            for key in keys:
                version = versions.get(key)
                if version is None:
                    continue  # deleted meanwhile
                wanted = index(parse_stored(version.body), context)
                missing, surplus = transaction.index_difference(key, wanted)
                yield f"{version.resource_type}/{version.logical_id}", missing, surplus
        after = keys[-1]
    with store.read() as transaction:
        for (resource_type, logical_id), surplus in transaction.stray_rows().items():
            yield f"{resource_type or 'unknown'}/{logical_id}", 0, surplus
