"""Search of a type, of the system and within a compartment (https://hl7.org/fhir/R4/http.html#search)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

from fhir_server.interactions.call import Context, Parameters, Result
from fhir_server.interactions.call import Search as SearchCall
from fhir_server.interactions.code_sets import NeedsView
from fhir_server.interactions.explain import explained
from fhir_server.interactions.include import Referred, followed, included, referred
from fhir_server.interactions.matching import reading, remembering
from fhir_server.interactions.paging import (
    CURSOR,
    read_cursor,
    take_cursor,
    write_cursor,
    write_query,
)
from fhir_server.interactions.read import summary
from fhir_server.interactions.searchset import entries, outcome_entry, searchset
from fhir_server.search.compartments import compartment_expression, compartment_types
from fhir_server.search.expression import And, Expression, Or, Position, Query, chained_parameters
from fhir_server.search.query import Reader, Search
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type, resource_types
from fhir_server.spec.json_format import parse, serialise
from fhir_server.spec.subset import select_elements
from fhir_server.store.contract import Match, ReadTransaction

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A search as it is understood: what matches among which types.

    first: what the store is asked for the first page, whose last match tells that there is another. scope: the self
    link below the base, which is what a cursor is good for. chained: the numbers of the parameters that chains start
    from. brief: beside the matches no more is shown than what one parameter of theirs refers to.
    """

    types: tuple[str, ...]
    wanted: Search
    where: Expression
    first: Query
    path: str
    applied: Parameters
    scope: str
    chained: frozenset[int]
    brief: bool


def understood(
    call: SearchCall, context: Context, transaction: ReadTransaction
) -> tuple[Asked, str | None]:
    """What a search asks for, and the cursor that says where a page begins.

    Raises FhirError 400 for what cannot be read, 404 for what is not in the compartment.
    """
    told, cursor = take_cursor(call.parameters)
    types, parameters = _types(call, told)
    if call.resource_type in context.rules.resource_types:
        assert call.resource_type is not None
        parameters = context.rules.search(call.resource_type, call.compartment, parameters, context)
    plain = call if cursor is None else call._replace(parameters=told)
    known = remembering(parameters, context)
    if known is not None:
        with suppress(NeedsView):
            return _remembered(known, plain, types, parameters), cursor
    return _asked(reading(context, transaction), plain, types, parameters), cursor


def _asked(by: Reader, call: SearchCall, types: tuple[str, ...], parameters: Parameters) -> Asked:
    wanted = by.search(types, parameters)
    where = wanted.query.where
    if call.compartment is not None:
        where = And((_membership(call.compartment, types), where))
    path, applied = _path(call), _applied(call, wanted)
    chained = frozenset(chained_parameters(where))
    return Asked(
        types,
        wanted,
        where,
        Query(types, where, wanted.query.sort, wanted.count + 1),
        path,
        applied,
        f"{path}?{write_query(applied)}",
        chained,
        _brief(wanted, chained),
    )


def _brief(wanted: Search, chained: frozenset[int]) -> bool:
    if wanted.revincludes or wanted.explain or wanted.total in ("accurate", "estimate"):
        return False
    parameters = followed(wanted.includes)
    plain = not any(item.iterate or item.target_type for item in wanted.includes)
    return plain and len(parameters) == 1 and chained <= parameters


# One that is asked again and again, as worklists are, is read once.
_remembered = lru_cache(maxsize=1024)(_asked)


def search(call: SearchCall, context: Context, transaction: ReadTransaction) -> Result:
    """200 with a Bundle of type searchset: matches, then included resources, then an outcome with warnings."""
    asked, cursor = understood(call, context, transaction)
    types, wanted, where = asked.types, asked.wanted, asked.where
    base_url, scope = context.base_url, asked.scope
    links = [{"relation": "self", "url": f"{base_url}/{scope}".rstrip("?")}]
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id(), "type": "searchset"}
    if wanted.explain:
        told = explained(wanted.criteria, types, transaction)
        wanted = replace(wanted, warnings=(*wanted.warnings, *told))
    if wanted.count == 0:
        bundle["total"] = transaction.count(types, where)
        bundle["link"] = links
        return Result(200, searchset(bundle, _told(wanted, context)))
    place = Place.read(cursor, scope, context)
    counted = wanted.total in ("accurate", "estimate")
    if not (asked.chained or counted or wanted.includes or wanted.revincludes or wanted.explain):
        transaction.alone()
    query, backward = asked.first, place.backward
    if place.position is not None:
        query = replace(query, after=place.position, backward=backward)
    hits = transaction.page(query, followed(wanted.includes), last=asked.brief)
    page = hits[-wanted.count :] if backward else hits[: wanted.count]
    more = len(hits) > wanted.count
    for relation, hit in _neighbours(page, place, more=more):
        token = write_cursor((relation, *hit.position), scope, context.policy.cursor_key)
        mark = "&" if asked.applied else ""
        links.append({"relation": relation, "url": f"{base_url}/{scope}{mark}{CURSOR}={token}"})
    if place.position is not None:
        links.append({"relation": "first", "url": links[0]["url"]})
    if counted:
        bundle["total"] = transaction.count(types, where)
    elif wanted.total is None and place.position is None and not more:
        # The whole answer is on this page: its total costs nothing.
        bundle["total"] = len(page)
    bundle["link"] = links
    made = referred(wanted.includes, page, transaction)
    if _versioned(asked, page, made, transaction):
        wanted = _warned(wanted)
    found = included(wanted, page, made, context.policy.maximum_included, transaction)
    shape = partial(shaped, wanted=wanted) if wanted.elements or wanted.summary else None
    shown = entries(page, "match", base_url, shape, types[0] if len(types) == 1 else None)
    shown += entries(found, "include", base_url, shape)
    return Result(200, searchset(bundle, (*shown, *_told(wanted, context))))


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page begins (or, backward, ends); position None: at the beginning of all."""

    position: Position | None
    backward: bool

    @classmethod
    def read(cls, cursor: str | None, scope: str, context: Context) -> Place:
        """The place that a cursor names; FhirError 400 when it is not one of this search."""
        if cursor is None:
            return cls(None, backward=False)
        relation, *position = read_cursor(cursor, scope, context.policy.cursor_key)
        return cls(tuple(position), backward=relation == "previous")


def _neighbours(page: list[Match], place: Place, *, more: bool) -> Iterator[tuple[str, Match]]:
    """The pages beside this one, each with the hit that it starts from; more: the search found more than the page."""
    if not page:
        return
    if more or place.backward:
        yield "next", page[-1]
    if (place.position is not None and not place.backward) or (place.backward and more):
        yield "previous", page[0]


def _types(call: SearchCall, parameters: Parameters) -> tuple[tuple[str, ...], Parameters]:
    """The types to search, and the parameters without _type where it chose them."""
    if call.resource_type is not None:
        if call.compartment is not None:
            members = compartment_types(call.compartment[0])
            if call.resource_type not in members:
                raise errors.not_found(
                    f"{call.resource_type} is not in the {call.compartment[0]} compartment"
                )
        return (call.resource_type,), parameters
    named = [
        item for name, value in parameters if name == "_type" for item in value.split(",") if item
    ]
    for item in named:
        if not is_resource_type(item):
            raise errors.invalid(f"_type names '{item[:64]}', which is no R4 resource type")
    rest = tuple(item for item in parameters if item[0] != "_type")
    if call.compartment is None:
        return tuple(dict.fromkeys(named)) or resource_types(), rest
    members = compartment_types(call.compartment[0])
    for item in named:
        if item not in members:
            raise errors.not_found(f"{item} is not in the {call.compartment[0]} compartment")
    return tuple(item for item in members if not named or item in named), rest


def _membership(compartment: tuple[str, str], types: tuple[str, ...]) -> Expression:
    if len(types) == 1:
        return compartment_expression(*compartment, types[0])
    return Or(tuple(compartment_expression(*compartment, item) for item in types))


def _path(call: SearchCall) -> str:
    if call.compartment is not None:
        return "/".join((*call.compartment, call.resource_type or "*"))
    return call.resource_type or ""


def _applied(call: SearchCall, wanted: Search) -> Parameters:
    """What the self link tells: the parameters that were used, and the representation that was asked for."""
    chosen = (
        ()
        if call.resource_type
        else tuple(item for item in call.parameters if item[0] == "_type" and item[1])
    )
    shown = tuple(item for item in call.parameters if item[0] in ("_format", "_pretty") and item[1])
    return (*chosen, *wanted.applied, *shown)


def shaped(body: bytes, wanted: Search) -> bytes:
    """A resource as _elements or _summary ask for it."""
    if wanted.elements:
        return serialise(select_elements(parse(body), wanted.elements))
    if wanted.summary in ("true", "text", "data"):
        return summary(body, wanted.summary)
    return body


def _versioned(
    asked: Asked, page: Sequence[Match], made: Referred, transaction: ReadTransaction
) -> bool:
    """Whether a chain started from a reference that names a version; made: the references that are known already."""
    if not asked.chained or not page:
        return False
    if asked.brief:
        return any(item.version for item in made)
    includes = asked.wanted.includes
    whole = not any(item.target_type for item in includes)
    rest = asked.chained - followed(includes) if whole else asked.chained
    others = transaction.references([item.key for item in page], tuple(rest)) if rest else ()
    return any(item.version and item.parameter in asked.chained for item in (*made, *others))


def _warned(wanted: Search) -> Search:
    """A chain follows a versioned reference to the current version, and says so (search.html#chaining)."""
    told = "A reference that was followed names a version; the current version was searched"
    issue = errors.Issue("warning", "informational", told)
    return replace(wanted, warnings=(*wanted.warnings, issue))


def _told(wanted: Search, context: Context) -> list[bytes]:
    """The entry with warnings, when there are any."""
    return [outcome_entry(wanted.warnings, context)] if wanted.warnings else []
