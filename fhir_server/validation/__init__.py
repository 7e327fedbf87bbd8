"""Validation of resources against R4 (https://hl7.org/fhir/R4/validation.html)."""

from __future__ import annotations

from functools import cache
from itertools import islice

from fhir_server.spec.errors import Issue
from fhir_server.validation.fast import FastPath
from fhir_server.validation.issues import fault, refused, status
from fhir_server.validation.walker import walk

__all__ = ["explain", "status", "validate"]

MOST_ISSUES = 500


@cache
def _fast_path() -> FastPath:
    return FastPath()


def validate(resource: object, *, resource_type: str | None = None) -> tuple[Issue, ...]:
    """The errors of a JSON value that is meant to be a resource, of that type if given; () when it has none.

    Never raises. At most MOST_ISSUES are told. status(issues) is the HTTP status they mean.
    """
    try:
        if _is_of(resource, resource_type) and _fast_path().faultless(resource):
            return ()
        return tuple(islice(filter(refused, walk(resource, resource_type)), MOST_ISSUES))
    except RecursionError:
        return _too_deep(resource_type)


def explain(resource: object, *, resource_type: str | None = None) -> tuple[Issue, ...]:
    """All issues, warnings and information included, of the same; for $validate."""
    try:
        return tuple(islice(walk(resource, resource_type), MOST_ISSUES))
    except RecursionError:
        return _too_deep(resource_type)


def _is_of(resource: object, resource_type: str | None) -> bool:
    return resource_type is None or (
        isinstance(resource, dict) and resource.get("resourceType") == resource_type
    )


def _too_deep(resource_type: str | None) -> tuple[Issue, ...]:
    return (fault("structure", "The resource is nested too deeply", resource_type or "Resource"),)
