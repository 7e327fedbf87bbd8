"""References inside a transaction: to other entries, and by criteria (https://hl7.org/fhir/R4/http.html#trules)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from fhir_server.spec.definitions import NodeType, node_type

Json = dict[str, Any]
Resolve = Callable[[str, str], str | None]

_URIS = frozenset({"uri", "url", "oid", "uuid"})
_LINK = re.compile(r"""((?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)


def rewrite(resource: Json, resolve: Resolve) -> Json:
    """The resource with every reference that resolve(text, FHIRPath) answers replaced by the answer.

    Looked at: Reference.reference, elements of type uri, url, oid and uuid (not canonical), and href and src in
    narratives, within contained resources and extensions too. The input stays as it is; unchanged parts are shared.
    """
    name = resource["resourceType"]
    return _object(resource, node_type(name), name, resolve)


def _object(value: Json, kind: NodeType, place: str, resolve: Resolve) -> Json:
    changed: Json = {}
    for name, child in value.items():
        found = kind.properties.get(name.removeprefix("_"))
        if found is None:
            continue
        below = f"{place}.{name}"
        if name.startswith("_"):
            after = _value(child, "Element", below, resolve)
        elif kind.name == "Reference" and name == "reference":
            after = (resolve(child, below) if isinstance(child, str) else None) or child
        else:
            after = _value(child, found.type, below, resolve)
        if after is not child:
            changed[name] = after
    return value | changed if changed else value


def _value(value: Any, type_name: str, place: str, resolve: Resolve) -> Any:
    match value:
        case str() if type_name in _URIS:
            return resolve(value, place) or value
        case str() if type_name == "xhtml":
            return _narrative(value, place, resolve)
        case dict():
            kind = _kind(value, type_name)
            return value if kind is None else _object(value, kind, place, resolve)
        case list():
            after = [
                _value(item, type_name, f"{place}[{number}]", resolve)
                for number, item in enumerate(value)
            ]
            same = all(new is old for new, old in zip(after, value, strict=True))
            return value if same else after
    return value


def _kind(value: Json, type_name: str) -> NodeType | None:
    named = value.get("resourceType", type_name) if type_name == "Resource" else type_name
    try:
        return node_type(named)
    except KeyError:
        return None


def _narrative(text: str, place: str, resolve: Resolve) -> str:
    def link(match: re.Match[str]) -> str:
        target = resolve(match[3], place)
        return match[0] if target is None else f"{match[1]}{match[2]}{target}{match[2]}"

    if "href" not in text and "src" not in text:
        return text
    after = _LINK.sub(link, text)
    return text if after == text else after
