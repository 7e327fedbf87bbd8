"""What a client may ask of a Subscription, and what the server makes of it.

https://hl7.org/fhir/R4/subscription.html#status
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.interactions.grammar import parse_query
from fhir_server.interactions.matching import criteria_of
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import ReadTransaction, StoredVersion

Json = dict[str, Any]
SUBSCRIPTION = "Subscription"

_REQUESTED, _OFF = "requested", "off"
_NOT_SENT = "This server does not send notifications; poll the search or the history instead"
_CRITERIA = re.compile(r"[A-Z][A-Za-z]+(\?.*)?", re.DOTALL)


def decided(
    resource: Json, previous: StoredVersion | None, context: Context, transaction: ReadTransaction
) -> Json:
    """The Subscription as it is stored: a requested one becomes an error with its reason, as nothing is sent yet.

    Raises FhirError 422 for a status that is the server's to set, and for criteria that are no search of this server.
    """
    _check_criteria(resource.get("criteria", ""), context, transaction)
    status = resource.get("status")
    if status == _REQUESTED:
        return resource | {"status": "error", "error": _NOT_SENT}
    if status is None:
        raise _refused("status", f"Give it a status: {_REQUESTED} or {_OFF}")
    if status not in (_OFF, _status(previous)):
        raise _refused("status", f"Send {_REQUESTED} or {_OFF}; '{status}' is the server's to set")
    return resource


def _check_criteria(criteria: str, context: Context, transaction: ReadTransaction) -> None:
    """By the search parameters and value sets that are here now, those that are stored included."""
    resource_type, _, query = criteria.partition("?")
    if not _CRITERIA.fullmatch(criteria) or not is_resource_type(resource_type):
        raise _refused("criteria", "Write a search without base and slash, as Observation?code=x")
    if query:
        try:
            criteria_of(resource_type, parse_query(query), context, transaction)
        except errors.FhirError as refusal:
            raise _refused("criteria", refusal.issues[0].diagnostics) from None


def _status(version: StoredVersion | None) -> object:
    return (
        parse(version.body).get("status") if version is not None and not version.deleted else None
    )


def _refused(element: str, diagnostics: str) -> errors.FhirError:
    return errors.unprocessable(
        Issue("error", "business-rule", diagnostics, (f"{SUBSCRIPTION}.{element}",))
    )
