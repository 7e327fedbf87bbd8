"""The Provenance of a change, sent with it as X-Provenance (https://hl7.org/fhir/R4/provenance.html#header)."""

from __future__ import annotations

from fhir_server.interactions.call import Attributed, Context, Create, Json, Result
from fhir_server.interactions.change import create
from fhir_server.interactions.write import check, refuse_criteria
from fhir_server.store.contract import Transaction

_TYPE = "Provenance"


def check_provenance(call: Attributed, context: Context) -> None:
    """Refuse (400 or 422) what will not be a valid Provenance once its target is known."""
    targeted = _about(f"{call.change.resource_type}/not-known-yet", call.provenance)
    check(targeted, _TYPE, context)
    refuse_criteria(targeted)


def attribute(call: Attributed, result: Result, context: Context, transaction: Transaction) -> None:
    """Store the Provenance with the version that the change wrote as its only target.

    A conditional create that found its resource has written nothing, so nothing is said about it.
    """
    if isinstance(call.change, Create) and result.status == 200:
        return
    assert result.location is not None
    create(Create(_TYPE, _about(result.location, call.provenance)), context, transaction)


def _about(location: str, provenance: Json) -> Json:
    """The caller cannot know the version it is about to write, so what it sends as the target does not count."""
    return provenance | {"target": [{"reference": location}]}
