"""_include and _revinclude, to a bounded closure (https://hl7.org/fhir/R4/search.html#revinclude)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from fhir_server.search.parameters import reference_numbers, referring_numbers
from fhir_server.search.query import Include, Search
from fhir_server.spec import errors
from fhir_server.store.contract import Found, Match, ReadTransaction, Reference

Identity = tuple[str, str]
Referred = dict[Reference, Found | None]


@lru_cache(maxsize=256)
def followed(includes: tuple[Include, ...]) -> frozenset[int]:
    """The numbers of the parameters that those _includes follow."""
    return frozenset(number for item in includes for number in _numbers(item))


def _numbers(include: Include) -> tuple[int, ...]:
    """Without a type to start from, every reference of anything."""
    return reference_numbers() if include.source_type is None else include.parameters


def referred(
    includes: tuple[Include, ...], level: Sequence[Found], transaction: ReadTransaction
) -> Referred:
    """The references of those resources that the _includes may follow, with what is there for them."""
    if not includes or not level:
        return {}
    types = {item.target_type for item in includes}
    return transaction.referred(
        level,
        tuple(followed(includes)),
        () if None in types else tuple(item for item in types if item),
    )


def included(
    search: Search,
    matches: Sequence[Match],
    made: Referred,
    limit: int,
    transaction: ReadTransaction,
) -> list[Found]:
    """Each resource that the includes add to the matches, once, in the order found.

    made: what referred found for the matches. Plain includes start from the matches, :iterate ones from what was
    included too, until nothing new is found. Raises FhirError too_costly beyond the limit: an answer that lacks
    included resources would be a lie.
    """
    found: list[Found] = []
    level: Sequence[Found] = matches
    includes, revincludes = search.includes, search.revincludes
    if not includes and not revincludes:
        return found
    # Most includes bring other types than were searched.
    types, compared = search.query.resource_types, False
    if len(includes) == 1 and len(includes[0].parameters) == 1 and not revincludes:
        at_once = None if includes[0].iterate else _at_once(made, types)
        if at_once is not None and len(at_once) <= limit:
            return at_once
    seen: set[Identity] = set()
    while level:
        fresh = _targets(includes, made, transaction)
        for include in revincludes:
            fresh += _referring(include, level, limit, transaction)
        if not compared and any(version.resource_type in types for version in fresh):
            seen.update([(item.resource_type, item.logical_id) for item in matches])
            compared = True
        new: list[Found] = []
        for version in fresh:
            identity = (version.resource_type, version.logical_id)
            if identity not in seen:
                seen.add(identity)
                new.append(version)
        found += new
        if len(found) > limit:
            raise errors.too_costly(
                f"The includes reach more than {limit} resources; lower _count or include less"
            )
        includes = tuple(item for item in includes if item.iterate)
        revincludes = tuple(item for item in revincludes if item.iterate)
        level = new if includes or revincludes else ()
        made = referred(includes, level, transaction)
    return found


def _at_once(made: Referred, types: tuple[str, ...]) -> list[Found] | None:
    """What a single parameter refers to, which needs no second look: nothing is there twice, or among the matches."""
    found = []
    for item, version in made.items():
        if item.version or item.target_type in types:
            return None
        if version is not None:
            found.append(version)
    return found


def _referring(
    include: Include, level: Sequence[Found], limit: int, transaction: ReadTransaction
) -> list[Found]:
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


def _targets(
    includes: tuple[Include, ...], made: Referred, transaction: ReadTransaction
) -> list[Found]:
    """What is referred to; a versioned reference brings that version, when it was not deleted."""
    found: list[Found] = []
    for item, current in made.items():
        if not any(_follows(include, item) for include in includes):
            continue
        if item.version.isdigit():
            version = transaction.version(item.target_type, item.target_id, int(item.version[:9]))
            if version is not None and not version.deleted:
                found.append(version)
        elif current is not None:
            found.append(current)
    return found


def _follows(include: Include, made: Reference) -> bool:
    """A parameter's number tells the type that it starts from."""
    return include.target_type in (None, made.target_type) and made.parameter in _numbers(include)
