"""Issues and refusals with a stable code: details.coding holds the code of the HTTP error and that of the rule.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fhir_server.spec.errors import FhirError, Issue, Severity

HTTP_CODES = "https://fhir.nhs.uk/Codesystem/http-error-codes"
RULE_CODES = "https://fhir.nhs.uk/CodeSystem/ers-error-codes"
_HTTP = {
    400: "REC_BAD_REQUEST",
    403: "REC_FORBIDDEN",
    404: "REC_NOT_FOUND",
    409: "REC_CONFLICT",
    412: "REC_PRECONDITION_FAILED",
    422: "REC_UNPROCESSABLE_ENTITY",
    429: "REC_TOO_MANY_REQUESTS",
    502: "REC_BAD_GATEWAY",
    504: "REC_GATEWAY_TIMEOUT",
}


def details(status: int, rule: str) -> dict[str, Any]:
    """OperationOutcome.issue.details of a refusal: both codings."""
    http = {"system": HTTP_CODES, "code": _HTTP[status]}
    return {"coding": [http, {"system": RULE_CODES, "code": rule}]}


def issue(
    status: int,
    code: str,
    rule: str,
    diagnostics: str,
    *expression: str,
    severity: Severity = "error",
) -> Issue:
    """An issue with both codings; a warning has only that of the rule."""
    told = details(status, rule)
    if severity != "error":
        del told["coding"][0]
    return Issue(severity, code, diagnostics, expression, told)


def refusal(
    status: int,
    code: str,
    rule: str,
    diagnostics: str,
    *expression: str,
    headers: Mapping[str, str] | None = None,
) -> FhirError:
    """A refusal with that issue only."""
    return FhirError(status, (issue(status, code, rule, diagnostics, *expression),), headers or {})
