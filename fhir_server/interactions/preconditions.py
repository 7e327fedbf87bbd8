"""Entity tags and the preconditions that stand on them (https://hl7.org/fhir/R4/http.html#concurrency)."""

from __future__ import annotations

import re

from fhir_server.interactions.call import Conditions, Context
from fhir_server.interactions.coded import refusal
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.spec.instants import SECOND, read_http_date
from fhir_server.store.contract import StoredVersion

_TAG = re.compile(r'(?:W/)?"([^"]*)"|(\d+)')


def write_etag(version_id: int) -> str:
    """The weak tag of a version: W/"3"."""
    return f'W/"{version_id}"'


def read_etags(header: str, name: str) -> tuple[str, ...]:
    """The version ids that an If-Match or If-None-Match lists, or ("*",).

    Raises FhirError 400 when the header is not a list of entity tags.
    """
    if header.strip() == "*":
        return ("*",)
    found = []
    for item in header.split(","):
        match = _TAG.fullmatch(item.strip())
        if match is None:
            raise errors.invalid(
                f'{name} is {header[:64]!r}; write it as W/"3", the ETag that you read'
            )
        found.append(match[1] if match[1] is not None else match[2])
    return tuple(found)


def check_if_match(conditions: Conditions, current: StoredVersion | None, context: Context) -> None:
    """Refuse a change whose If-Match does not name the current version (412), or that needs one (400)."""
    if conditions.if_match is None:
        if context.policy.require_if_match and current is not None and not current.deleted:
            told = "This server asks for If-Match with every change; send the ETag you read"
            raise refusal(400, "required", "MISSING_VALUE", told)
        return
    wanted = read_etags(conditions.if_match, "If-Match")
    if current is None or current.deleted:
        raise version_mismatch("If-Match was sent, but no such resource exists (any more)")
    if wanted != ("*",) and str(current.version_id) not in wanted:
        raise version_mismatch(
            f"If-Match names version {', '.join(wanted)}, but the current version is {current.version_id};"
            " read it again and repeat your change on it"
        )


def version_mismatch(diagnostics: str) -> FhirError:
    """412 conflict: If-Match names another version than the current one."""
    return refusal(412, "conflict", "VERSION_MISMATCH", diagnostics)


def check_if_none_match(conditions: Conditions, current: StoredVersion | None) -> None:
    """If-None-Match: * on an update refuses to touch what exists (412): an extension taken from R5."""
    if conditions.if_none_match is None:
        return
    tags = read_etags(conditions.if_none_match, "If-None-Match")
    if current is None or current.deleted:
        return
    if tags == ("*",) or str(current.version_id) in tags:
        raise errors.precondition_failed("If-None-Match was sent, and the resource exists already")


def not_modified(conditions: Conditions, version: StoredVersion) -> bool:
    """Whether a conditional read is answered by 304; If-None-Match wins over If-Modified-Since (RFC 7232 6)."""
    if conditions.if_none_match is not None:
        tags = read_etags(conditions.if_none_match, "If-None-Match")
        return tags == ("*",) or str(version.version_id) in tags
    if conditions.if_modified_since is not None:
        since = read_http_date(conditions.if_modified_since)
        return since is not None and version.last_updated // SECOND <= since
    return False
