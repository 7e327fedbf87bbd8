"""The shortlist of a referral: the services among which the patient chooses (ServiceRequest.performer).

https://hl7.org/fhir/R4/servicerequest-definitions.html#ServiceRequest.performer
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking import facts
from fhir_server.interactions.call import Context
from fhir_server.interactions.integrity import local_target
from fhir_server.referral import refusals
from fhir_server.referral.definitions import system, table
from fhir_server.referral.kinds import Kind, codings
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction, StoredVersion

Json = dict[str, Any]
Identity = tuple[str, str]
_SERVICE = "HealthcareService"
# No service without it is closed.
_CLOSED = b'"active":false'


def services_of(referral: Json, context: Context) -> list[str]:
    """The ids of the services of this server on the shortlist, in its order."""
    found = facts.targets(referral.get("performer", ()), context)
    return [logical_id for _, (kind, logical_id) in found if kind == _SERVICE]


def check(
    after: Json, before: Json | None, kind: Kind, context: Context, transaction: ReadTransaction
) -> None:
    """Refuse (422) a shortlist that is too long, names a service twice, a closed one, or one that is not here.

    And a patient, requester or earlier request of this server that is not here. All of them are read at once.
    """
    listed = _listed(after, before, kind, context)
    referred = _referred(after, before, context)
    planned = context.pending
    asked = [item for _, item in listed if planned.get(item) is None]
    asked += [item for _, item in referred if planned.get(item) is None]
    found = transaction.many(asked) if asked else {}
    for place, identity in listed:
        service = planned.get(identity)
        version = found.get(identity)
        if service is None and version is None:
            raise refusals.reference_not_found(
                f"There is no {'/'.join(identity)}; name one that is here", place
            )
        if identity[0] == _SERVICE and _is_closed(service, version):
            raise refusals.service_unavailable(place)
    for place, identity in referred:
        if planned.get(identity) is None and identity not in found:
            raise refusals.reference_not_found(
                f"There is no {'/'.join(identity)}; create it first, or in the same transaction",
                place,
            )


def _listed(
    after: Json, before: Json | None, kind: Kind, context: Context
) -> list[tuple[str, Identity]]:
    """(place, (type, id)) of what a new shortlist names of this server."""
    listed = after.get("performer", [])
    if before is not None and before.get("performer", []) == listed:
        return []
    most = table()["shortlist"][kind]
    if len(listed) > most:
        raise refusals.too_many_services(most)
    found: list[tuple[str, Identity]] = []
    seen: set[str] = set()
    for number, item in enumerate(listed):
        text = item.get("reference")
        target = local_target(text, context) if isinstance(text, str) else None
        name = "/".join(target) if target else text
        place = f"ServiceRequest.performer[{number}]"
        if name is not None and name in seen:
            raise refusals.duplicate_service(place)
        seen.add(name or "")
        if target is not None:
            found.append((place, target))
    return found


def _referred(after: Json, before: Json | None, context: Context) -> list[tuple[str, Identity]]:
    """(place, (type, id)) of what a referral newly refers to of this server, otherwise than by its shortlist."""
    found: dict[Identity, str] = {}
    for name in ("subject", "requester", "basedOn"):
        value = after.get(name)
        if value is None or (before is not None and before.get(name) == value):
            continue
        several = isinstance(value, list)
        for number, identity in facts.targets(value if several else [value], context):
            found[identity] = (
                f"ServiceRequest.{name}[{number}]" if several else f"ServiceRequest.{name}"
            )
    return [(place, identity) for identity, place in found.items()]


def _is_closed(service: Json | None, version: StoredVersion | None) -> bool:
    """Whether a service, as it is planned or else as it is stored, takes no requests."""
    if service is None and version is not None and _CLOSED in version.body:
        # What is stored is compact, and a quote within a string is escaped.
        service = parse_stored(version.body)
    return service is not None and service.get("active") is False


def flows(service: Json | None) -> set[str]:
    """How a service takes requests: BOOKABLE, REVIEW, ADVICE_AND_GUIDANCE; empty when it does not say."""
    found = codings(*(service or {}).get("characteristic", ()))
    return {code for url, code in found if url == system("flow")}


def check_flow(service: Json | None, flow: str, told: str, place: str) -> None:
    """Refuse (422) a service that does not take requests in that way."""
    offered = flows(service)
    if offered and flow not in offered:
        raise refusals.inappropriate_value(told, place)
