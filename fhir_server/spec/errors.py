"""The one error type: it becomes an HTTP status and an OperationOutcome in one place.

https://hl7.org/fhir/R4/operationoutcome.html, https://hl7.org/fhir/R4/http.html#Status-Codes
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

Severity = Literal["fatal", "error", "warning", "information"]


@dataclass(frozen=True, slots=True)
class Issue:
    """One OperationOutcome.issue: code is an IssueType, expression are FHIRPaths such as "Slot.start".

    profile: the canonical url of the profile that asks for it, None when R4 itself does.
    """

    severity: Severity
    code: str
    diagnostics: str
    expression: tuple[str, ...] = ()
    details: Mapping[str, Any] | None = None
    profile: str | None = None

    def under(self, prefix: str) -> Issue:
        """The same issue of a resource that stands at that place, for example Bundle.entry[3].resource."""
        return replace(
            self, expression=tuple(_placed(item, prefix) for item in self.expression) or (prefix,)
        )


def _placed(expression: str, prefix: str) -> str:
    _, dot, rest = expression.partition(".")
    return prefix + dot + rest


@dataclass(eq=False)
class FhirError(Exception):
    """A refusal: an HTTP status, at least one issue, and response headers such as Allow or Retry-After.

    body: JSON that is answered in place of an OperationOutcome with the issues.
    """

    status: int
    issues: tuple[Issue, ...]
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    def __str__(self) -> str:
        return f"{self.status} " + "; ".join(
            f"{item.code}: {item.diagnostics}" for item in self.issues
        )

    def under(self, prefix: str) -> FhirError:
        """The same refusal with every issue placed at that FHIRPath."""
        return FhirError(
            self.status, tuple(item.under(prefix) for item in self.issues), self.headers
        )


@dataclass(eq=False)
class Unreadable(FhirError):
    """400: a body that is not FHIR's JSON or XML, with every fault that can be told apart.

    remainder: the value that could be read in spite of them; None when what is left would mislead.
    """

    remainder: Any = None


def unreadable(issues: Iterable[Issue], remainder: Any = None) -> Unreadable:
    """400, with the issues of a reader."""
    return Unreadable(400, tuple(issues), remainder=remainder)


def _error(status: int, code: str, diagnostics: str, *expression: str, **headers: str) -> FhirError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return FhirError(status, (Issue("error", code, diagnostics, expression),), named)


def malformed(diagnostics: str, *expression: str) -> FhirError:
    """400: not FHIR at all, or a request that the grammar does not allow."""
    return _error(400, "structure", diagnostics, *expression)


def invalid(diagnostics: str, *expression: str) -> FhirError:
    """400: a parameter or header value that cannot be read."""
    return _error(400, "invalid", diagnostics, *expression)


def required(diagnostics: str, *expression: str) -> FhirError:
    """400: something that must be there is missing."""
    return _error(400, "required", diagnostics, *expression)


def not_supported(diagnostics: str, *expression: str, status: int = 400) -> FhirError:
    """400 (or 501, 405): a feature of R4 that this server does not offer."""
    return _error(status, "not-supported", diagnostics, *expression)


def forbidden(diagnostics: str, *expression: str) -> FhirError:
    """403: not for this caller."""
    return _error(403, "forbidden", diagnostics, *expression)


def not_found(diagnostics: str) -> FhirError:
    """404."""
    return _error(404, "not-found", diagnostics)


def gone(diagnostics: str) -> FhirError:
    """410: the resource was deleted."""
    return _error(410, "deleted", diagnostics)


def method_not_allowed(diagnostics: str, allow: str) -> FhirError:
    """405 with Allow."""
    return _error(405, "not-supported", diagnostics, Allow=allow)


def not_acceptable(diagnostics: str) -> FhirError:
    """406."""
    return _error(406, "not-supported", diagnostics)


def unsupported_media_type(diagnostics: str, **headers: str) -> FhirError:
    """415."""
    return _error(415, "not-supported", diagnostics, **headers)


def conflict(diagnostics: str, *expression: str) -> FhirError:
    """409: the state of the server refuses the change."""
    return _error(409, "conflict", diagnostics, *expression)


class Duplicate(FhirError):
    """409: another resource has an identifier that must be unique."""


def duplicate(diagnostics: str, *expression: str) -> Duplicate:
    """409: what must be unique is there already."""
    return Duplicate(409, (Issue("error", "duplicate", diagnostics, expression),))


def precondition_failed(diagnostics: str, code: str = "conflict") -> FhirError:
    """412: If-Match is stale, or criteria match several resources."""
    return _error(412, code, diagnostics)


def too_large(diagnostics: str) -> FhirError:
    """413."""
    return _error(413, "too-long", diagnostics)


def too_costly(diagnostics: str) -> FhirError:
    """403: a search or a Bundle beyond what the server does for one request."""
    return _error(403, "too-costly", diagnostics)


def unprocessable(*issues: Issue) -> FhirError:
    """422: FHIR, but against a rule, a profile or a business rule."""
    return FhirError(422, issues)


class Contended(FhirError):
    """503 that comes from others who were changing the same resources for as long as this one could wait."""


def contended(retry_after: int = 1) -> Contended:
    """503 with Retry-After, in seconds."""
    told = "Others are changing the same resources; try again"
    issue = Issue("error", "transient", told)
    return Contended(503, (issue,), {"Retry-After": str(retry_after)})


def unavailable(diagnostics: str, retry_after: int = 1) -> FhirError:
    """503 with Retry-After, in seconds."""
    return _error(503, "transient", diagnostics, Retry_After=str(retry_after))


def no_space() -> FhirError:
    """507: the disk is full."""
    return _error(507, "no-store", "The disk of the database is full; nothing was stored")


def damaged() -> FhirError:
    """500: what is stored cannot be read any more."""
    return _error(500, "incomplete", "The database is damaged; restore it from a backup")
