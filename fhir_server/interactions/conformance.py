"""The conformance resources that are stored here, by canonical url.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.search.expression import And, Query, UriMatch
from fhir_server.search.parameters import parameter
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_MOST_VERSIONS = 100
_MOST_MAPS = 500


def newest(
    resource_type: str, url: str, version: str | None, transaction: ReadTransaction
) -> Json | None:
    """The resource with that canonical url; of several the newest write, of those of the version if one is named.

    A version is named as a whole or by its first parts: 4.0 for 4.0.1.
    """
    by_url = parameter(resource_type, "url")
    if not url or "\0" in url or by_url is None:
        return None
    where = UriMatch((by_url.number,), "exact", (url,))
    query = Query((resource_type,), where, limit=_MOST_VERSIONS)
    for hit in sorted(transaction.search(query), key=lambda hit: -hit.version.last_updated):
        found: Json = parse_stored(hit.version.body)
        if version is None or f"{found.get('version')}.".startswith(f"{version}."):
            return found
    return None


class Stored:
    """A terminology Source: what one transaction sees. Of several versions of a resource the newest write counts."""

    def __init__(self, transaction: ReadTransaction) -> None:
        self._transaction = transaction

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """See Source."""
        return newest(resource_type, url, version, self._transaction)

    def concept_maps(self) -> Iterator[Json]:
        """Every ConceptMap."""
        query = Query(("ConceptMap",), And(()), limit=_MOST_MAPS)
        for hit in self._transaction.search(query):
            yield parse_stored(hit.version.body)
