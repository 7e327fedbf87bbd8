"""The definitions that are part of the program: stored like other resources, and not to be changed by clients.

https://hl7.org/fhir/R4/conformance-module.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.published import own_definitions, own_urls

Json = dict[str, Any]


def same(resource: Json, other: Json) -> bool:
    """Whether two say the same; meta is the server's."""
    return {**resource, "meta": None} == {**other, "meta": None}


def guard(resource_type: str, logical_id: str, resource: Json | None) -> None:
    """Refuse to change or delete one of them, or to take its canonical url for another: FhirError 422.

    What says the same is let through, so that an export can be loaded again. resource None: a deletion.
    """
    own = own_definitions().get((resource_type, logical_id))
    if own is not None:
        if resource is None or not same(resource, own):
            told = "belongs to this server; store your own under another id and url"
            raise _refused(f"{resource_type}/{logical_id} {told}", resource_type)
        return
    url = resource.get("url") if resource is not None else None
    holder = own_urls().get(url) if isinstance(url, str) else None
    if holder is not None and holder[0] == resource_type:
        told = (
            f"{url} is the url of {'/'.join(holder)}, which belongs to this server; choose another"
        )
        raise _refused(told, f"{resource_type}.url")


def _refused(told: str, place: str) -> FhirError:
    return errors.unprocessable(Issue("error", "business-rule", told, (place,)))
