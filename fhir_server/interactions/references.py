"""References inside a transaction: to other entries, and by criteria (https://hl7.org/fhir/R4/http.html#trules)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any, NamedTuple

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Call, PatchDocument
from fhir_server.spec.definitions import node_type

Json = dict[str, Any]

_URIS = frozenset({"uri", "url", "oid", "uuid"})
_LINKING = _URIS | {"xhtml"}
_LINK = re.compile(r"""((?:href|src)\s*=\s*)(["'])(.*?)\2""", re.DOTALL)


# Where something stands: the place around it, and its name or number there. Most links need no place told.
Place = tuple["Place | None", str | int]


class Link(NamedTuple):
    """A text that may refer to a resource, where it stands, and what holds it.

    kind: "Reference" for Reference.reference, the datatype of a uri, url, oid or uuid, "xhtml" for href and src.
    """

    text: str
    within: Place
    kind: str

    @property
    def place(self) -> str:
        """Where it stands, as FHIRPath."""
        parts: list[str] = []
        place: Place | None = self.within
        while place is not None:
            place, name = place
            parts.append(name if isinstance(name, str) else f"[{name}]")
        return ".".join(reversed(parts)).replace(".[", "[")


_IN_PATCH: Place = (None, "Binary.data")
Resolve = Callable[[Link], str | None]


def rewrite_call(call: Call, resolve: Resolve) -> Call:
    """The call with the references of what it carries resolved: a resource, or the content of a patch."""
    match call:
        case calls.Create() | calls.Update() | calls.ConditionalUpdate():
            resource = rewrite(call.resource, resolve)
            return call if resource is call.resource else call._replace(resource=resource)
        case calls.Patch() | calls.ConditionalPatch():
            content = _patch(call.document, resolve)
            if content is call.document.content:
                return call
            return call._replace(document=replace(call.document, content=content))
    return call


def rewrite(resource: Json, resolve: Resolve) -> Json:
    """The resource with every reference that resolve answers replaced by the answer.

    Looked at: Reference.reference, elements of type uri, url, oid and uuid (not canonical), and href and src in
    narratives, within contained resources and extensions too. The input stays as it is; unchanged parts are shared.
    """
    name = resource["resourceType"]
    return _object(resource, _kind(name), (None, name), resolve)


def _patch(document: PatchDocument, resolve: Resolve) -> Any:
    """The content of a patch; one in XML refers to what exists already."""
    match document.language:
        case "fhirpath-patch":
            return rewrite(document.content, resolve)
        case "json-patch" if isinstance(document.content, list):
            after = [_operation(item, resolve) for item in document.content]
            same = all(new is old for new, old in zip(after, document.content, strict=True))
            return document.content if same else after
    return document.content


def _operation(operation: Any, resolve: Resolve) -> Any:
    """One operation of a JSON Patch: no definition says what its value is, so only references are seen."""
    if not isinstance(operation, dict) or "value" not in operation:
        return operation
    value, path = operation["value"], operation.get("path")
    if isinstance(value, str) and isinstance(path, str) and path.endswith("/reference"):
        after: Any = resolve(Link(value, _IN_PATCH, "Reference")) or value
    else:
        after = _undefined(value, resolve)
    return operation if after is value else operation | {"value": after}


def _undefined(value: Any, resolve: Resolve) -> Any:
    if isinstance(value, list):
        listed = [_undefined(item, resolve) for item in value]
        return value if all(n is o for n, o in zip(listed, value, strict=True)) else listed
    if not isinstance(value, dict):
        return value
    changed: Json = {}
    for name, child in value.items():
        if name == "reference" and isinstance(child, str):
            after: Any = resolve(Link(child, _IN_PATCH, "Reference")) or child
        else:
            after = _undefined(child, resolve)
        if after is not child:
            changed[name] = after
    return value | changed if changed else value


def _object(value: Json, kind: _Kind, place: Place, resolve: Resolve) -> Json:
    changed: Json = {}
    for name, child in value.items():
        if child.__class__ is str:
            linking = kind.links.get(name)
            if linking is None:
                continue
            after = _text(child, linking, (place, name), resolve)
        elif child.__class__ is dict or child.__class__ is list:
            held = kind.types.get(name)
            if held is None:
                continue
            after = _value(child, held, (place, name), resolve)
        else:
            continue
        if after is not child:
            changed[name] = after
    return value | changed if changed else value


def _value(value: Any, type_name: str, place: Place, resolve: Resolve) -> Any:
    if value.__class__ is dict:
        if type_name == "Resource":
            return _resource(value, place, resolve)
        return _object(value, _kind(type_name), place, resolve)
    if value.__class__ is list:
        changed: list[Any] | None = None
        for number, item in enumerate(value):
            after = _value(item, type_name, (place, number), resolve)
            if after is not item:
                changed = changed or list(value)
                changed[number] = after
        return changed or value
    if value.__class__ is str and type_name in _LINKING:
        return _text(value, type_name, place, resolve)
    return value


def _text(text: str, kind: str, place: Place, resolve: Resolve) -> str:
    if kind == "xhtml":
        return _narrative(text, place, resolve)
    return resolve(Link(text, place, kind)) or text


class _Kind(NamedTuple):
    """What a node type has for a walk to links.

    types: JSON property -> the type of its values; links: those of texts that may be links -> the kind of link.
    """

    types: Mapping[str, str]
    links: Mapping[str, str]


def _resource(value: Json, place: Place, resolve: Resolve) -> Json:
    """A resource within another one; what R4 does not know stays as it is."""
    name = value.get("resourceType")
    if not isinstance(name, str):
        return value
    try:
        kind = _kind(name)
    except KeyError:
        return value
    return _object(value, kind, place, resolve)


@cache
def _kind(name: str) -> _Kind:
    """Raises KeyError for what R4 does not know."""
    properties = node_type(name).properties
    types = {f"_{held}": "Element" for held in properties}
    types |= {held: found.type for held, found in properties.items()}
    links = {held: kind for held, kind in types.items() if kind in _LINKING}
    if name == "Reference":
        links["reference"] = "Reference"
    return _Kind(types, links)


def _narrative(text: str, place: Place, resolve: Resolve) -> str:
    def link(match: re.Match[str]) -> str:
        target = resolve(Link(match[3], place, "xhtml"))
        return match[0] if target is None else f"{match[1]}{match[2]}{target}{match[2]}"

    if "href" not in text and "src" not in text:
        return text
    after = _LINK.sub(link, text)
    return text if after == text else after
