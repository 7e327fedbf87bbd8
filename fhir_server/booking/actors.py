"""Which schedules $find may propose slots of: those of the practitioners, organisations and places asked for.

https://hl7.org/fhir/R4/schedule-definitions.html#Schedule.actor
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from fhir_server.booking import facts, queries
from fhir_server.booking.inputs import Inputs
from fhir_server.interactions.call import Context, Parameters
from fhir_server.interactions.matching import criteria_of, matches
from fhir_server.search.expression import Or
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Match, ReadTransaction, StoredVersion
from fhir_server.store.window import Referrers

Json = dict[str, Any]
# So many actors of a kind are looked at, and so many schedules of theirs.
MOST = 400
_OTHERS = frozenset(
    {"organization", "location-reference", "location-string", "referral-identifier"}
)
_LOCAL = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")


def schedules_of(
    inputs: Inputs,
    referrals: Sequence[StoredVersion] | None,
    context: Context,
    transaction: ReadTransaction,
) -> tuple[list[set[str]], dict[tuple[str, str], bytes]]:
    """For each kind of actor that is asked for, the ids of the schedules that have one of them; and their bodies.

    referrals: those whose services are asked for, None when no referral is named.
    """
    known: dict[tuple[str, str], bytes] = {}

    def found(resource_type: str, *criteria: Parameters) -> list[str]:
        ids: dict[str, None] = {}
        for item in criteria:
            for version in matches(resource_type, item, context, transaction, MOST):
                ids[f"{resource_type}/{version.logical_id}"] = None
        return list(ids)

    def schedules(actors: Iterable[str], *, in_a_role: bool = False) -> set[str]:
        listed = list(dict.fromkeys(actors))[:MOST]
        versions = _of(listed, in_a_role, context, transaction) if listed else ()
        known.update([(("Schedule", item.logical_id), item.body) for item in versions])
        return {item.logical_id for item in versions}

    kinds: list[set[str]] = []
    practitioners = _named(inputs, "practitioner", "Practitioner")
    if practitioners:
        kinds.append(schedules(practitioners, in_a_role=True))
    organizations = _named(inputs, "organization", "Organization")
    if organizations:
        within = (("organization", ",".join(organizations)),)
        actors = [
            item
            for kind in ("HealthcareService", "PractitionerRole", "Location")
            for item in found(kind, within)
        ]
        kinds.append(schedules(actors))
    places = _named(inputs, "location-reference", "Location")
    for text in inputs.texts("location-string"):
        places += found("Location", (("name", text),), (("address", text),)) or ["Location/-"]
    if places:
        kinds.append(schedules(places))
    if referrals is not None:
        performers = _performers(referrals, context)
        if performers is not None:
            kinds.append(schedules(performers))
    return kinds, known


def alone(inputs: Inputs) -> Referrers | None:
    """The schedules in question, where nothing but practitioners of this server tells them."""
    if not _OTHERS.isdisjoint(inputs.values):
        return None
    named = _named(inputs, "practitioner", "Practitioner")[:MOST]
    return _referrers(named, in_a_role=True) if named else None


def _referrers(actors: Sequence[str], *, in_a_role: bool) -> Referrers | None:
    """The schedules of actors of this server; None where one may be of another."""
    if not all(map(_LOCAL.fullmatch, actors)):
        return None
    targets = [(kind, logical_id) for kind, _, logical_id in (x.partition("/") for x in actors)]
    through = ("PractitionerRole", queries.number("PractitionerRole", "practitioner"))
    by_actor = queries.number("Schedule", "actor")
    return Referrers(tuple(targets), by_actor, through if in_a_role else None)


def _of(
    actors: Sequence[str], in_a_role: bool, context: Context, transaction: ReadTransaction
) -> list[Match]:
    """The schedules of actors; in_a_role: also those of the roles that they have."""
    by = _referrers(actors, in_a_role=in_a_role)
    if by is not None:
        return transaction.referrers(by, MOST)
    where = criteria_of("Schedule", (("actor", ",".join(actors)),), context)
    plain = [item for item in actors if _LOCAL.fullmatch(item)] if in_a_role else []
    if plain:
        theirs = queries.referring("PractitionerRole", "practitioner", plain)
        where = Or((where, queries.leading("Schedule", "actor", "PractitionerRole", theirs)))
    return queries.found("Schedule", where, transaction, MOST)


def _named(inputs: Inputs, name: str, resource_type: str) -> list[str]:
    return [text if "/" in text else f"{resource_type}/{text}" for text in inputs.texts(name)]


def referrals_named(
    inputs: Inputs, context: Context, transaction: ReadTransaction
) -> list[StoredVersion] | None:
    """The ServiceRequests with the identifier that is sent; None when none is sent."""
    identifier = inputs.one("referral-identifier")
    if identifier is None:
        return None
    if isinstance(identifier, str) and identifier.startswith("{"):
        try:
            identifier = orjson.loads(identifier)
        except orjson.JSONDecodeError:
            raise errors.invalid("referral-identifier cannot be read") from None
    if isinstance(identifier, dict):
        identifier = f"{identifier.get('system', '')}|{identifier.get('value', '')}"
    if not isinstance(identifier, str) or identifier == "|":
        raise errors.invalid(
            "referral-identifier must be an Identifier with a value", "Parameters.parameter"
        )
    criteria = (("identifier", identifier.lstrip("|")),)
    return matches("ServiceRequest", criteria, context, transaction, 10)


def _performers(referrals: Sequence[StoredVersion], context: Context) -> list[str] | None:
    """The performers of the referrals; None: they leave that open."""
    performers: list[str] = []
    for version in referrals:
        listed = parse_stored(version.body).get("performer", ())
        performers += ["/".join(target) for _, target in facts.targets(listed, context)]
    if not referrals:
        return []
    return performers or None
