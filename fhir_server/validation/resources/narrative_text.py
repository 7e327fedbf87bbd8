"""What narratives should not say: links that lead nowhere, and entities that only HTML knows.

https://hl7.org/fhir/R4/narrative.html#id, https://hl7.org/fhir/R4/narrative.html#xhtml
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Literal

from fhir_server.spec.errors import Issue
from fhir_server.spec.xml_div import without_named_entities
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]
_LINK = re.compile(r"""\bhref\s*=\s*["'](#[^"']+|urn:[^"']+)["']""")
_ANCHOR = re.compile(r"""\b(?:id|name)\s*=\s*["']([^"']+)["']""")
_MOST_LINKS = 200


def narrative_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Named entities, links to places that are not there and to names that no reader can follow.

    Errors when the run is strict. In XML, where they would be, such entities are written as characters.
    """
    text = resource.get("text")
    div = text.get("div") if isinstance(text, dict) else None
    if not isinstance(div, str):
        return
    severity: Literal["error", "warning"] = "error" if run.strict else "warning"
    if "&" in div and without_named_entities(div) != div:
        place = f"{path}.text.div"
        told = f"{place} has entities of HTML, which XML does not know; write characters, or &#160; for &nbsp;"
        yield Issue(severity, "invalid", told, (place,))
    if "href" in div:
        yield from _link_issues(resource, div, path, severity)


def _link_issues(
    resource: Json, div: str, path: str, severity: Literal["error", "warning"]
) -> Iterator[Issue]:
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
