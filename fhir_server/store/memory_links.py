"""References among what is indexed in memory (https://hl7.org/fhir/R4/references.html)."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence

from fhir_server.search.entries import IndexEntries, ReferenceEntry
from fhir_server.store.contract import Found, Link, Match, ReadTransaction, Reference
from fhir_server.store.window import Referrers

Identity = tuple[str, str]


def links_from(
    keys: Sequence[int], parameters: Sequence[int], indexed: Mapping[int, IndexEntries]
) -> list[Link]:
    """The references that those resources make."""
    return [
        link for key in keys for link in _links_of(key, indexed.get(key, frozenset()), parameters)
    ]


def links_to(
    targets: Sequence[Identity], parameters: Sequence[int], indexed: Mapping[int, IndexEntries]
) -> list[Link]:
    """References to those resources."""
    wanted = set(targets)
    return [
        link
        for key, entries in sorted(indexed.items())
        for link in sorted(_links_of(key, entries, parameters), key=_order)
        if (link.target_type, link.target_id) in wanted
    ]


def _links_of(key: int, entries: IndexEntries, parameters: Iterable[int]) -> Iterator[Link]:
    """The references among the entries of a resource, by those parameters."""
    wanted = frozenset(parameters)
    for entry in entries:
        if isinstance(entry, ReferenceEntry) and entry.parameter in wanted and entry.target_type:
            yield Link(key, entry.parameter, entry.target_type, entry.target_id, entry.version)


def _order(link: Link) -> tuple[int, str, str, str]:
    """Where a link stands among those of its resource."""
    return (link.parameter, link.target_type, link.target_id, link.version)


def referred(
    keys: Sequence[int],
    parameters: Sequence[int],
    types: Sequence[str],
    transaction: ReadTransaction,
) -> dict[Reference, Found | None]:
    """What those resources refer to, and what is there."""
    made = [
        item
        for item in transaction.references(keys, parameters)
        if not types or item.target_type in types
    ]
    wanted = [(item.target_type, item.target_id) for item in made if not item.version]
    found = transaction.many(wanted)
    return {
        item: None if item.version else found.get((item.target_type, item.target_id))
        for item in made
    }


def referrers(by: Referrers, limit: int, transaction: ReadTransaction) -> list[Match]:
    """Who refers to those, or to what does."""
    wanted = list(by.targets)
    if by.through is not None:
        links = transaction.links_to(wanted, [by.through[1]], sys.maxsize)
        between = transaction.by_key([link.source_key for link in links]).values()
        wanted += [
            (by.through[0], version.logical_id)
            for version in between
            if version.resource_type == by.through[0]
        ]
    links = transaction.links_to(wanted, [by.parameter], sys.maxsize)
    found = transaction.by_key([link.source_key for link in links])
    return [
        Match(key, version.resource_type, version.logical_id, version.body, (key,))
        for key, version in sorted(found.items())[:limit]
    ]
