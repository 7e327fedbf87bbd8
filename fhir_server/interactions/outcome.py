"""Issues as an OperationOutcome, the one place where that happens (https://hl7.org/fhir/R4/operationoutcome.html)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fhir_server.interactions.coded import details
from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import is_shape, refused

Json = dict[str, Any]
# What is no FHIR at all is told by many: the readers of JSON and XML, validation, the grammar of requests.
_SHAPE = {
    "structure": details(400, "INVALID_FHIR_STRUCTURE"),
    "value": details(400, "INVALID_VALUE"),
}


def outcome(issues: Iterable[Issue]) -> Json:
    """An OperationOutcome resource with at least one issue."""
    listed = [_issue(item) for item in issues]
    if not listed:
        listed = [{"severity": "information", "code": "informational", "diagnostics": "All OK"}]
    return {"resourceType": "OperationOutcome", "issue": listed}


def _issue(issue: Issue) -> Json:
    shown: Json = {"severity": issue.severity, "code": issue.code}
    if issue.details is not None:
        shown["details"] = dict(issue.details)
    elif refused(issue) and is_shape(issue):
        shown["details"] = _SHAPE[issue.code]
    if issue.diagnostics:
        shown["diagnostics"] = _printable(issue.diagnostics)
    if issue.expression:
        shown["expression"] = [_printable(item) for item in issue.expression]
    return shown


def _printable(text: str) -> str:
    """What a caller sent may stand in a message, but not with characters that JSON or XML cannot carry."""
    if text.isprintable():
        return text
    return "".join(
        item if item.isprintable() or item in "\n\t" else ascii(item)[1:-1] for item in text
    )
