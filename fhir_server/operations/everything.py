"""$everything: what is about a patient (or an encounter), page by page, with what those resources refer to.

https://hl7.org/fhir/R4/patient-operation-everything.html
The definition says which inputs there are, the compartment's definition which resources are about its focus. Dates
of care are those that a type is searched by: its parameter date, or else each of its date parameters but a birth
date; what has none is never left out for its date.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fhir_server.interactions.call import Context, Operation, Parameters
from fhir_server.interactions.paging import CURSOR, read_cursor, write_cursor, write_query
from fhir_server.operations.inputs import Inputs
from fhir_server.operations.standard import Output
from fhir_server.search import expression as x
from fhir_server.search.compartments import compartment_parameters
from fhir_server.search.expression import Expression, Query
from fhir_server.search.parameters import parameters, reference_numbers
from fhir_server.spec import errors
from fhir_server.spec.dates import EARLIEST, LATEST, interval
from fhir_server.spec.definitions import is_resource_type
from fhir_server.store.contract import Hit, ReadTransaction, StoredVersion

Json = dict[str, Any]
_BIRTH = "birthdate"
_DATE = "date"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a call asks for: of one focus or (logical_id None) of every one of that type.

    since: microseconds; care: the range of dates of care; types: () for all; position: where the page starts, after
    the number of the part that it is in.
    """

    focus: str
    logical_id: str | None
    since: int | None
    care: tuple[int, int] | None
    types: tuple[str, ...]
    count: int
    position: tuple[Any, ...] | None


def everything(
    call: Operation, inputs: Inputs, context: Context, transaction: ReadTransaction
) -> Output:
    """A searchset: first the focus, then its compartment, each page with the resources that it refers to."""
    path = "/".join(part for part in (call.resource_type, call.logical_id, "$everything") if part)
    applied = _applied(inputs)
    scope = f"{path}?{write_query(applied)}"
    asked = _asked(call, inputs, scope, context)
    _check_focus(asked, transaction)
    hits = _page(asked, transaction)
    page, more = hits[: asked.count], len(hits) > asked.count
    links = [{"relation": "self", "url": f"{context.base_url}/{scope}".rstrip("?")}]
    if more:
        token = write_cursor(page[-1][1], scope, context.policy.cursor_key)
        following = write_query((*applied, (CURSOR, token)))
        links.append({"relation": "next", "url": f"{context.base_url}/{path}?{following}"})
    bundle: Json = {"resourceType": "Bundle", "id": context.new_id(), "type": "searchset"}
    matches = [item for item, _ in page if _shown(item, asked)]
    if asked.position is None and not more:
        bundle["total"] = len(matches)
    bundle["link"] = links
    entries = [_entry(item, "match", context) for item in matches]
    supporting = _supporting([item for item, _ in page], asked, context, transaction)
    entries += [_entry(item, "include", context) for item in supporting]
    if entries:
        bundle["entry"] = entries
    return Output(bundle)


def _applied(inputs: Inputs) -> Parameters:
    return tuple((name, str(value)) for name, values in inputs.items() for value in values)


def _asked(call: Operation, inputs: Inputs, scope: str, context: Context) -> Asked:
    assert call.resource_type is not None
    policy = context.policy
    types = tuple(
        item.strip() for value in inputs.get("_type", ()) for item in value.split(",") if item
    )
    for item in types:
        if not is_resource_type(item):
            raise errors.invalid(f"_type names '{item[:64]}', which is no R4 resource type")
    (count,) = inputs["_count"] or (policy.default_count,)
    if count < 1:
        raise errors.invalid(f"_count is {count}; ask for at least 1 on a page")
    since = [interval(value, policy.zone)[0] for value in inputs["_since"]]
    dates = {
        name: interval(value, policy.zone)
        for name in ("start", "end")
        for value in inputs.get(name, ())
    }
    unbounded = (EARLIEST, LATEST)
    care = (dates.get("start", unbounded)[0], dates.get("end", unbounded)[1])
    tokens = [value for name, value in call.parameters if name == CURSOR]
    return Asked(
        focus=call.resource_type,
        logical_id=call.logical_id,
        since=since[0] if since else None,
        care=care if dates else None,
        types=types,
        count=min(count, policy.maximum_count),
        position=read_cursor(tokens[0], scope, policy.cursor_key) if tokens else None,
    )


def _check_focus(asked: Asked, transaction: ReadTransaction) -> None:
    if asked.logical_id is None:
        return
    version = transaction.current(asked.focus, asked.logical_id)
    if version is None:
        raise errors.not_found(f"There is no {asked.focus}/{asked.logical_id}")
    if version.deleted:
        raise errors.gone(f"{asked.focus}/{asked.logical_id} was deleted")


def _page(asked: Asked, transaction: ReadTransaction) -> list[tuple[StoredVersion, x.Position]]:
    """One match more than the page takes, so that it is known whether there are more."""
    found: list[tuple[StoredVersion, x.Position]] = []
    part, after = (0, None) if asked.position is None else (asked.position[0], asked.position[1:])
    for number, (types, where) in enumerate((_focus(asked), _compartment(asked))):
        limit = asked.count + 1 - len(found)
        if number < part or limit < 1 or not types:
            continue
        query = Query(types, where, limit=limit, after=after if number == part else None)
        hits: list[Hit] = transaction.search(query)
        found += [(hit.version, (number, *hit.position)) for hit in hits]
    return found


def _focus(asked: Asked) -> tuple[tuple[str, ...], Expression]:
    named: Expression = x.And(()) if asked.logical_id is None else x.IdIn((asked.logical_id,))
    return (asked.focus,), x.And((named, *_updated(asked)))


def _compartment(asked: Asked) -> tuple[tuple[str, ...], Expression]:
    """The types and the condition of the resources that are in the compartment by a reference."""
    members = dict(compartment_parameters(asked.focus))
    if asked.logical_id is None:
        members.pop(asked.focus, None)  # every one is a focus already
    if set(asked.types) <= {asked.focus, *members}:
        # Otherwise what is asked for may be referred to by any of them.
        members = {
            name: members[name] for name in members if name in asked.types or not asked.types
        }
    numbers = tuple(number for listed in members.values() for number in listed)
    if asked.logical_id is None:
        about: Expression = x.Chain(numbers, asked.focus, x.And(()))
    else:
        about = x.ReferenceMatch(numbers, (x.Target(asked.focus, asked.logical_id),))
    return tuple(members), x.And((about, *_updated(asked), *_cared(asked, tuple(members))))


def _updated(asked: Asked) -> Iterator[Expression]:
    if asked.since is not None:
        yield x.LastUpdated((x.Range("ge", asked.since, asked.since + 1),))


def _cared(asked: Asked, types: Sequence[str]) -> Iterator[Expression]:
    if asked.care is None:
        return
    low, high = asked.care
    numbers = tuple(number for name in types for number in _care_dates(name))
    if numbers:
        undated = x.Not(x.Present("date", numbers))
        yield x.Or((undated, x.DateMatch(numbers, (x.Range("ap", low, high),))))


def _care_dates(resource_type: str) -> list[int]:
    dates = {
        item.code: item.number
        for item in parameters(resource_type)
        if item.type == _DATE and not item.code.startswith("_") and item.code != _BIRTH
    }
    return [dates[_DATE]] if _DATE in dates else list(dates.values())


def _shown(version: StoredVersion, asked: Asked) -> bool:
    return not asked.types or version.resource_type in asked.types


def _supporting(
    page: Sequence[StoredVersion], asked: Asked, context: Context, transaction: ReadTransaction
) -> list[StoredVersion]:
    """What the page refers to, but for what is in the compartment itself, which is on a page of its own.

    Another focus is no supporting resource: a meeting of two patients does not show the one to the other's caller.
    """
    keys = [item.key for item in page]
    links = transaction.links_from(keys, reference_numbers()) if keys else []
    wanted = {
        (link.target_type, link.target_id): None
        for link in links
        if link.target_type != asked.focus and (not asked.types or link.target_type in asked.types)
    }
    found = list(transaction.many(list(wanted)).values()) if wanted else []
    if len(found) > context.policy.maximum_included:
        raise errors.too_costly(
            f"The page refers to more than {context.policy.maximum_included} resources; lower _count"
        )
    inside = _inside([item.key for item in found], asked, transaction)
    return [
        item
        for item in found
        if item.key not in inside and (asked.since is None or item.last_updated >= asked.since)
    ]


def _inside(keys: Sequence[int], asked: Asked, transaction: ReadTransaction) -> set[int]:
    numbers = [number for item in compartment_parameters(asked.focus).values() for number in item]
    links = transaction.links_from(keys, numbers) if keys else []
    return {
        link.source_key
        for link in links
        if link.target_type == asked.focus and asked.logical_id in (None, link.target_id)
    }


def _entry(version: StoredVersion, mode: str, context: Context) -> Json:
    return {
        "fullUrl": f"{context.base_url}/{version.resource_type}/{version.logical_id}",
        "resource": orjson.Fragment(version.body),
        "search": {"mode": mode},
    }
