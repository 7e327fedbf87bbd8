"""A Result or a refusal as status, headers and body (https://hl7.org/fhir/R4/http.html#return)."""

from __future__ import annotations

from functools import lru_cache

from fhir_server.http.formats import JSON, Answer
from fhir_server.http.preferences import Preferences
from fhir_server.interactions.call import Context, Result
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.preconditions import write_etag
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.instants import write_http_date
from fhir_server.spec.json_format import parse, prettify, serialise
from fhir_server.spec.xml_format import serialise_xml

Headers = list[tuple[bytes, bytes]]


def render_result(
    result: Result,
    answer: Answer,
    preferences: Preferences,
    pretty: bool,
    context: Context,
    headers: Headers,
) -> tuple[int, bytes]:
    """The status and body of an answer; its headers are appended."""
    if result.version_id is not None:
        headers.append((b"etag", write_etag(result.version_id).encode()))
    elif result.etag is not None:
        headers.append((b"etag", result.etag.encode()))
    if result.last_updated is not None:
        headers.append((b"last-modified", write_http_date(result.last_updated).encode()))
    if result.location is not None:
        headers.append((b"location", f"{context.base_url}/{result.location}".encode()))
    for name, value in result.headers.items():
        headers.append((name.lower().encode(), value.encode("latin-1", "replace")))
    for issue in result.issues:
        if issue.severity == "warning" and issue.details is not None:
            # The body of an answer with a resource has no place for an outcome.
            code = issue.details["coding"][-1]["code"]
            headers.append(
                (b"warning", f'299 - "{code}: {issue.diagnostics}"'.encode("latin-1", "replace"))
            )
    body, status = result.body, result.status
    if preferences.representation == "OperationOutcome" and status in (200, 201, 204):
        body, status = serialise(outcome(result.issues or (_done(result),))), max(200, status)
        status = 200 if status == 204 else status
    elif preferences.representation == "minimal":
        body = None
    if body is None:
        return status, b""
    if result.media_type is not None:
        answer = Answer("other", result.media_type)
    elif answer.format == "other":
        answer = JSON
    return status, _formatted(body, answer, headers, pretty=pretty)


def _done(result: Result) -> Issue:
    told = {200: "Done", 201: "Created", 204: "Deleted"}[result.status]
    return Issue("information", "informational", told)


def _formatted(body: bytes, answer: Answer, headers: Headers, *, pretty: bool) -> bytes:
    headers += _of_content(answer)
    if answer.format == "other":
        return body
    if answer.format == "xml":
        return serialise_xml(parse(body), pretty=pretty)
    return prettify(body) if pretty else body


@lru_cache(maxsize=64)
def _of_content(answer: Answer) -> tuple[tuple[bytes, bytes], ...]:
    text = answer.format != "other" or answer.media_type.startswith("text/")
    charset = ";charset=utf-8" if text else ""
    return (
        (b"content-type", f"{answer.media_type}{charset}".encode()),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept, Prefer, Origin"),
        (b"x-content-type-options", b"nosniff"),
    )


def render_error(
    refusal: FhirError, answer: Answer, pretty: bool, headers: Headers
) -> tuple[int, bytes]:
    """The status and OperationOutcome of a refusal, whatever the caller prefers."""
    for name, value in refusal.headers.items():
        headers.append((name.lower().encode(), value.encode("latin-1", "replace")))
    body = serialise(outcome(refusal.issues)) if refusal.body is None else refusal.body
    return refusal.status, _formatted(body, answer, headers, pretty=pretty)
