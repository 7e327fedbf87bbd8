"""Validation of resources against R4 (https://hl7.org/fhir/R4/validation.html)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import status
from fhir_server.validation.validator import Validator

__all__ = ["Validator", "core", "explain", "status", "validate"]


@cache
def core() -> Validator:
    """The validator that knows R4's own definitions only."""
    return Validator()


def validate(resource: object, *, resource_type: str | None = None) -> tuple[Issue, ...]:
    """Validator.validate of R4's own definitions."""
    return core().validate(resource, resource_type=resource_type)


def explain(
    resource: object, *, resource_type: str | None = None, profiles: Iterable[str] = ()
) -> tuple[Issue, ...]:
    """Validator.explain of R4's own definitions."""
    return core().explain(resource, resource_type=resource_type, profiles=profiles)
