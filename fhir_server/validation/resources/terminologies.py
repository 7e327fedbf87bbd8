"""ValueSets, CodeSystems and ConceptMaps: the systems, properties and codes that they name are those that are there.

https://hl7.org/fhir/R4/valueset.html#compositions, https://hl7.org/fhir/R4/codesystem.html#properties
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, Final

from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import fault, shown
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]

# Properties that are defined for all code systems, and their types: those of R4, and those that HL7 defined since
# under the same url. https://hl7.org/fhir/R4/codesystem.html#defined-props
_PROPERTIES: Final = "http://hl7.org/fhir/concept-properties#"
_TYPES: Final[Mapping[str, str]] = {
    "inactive": "boolean", "deprecated": "dateTime", "deprecationDate": "dateTime", "notSelectable": "boolean",
    "parent": "code", "child": "code", "status": "code", "synonym": "code", "comment": "string",
    "itemWeight": "decimal", "order": "integer", "partOf": "code", "subsumedBy": "code",
}  # fmt: skip
_DEFINED: Final = frozenset({"concept", "code", "display", *_TYPES})


def _places(holder: Json, name: str, path: str) -> Iterator[tuple[Json, str]]:
    found = holder.get(name)
    for index, item in enumerate(found if isinstance(found, list) else ()):
        if isinstance(item, dict):
            yield item, f"{path}.{name}[{index}]"


def _url_issues(resource: Json, path: str) -> Iterator[Issue]:
    url = resource.get("url")
    if isinstance(url, str) and ":" not in url:
        yield fault(
            "invalid", f"{path}.url is {shown(url)}; a canonical url is absolute", f"{path}.url"
        )


def value_set_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Systems that are no code system's url, and filters on properties and values that are not there."""
    yield from _url_issues(resource, path)
    compose = resource.get("compose")
    if not isinstance(compose, dict):
        return
    for name in ("include", "exclude"):
        for part, place in _places(compose, name, f"{path}.compose"):
            yield from _part_issues(part, place, run)


def _part_issues(part: Json, place: str, run: Run) -> Iterator[Issue]:
    system = part.get("system")
    if not isinstance(system, str):
        return
    if ":" not in system:
        yield fault(
            "invalid", f"{place} has the system {shown(system)}; name it by its absolute url", place
        )
        return
    source = run.library.resource("CodeSystem", system)
    if source is None or source.get("content") != "complete":
        return  # what the definition at hand leaves out is not known
    known = {item.get("code"): item for item in source.get("property", ())}
    filters = {item.get("code") for item in source.get("filter", ())}
    for rule, where in _places(part, "filter", place):
        name, value = rule.get("property"), rule.get("value")
        if name not in known and name not in filters and name not in _DEFINED:
            yield fault(
                "invalid",
                f"{where} filters by {shown(name)}, which {system} does not define",
                where,
            )
        elif known.get(name, {}).get("type") == "Coding" and rule.get("op") == "=":
            target, _, code = str(value).rpartition("#")
            if run.library.terminology.defines(target, code) is False:
                yield fault("invalid", f"{where} asks for {shown(value)}, which is no code", where)


def code_system_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Properties that are not defined, of another type than defined, or whose codes are none."""
    yield from _url_issues(resource, path)
    known = {item.get("code"): item.get("type") for item in resource.get("property", ())}
    for item, where in _places(resource, "property", path):
        uri, kind = str(item.get("uri")), item.get("type")
        wanted = _TYPES.get(uri.removeprefix(_PROPERTIES)) if uri.startswith(_PROPERTIES) else None
        if wanted is not None and kind != wanted:
            yield fault(
                "business-rule",
                f"{where} is {shown(uri)} of the type {shown(kind)}; that property is a {wanted}",
                where,
            )
    total = 0
    pending = deque(_places(resource, "concept", path))
    while pending:
        concept, place = pending.popleft()
        total += 1
        pending.extend(_places(concept, "concept", place))
        for item, where in _places(concept, "property", place):
            yield from _property_issues(item, where, known, run)
    count = resource.get("count")
    if resource.get("content") == "complete" and count is not None and count != total:
        place = f"{path}.count"
        yield fault("invalid", f"{place} is {count}, but there are {total} concepts", place)


def _property_issues(item: Json, where: str, known: Json, run: Run) -> Iterator[Issue]:
    name = item.get("code")
    kind = next((key[5:] for key in item if key.startswith("value")), "")
    if name in known:
        wanted = str(known[name])
        if kind.lower() != wanted.lower():
            yield fault(
                "invalid",
                f"{where} has a value of the type {kind}; the property is a {wanted}",
                where,
            )
    coding = item.get("valueCoding")
    if isinstance(coding, dict) and run.library.terminology.defines(
        str(coding.get("system")), str(coding.get("code"))
    ) is False:  # fmt: skip
        place = f"{where}.value.ofType(Coding).code"
        yield fault("code-invalid", f"{place} is no code of {coding.get('system')}", place)


def concept_map_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Codes that are not in the value sets that the map is about."""
    yield from _url_issues(resource, path)
    terminology = run.library.terminology
    source = resource.get("sourceCanonical") or resource.get("sourceUri")
    target = resource.get("targetCanonical") or resource.get("targetUri")
    for group, place in _places(resource, "group", path):
        for element, where in _places(group, "element", place):
            codes = [(source, group.get("source"), element.get("code"), f"{where}.code")]
            codes += [
                (target, group.get("target"), item.get("code"), f"{at}.code")
                for item, at in _places(element, "target", where)
            ]
            for value_set, system, code, at in codes:
                if not (
                    isinstance(value_set, str) and isinstance(system, str) and isinstance(code, str)
                ):
                    continue
                if terminology.contains(value_set, system, code) is False:
                    yield fault("required", f"{at} is no code of {value_set}", at)
