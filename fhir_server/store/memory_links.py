"""References among what is indexed in memory (https://hl7.org/fhir/R4/references.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from fhir_server.search.entries import IndexEntries, ReferenceEntry
from fhir_server.store.contract import Link


def links_of(key: int, entries: IndexEntries, parameters: Iterable[int]) -> Iterator[Link]:
    """The references among the entries of a resource, by those parameters."""
    wanted = frozenset(parameters)
    for entry in entries:
        if isinstance(entry, ReferenceEntry) and entry.parameter in wanted and entry.target_type:
            yield Link(key, entry.parameter, entry.target_type, entry.target_id, entry.version)


def link_order(link: Link) -> tuple[int, str, str, str]:
    """Where a link stands among those of its resource."""
    return (link.parameter, link.target_type, link.target_id, link.version)
