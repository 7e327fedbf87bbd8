"""A part of a resource: _summary and _elements (https://hl7.org/fhir/R4/search.html#summary)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import cache, lru_cache
from typing import Any, Literal

from fhir_server.spec.definitions import Property, node_type

Json = dict[str, Any]

SUBSETTED: Mapping[str, str] = {
    "system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue",
    "code": "SUBSETTED",
}
_ALWAYS = frozenset(("resourceType", "id", "meta"))


def summarise(resource: Json, mode: Literal["true", "text", "data"]) -> Json:
    """The resource for a mode of _summary, tagged SUBSETTED; the input stays as it is, its values are shared.

    true: the elements that the definition marks as summary, in backbone elements too; text: the narrative, id, meta
    and the mandatory elements at the top; data: all but the narrative. true also keeps mandatory elements, without
    which the resource would not be valid, and modifier elements, without which it could not be understood.
    """
    if mode == "data":
        return _tagged({name: item for name, item in resource.items() if name != "text"})
    if mode == "text":
        kept = _narrative_names(resource["resourceType"])
        return _tagged({name: item for name, item in resource.items() if name in kept})
    return _tagged(_summary(resource, resource["resourceType"]))


def select_elements(resource: Json, names: Collection[str]) -> Json:
    """The elements at the top with those names, tagged SUBSETTED; the input stays as it is, its values are shared.

    A choice is named by its stem (value) or in full (valueQuantity); "Patient.name" counts for a Patient only; of a
    deeper path the whole first element is kept. id, meta, mandatory and modifier elements are always kept, since
    without them the part would not be valid or would mislead. Unknown names select nothing.
    """
    kept = _selected_names(resource["resourceType"], frozenset(names))
    return _tagged({name: item for name, item in resource.items() if name in kept})


def is_subsetted(resource: Json) -> bool:
    """Whether the resource carries the tag SUBSETTED: it is a part, and must not be stored as the whole."""
    meta = resource.get("meta")
    tags = meta.get("tag") if isinstance(meta, dict) else None
    return isinstance(tags, list) and any(
        isinstance(tag, dict)
        and tag.get("code") == SUBSETTED["code"]
        and tag.get("system") == SUBSETTED["system"]
        for tag in tags
    )


def _tagged(part: Json) -> Json:
    if is_subsetted(part):
        return part
    meta = part.get("meta", {})
    meta = {**meta, "tag": [*meta.get("tag", ()), dict(SUBSETTED)]}
    tagged: Json = {name: part[name] for name in ("resourceType", "id") if name in part}
    tagged["meta"] = meta
    return tagged | {name: item for name, item in part.items() if name not in tagged}


def _needed(item: Property) -> bool:
    return item.minimum > 0 or item.modifier


def _named(items: Collection[Property]) -> frozenset[str]:
    """The JSON properties of those elements, siblings of primitives included."""
    siblings = ("_" + item.name for item in items if item.primitive)
    return frozenset(item.name for item in items) | frozenset(siblings)


@cache
def _narrative_names(resource_type: str) -> frozenset[str]:
    properties = node_type(resource_type).properties.values()
    return _ALWAYS | _named(
        [item for item in properties if item.minimum > 0 or item.name == "text"]
    )


@lru_cache(maxsize=512)
def _selected_names(resource_type: str, names: frozenset[str]) -> frozenset[str]:
    prefix = resource_type + "."
    wanted = {name.removeprefix(prefix).partition(".")[0] for name in names}
    properties = node_type(resource_type).properties.values()
    return _ALWAYS | _named(
        [
            item
            for item in properties
            if _needed(item) or not wanted.isdisjoint((item.element, item.name))
        ]
    )


@cache
def _summary_types(name: str) -> Mapping[str, str | None]:
    """What of a resource or backbone element is in its summary: JSON property -> the path of the backbone element
    that is to be summarised in turn, None for a value that is kept whole, as one is that is only mandatory.
    """
    found: dict[str, str | None] = {"resourceType": None}
    for item in node_type(name).properties.values():
        if item.summary or _needed(item) or item.xml_attribute:
            # A backbone element's type is its path: only these have a dot.
            found[item.name] = item.type if item.summary and "." in item.type else None
            if item.primitive:
                found["_" + item.name] = None
    return found


def _summary(value: Json, name: str) -> Json:
    types = _summary_types(name)
    found: Json = {}
    for key, item in value.items():
        inner = types.get(key, "")
        if inner is None:
            found[key] = item
        elif inner and (part := _parts(item, inner)):
            found[key] = part
    return found


def _parts(item: Any, name: str) -> Any:
    """The summaries of a backbone element's values; those of which nothing is left are gone."""
    if isinstance(item, list):
        return [part for each in item if (part := _summary(each, name))]
    return _summary(item, name)
