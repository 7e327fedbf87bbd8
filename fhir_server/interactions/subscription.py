"""What a client may ask of a Subscription, and what the server makes of it.

https://hl7.org/fhir/R4/subscription.html#status
"""

from __future__ import annotations

import re
from typing import Any

from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import parse
from fhir_server.store.contract import StoredVersion

Json = dict[str, Any]
SUBSCRIPTION = "Subscription"

_REQUESTED, _OFF = "requested", "off"
_NOT_SENT = "This server does not send notifications; poll the search or the history instead"
_CRITERIA = re.compile(r"[A-Z][A-Za-z]+(\?.*)?", re.DOTALL)


def decided(resource: Json, previous: StoredVersion | None) -> Json:
    """The Subscription as it is stored: a requested one becomes an error with its reason, as nothing is sent yet.

    Raises FhirError 422 for a status that is the server's to set, and for criteria that are no search of this server.
    """
    if not _CRITERIA.fullmatch(resource["criteria"]):
        raise _refused("criteria", "Write a search without base and slash, as Observation?code=x")
    status = resource["status"]
    if status == _REQUESTED:
        return resource | {"status": "error", "error": _NOT_SENT}
    if status != _OFF and status != _status(previous):
        raise _refused("status", f"Send {_REQUESTED} or {_OFF}; '{status}' is the server's to set")
    return resource


def _status(version: StoredVersion | None) -> object:
    return parse(version.body)["status"] if version is not None and not version.deleted else None


def _refused(element: str, diagnostics: str) -> errors.FhirError:
    return errors.unprocessable(
        Issue("error", "business-rule", diagnostics, (f"{SUBSCRIPTION}.{element}",))
    )
