"""Validation of a resource: its base rules, its profiles, its extensions (https://hl7.org/fhir/R4/validation.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from fhir_server.spec.errors import FhirError, Issue, Unreadable
from fhir_server.validation.fast import FastPath
from fhir_server.validation.issues import fault, is_shape, refused
from fhir_server.validation.profiles.claims import Claims, Defaults
from fhir_server.validation.profiles.library import CoreDefinitions, Library
from fhir_server.validation.walker import walk

Json = dict[str, Any]
MOST_ISSUES = 500


class Validator:
    """Holds resources to R4 and to the profiles of a library.

    defaults: resource type -> canonical urls of profiles that every resource of it is held to. strict: extensions,
    profiles of types and codes that are not known, wrong displays and dead links are errors rather than warnings.
    closed: what a relative reference inside a Bundle or Parameters leads to is in it, too.
    """

    def __init__(
        self,
        library: Library | None = None,
        defaults: Defaults | None = None,
        *,
        strict: bool = False,
        closed: bool = False,
    ) -> None:
        self.library = library if library is not None else Library((CoreDefinitions(),))
        self.defaults: Defaults = defaults or {}
        self._fast = FastPath()
        self._claims = Claims(self.library, self.defaults, strict=strict, closed=closed)

    def validate(self, resource: object, *, resource_type: str | None = None) -> tuple[Issue, ...]:
        """The errors of a JSON value that is meant to be a resource, of that type if given; () when it has none.

        Never raises. At most MOST_ISSUES are told. status(issues) is the HTTP status they mean.
        """
        try:
            if self._is_faultless(resource, resource_type):
                return ()
            if isinstance(resource, dict) and self._keeps_base_rules(resource, resource_type):
                found = self._claims.issues(resource, resource["resourceType"], hints=False)
            else:
                found = self._walk(resource, resource_type, (), hints=False)
            return tuple(islice(filter(refused, found), MOST_ISSUES))
        except RecursionError:
            return _too_deep(resource_type)

    def explain(
        self, resource: object, *, resource_type: str | None = None, profiles: Iterable[str] = ()
    ) -> tuple[Issue, ...]:
        """All issues, warnings and information included, of the same, under those profiles as well."""
        try:
            return tuple(islice(self._walk(resource, resource_type, tuple(profiles)), MOST_ISSUES))
        except RecursionError:
            return _too_deep(resource_type)

    def explain_unreadable(
        self, refusal: FhirError, *, profiles: Iterable[str] = ()
    ) -> tuple[Issue, ...]:
        """The issues of a refusal by a reader, and those of what it could read elsewhere in the resource."""
        found = list(refusal.issues)
        if isinstance(refusal, Unreadable) and refusal.remainder is not None:
            told = {place for issue in found for place in issue.expression}
            found += [
                issue
                for issue in self.explain(refusal.remainder, profiles=profiles)
                if told.isdisjoint(issue.expression)
            ]
        return tuple(found[:MOST_ISSUES])

    def _is_faultless(self, resource: object, resource_type: str | None) -> bool:
        if not self._keeps_base_rules(resource, resource_type):
            return False
        assert isinstance(resource, dict)
        extensions = self._fast.met_extensions
        return not self._claims.concerns(resource, extensions) or self._claims.faultless(
            resource, extensions
        )

    def _keeps_base_rules(self, resource: object, resource_type: str | None) -> bool:
        if resource_type is not None and (
            not isinstance(resource, dict) or resource.get("resourceType") != resource_type
        ):
            return False
        return self._fast.faultless(resource)

    def _walk(
        self,
        resource: object,
        resource_type: str | None,
        profiles: tuple[str, ...],
        *,
        hints: bool = True,
    ) -> Iterator[Issue]:
        sound = True
        for issue in walk(resource, resource_type):
            sound = sound and not (refused(issue) and is_shape(issue))
            yield issue
        # What is no FHIR cannot be asked for all that profiles ask.
        if sound and isinstance(resource, dict):
            yield from self._claims.issues(
                resource, resource["resourceType"], profiles, hints=hints
            )
        elif isinstance(resource, dict):
            yield from self._claims.rule_issues(resource)


def _too_deep(resource_type: str | None) -> tuple[Issue, ...]:
    return (fault("structure", "The resource is nested too deeply", resource_type or "Resource"),)
