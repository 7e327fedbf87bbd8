"""What is stored around a referral, read once for a document about it (https://hl7.org/fhir/R4/servicerequest.html)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking import facts, queries
from fhir_server.interactions.call import Context
from fhir_server.spec import errors
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Identity = tuple[str, str]
_MOST = 50


@dataclass(frozen=True)
class Gathered:
    """A referral, and by (type, id) every resource of this server that a document about it may show."""

    referral: Json
    known: dict[Identity, Json]
    appointments: tuple[Json, ...]
    letters: tuple[Json, ...]
    context: Context

    def target(self, reference: Any) -> Json | None:
        """The resource behind a Reference, if it is one of this server."""
        listed = facts.targets([reference] if isinstance(reference, dict) else (), self.context)
        return next((self.known[item] for _, item in listed if item in self.known), None)

    @property
    def patient(self) -> Json | None:
        """The subject."""
        return self.target(self.referral.get("subject"))

    @property
    def services(self) -> list[tuple[Json, Json | None]]:
        """The shortlist in its order: each performer as it is written, and the service behind it."""
        return [
            (performer, service)
            for performer in self.referral.get("performer", ())
            if (service := self.target(performer)) is None
            or service["resourceType"] == "HealthcareService"
        ]


def gather(referral_id: str, context: Context, transaction: ReadTransaction) -> Gathered:
    """Everything for a document; FhirError 404 or 410 when the referral is not there."""
    version = transaction.current("ServiceRequest", referral_id)
    if version is None:
        raise errors.not_found("There is no such ServiceRequest")
    if version.deleted:
        raise errors.gone("The ServiceRequest was deleted")
    referral: Json = parse_stored(version.body)
    path = f"ServiceRequest/{referral_id}"

    def referring(resource_type: str, code: str) -> tuple[Json, ...]:
        where = queries.referring(resource_type, code, [path])
        found = queries.found(resource_type, where, transaction, _MOST)
        return tuple(parse_stored(item.body) for item in found)

    appointments = referring("Appointment", "based-on")
    letters = referring("DocumentReference", "related")
    known: dict[Identity, Json] = {}
    named = [referral.get(name) for name in ("subject", "requester")]
    for name in ("performer", "reasonReference", "supportingInfo"):
        named += referral.get(name, [])
    _read(named, known, context, transaction)
    second = []
    for item in known.values():
        second += [item.get(name) for name in ("providedBy", "practitioner", "organization")]
        if item["resourceType"] == "HealthcareService":
            second += item.get("location", [])
    _read(second, known, context, transaction)
    return Gathered(referral, known, appointments, letters, context)


def _read(
    references: list[Any],
    known: dict[Identity, Json],
    context: Context,
    transaction: ReadTransaction,
) -> None:
    wanted = [
        target
        for _, target in facts.targets(
            [item for item in references if isinstance(item, dict)], context
        )
        if target not in known
    ]
    known |= facts.resources(wanted, context, transaction)
