"""_include and _revinclude, to a bounded closure (https://hl7.org/fhir/R4/search.html#revinclude)."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_server.search.parameters import reference_numbers, referring_numbers
from fhir_server.search.query import Include, Search
from fhir_server.spec import errors
from fhir_server.store.contract import Link, ReadTransaction, StoredVersion

Identity = tuple[str, str]


def included(
    search: Search, matches: Sequence[StoredVersion], limit: int, transaction: ReadTransaction
) -> list[StoredVersion]:
    """Each resource that the includes add to the matches, once, in the order found.

    Plain includes start from the matches, :iterate ones from what was included too, until nothing new is found.
    Raises FhirError too_costly beyond the limit: an answer that lacks included resources would be a lie.
    """
    seen: set[Identity] = {(item.resource_type, item.logical_id) for item in matches}
    found: list[StoredVersion] = []
    level: list[StoredVersion] = list(matches)
    first = True
    while level:
        fresh: list[StoredVersion] = []
        for include in (*search.includes, *search.revincludes):
            if first or include.iterate:
                reverse = include in search.revincludes
                fresh += _reached(include, level, limit, transaction, reverse=reverse)
        level = []
        for version in fresh:
            identity = (version.resource_type, version.logical_id)
            if identity not in seen:
                seen.add(identity)
                level.append(version)
        found += level
        if len(found) > limit:
            raise errors.too_costly(
                f"The includes reach more than {limit} resources; lower _count or include less"
            )
        first = False
    return found


def _reached(
    include: Include,
    level: Sequence[StoredVersion],
    limit: int,
    transaction: ReadTransaction,
    *,
    reverse: bool,
) -> list[StoredVersion]:
    if reverse:
        targets = [
            (item.resource_type, item.logical_id)
            for item in level
            if include.target_type in (None, item.resource_type)
        ]
        if not targets:
            return []
        numbers = include.parameters or tuple(
            sorted({number for name, _ in targets for number in referring_numbers(name)})
        )
        links = transaction.links_to(targets, numbers, limit + 1)
        return list(transaction.by_key(list({link.source_key: None for link in links})).values())
    keys = [item.key for item in level if include.source_type in (None, item.resource_type)]
    if not keys:
        return []
    links = [
        link
        for link in transaction.links_from(keys, include.parameters or reference_numbers())
        if include.target_type in (None, link.target_type)
    ]
    return _targets(links, transaction)


def _targets(links: Sequence[Link], transaction: ReadTransaction) -> list[StoredVersion]:
    """The resources linked to; a versioned reference brings that version, when it was not deleted."""
    current = list({(link.target_type, link.target_id): None for link in links if not link.version})
    found = list(transaction.many(current).values())
    for link in links:
        if link.version.isdigit():
            version = transaction.version(link.target_type, link.target_id, int(link.version[:9]))
            if version is not None and not version.deleted:
                found.append(version)
    return found
