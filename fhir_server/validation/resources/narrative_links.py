"""Links inside narratives that lead nowhere (https://hl7.org/fhir/R4/narrative.html#id)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]
_LINK = re.compile(r"""\bhref\s*=\s*["'](#[^"']+|urn:[^"']+)["']""")
_ANCHOR = re.compile(r"""\b(?:id|name)\s*=\s*["']([^"']+)["']""")
_MOST_LINKS = 200


def link_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Links to places that are not there, and to names that no reader can follow: errors when the run is strict."""
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    if not isinstance(div, str) or "href" not in div:
        return
    severity: Literal["error", "warning"] = "error" if run.strict else "warning"
    anchors = set(_ANCHOR.findall(div)) | _ids(resource)
    links = list(dict.fromkeys(match[1] for match in _LINK.finditer(div)))[:_MOST_LINKS]
    for link in links:
        if link[0] != "#" or link[1:] not in anchors:
            place = f"{path}.text.div"
            why = "which is not there" if link[0] == "#" else "which no reader can follow"
            yield Issue(severity, "invalid", f"{place} links to {shown(link)}, {why}", (place,))


def _ids(resource: Json) -> set[str]:
    """The ids of a resource, its elements and its contained resources."""
    found: set[str] = set()
    pending: list[Any] = [resource]
    while pending:
        value = pending.pop()
        if isinstance(value, dict):
            if isinstance(value.get("id"), str):
                found.add(value["id"])
            pending.extend(item for item in value.values() if isinstance(item, (dict, list)))
        else:
            pending.extend(item for item in value if isinstance(item, (dict, list)))
    return found
