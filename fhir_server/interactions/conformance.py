"""The conformance resources that are stored here, by canonical url.

https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.interactions.matching import matches
from fhir_server.search.escaping import escape
from fhir_server.search.expression import And, Query
from fhir_server.spec.json_format import parse, parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_MOST_VERSIONS = 100
_MOST_MAPS = 500


class Stored:
    """A terminology Source: what one transaction sees. Of several versions of a resource the newest write counts."""

    def __init__(self, transaction: ReadTransaction, context: Context) -> None:
        self._transaction = transaction
        self._context = context

    def find(self, resource_type: str, url: str, version: str | None) -> Json | None:
        """See Source."""
        if not url or "\0" in url:
            return None
        criteria = [("url", escape(url))]
        if version:
            criteria.append(("version", escape(version)))
        found = matches(
            resource_type, tuple(criteria), self._context, self._transaction, limit=_MOST_VERSIONS
        )
        if not found:
            return None
        resource: Json = parse(max(found, key=lambda item: item.last_updated).body)
        return resource

    def concept_maps(self) -> Iterator[Json]:
        """Every ConceptMap."""
        query = Query(("ConceptMap",), And(()), limit=_MOST_MAPS)
        for hit in self._transaction.search(query):
            yield parse_stored(hit.version.body)
