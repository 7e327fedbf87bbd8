"""$translate of ConceptMap (https://hl7.org/fhir/R4/conceptmap-operation-translate.html)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from fhir_server.operations.closures import is_closure
from fhir_server.operations.terminology import Question, codes_asked, of, parameters
from fhir_server.spec import errors
from fhir_server.spec.operations import operation_definition
from fhir_server.terminology import RemoteServer
from fhir_server.terminology.sources import published_concept_maps
from fhir_server.terminology.translation import Match, applies
from fhir_server.terminology.translation import Question as Translation
from fhir_server.terminology.translation import translate as translated
from fhir_server.terminology.verdicts import Asked

Json = dict[str, Any]
_PLACE = "Parameters.parameter"


def translate(question: Question) -> Json:
    """The translations of a code by a concept map, or by all that are here and lead from source to target."""
    reverse = question.first("reverse") is True
    asked = codes_asked(question, question.first("system"), question.first("version"))
    if question.first("code") is not None and question.first("system") is None:
        raise errors.required("A code needs its system", _PLACE)
    there = _elsewhere(question, asked)
    if there is not None:
        return there.ask("ConceptMap/$translate", _again(question))
    maps = list(_maps(question, reverse))
    matches: list[Match] = []
    given = frozenset(_given(question.all("dependency")))
    for code in asked:
        wanted = Translation(code, question.first("targetsystem"), reverse, given)
        for concept_map in maps:
            for match in translated(concept_map, wanted, _find(question)):
                if match not in matches:
                    matches.append(match)
    result = any(match.is_match for match in matches)
    message = None
    if not maps:
        message = "No concept map leads from that source to that target"
    elif not result:
        message = "There is no translation"
    return parameters(
        of("result", "Boolean", result),
        of("message", "String", message),
        *(_shown(match) for match in matches),
    )


def _given(dependencies: Iterable[list[Json]]) -> Iterator[tuple[str, str | None, str]]:
    """What the inputs called dependency say of other elements: (element, system or None, value)."""
    for parts in dependencies:
        named = {item.get("name"): item for item in parts}
        element = named.get("element", {}).get("valueUri")
        concept = named.get("concept", {}).get("valueCodeableConcept")
        if element is None or concept is None:
            raise errors.required(
                "A dependency has the parts element (a uri) and concept (a CodeableConcept)", _PLACE
            )
        for coding in concept.get("coding", ()):
            if "code" in coding:
                yield element, coding.get("system"), coding["code"]
        if "text" in concept:
            yield element, None, concept["text"]


def _elsewhere(question: Question, asked: list[Asked]) -> RemoteServer | None:
    """The server that has the map which is named by its url, or the code system when no map is named."""
    url = question.first("url")
    if url is not None:
        known = question.terminology.find("ConceptMap", url) is not None
        return None if known else question.terminology.remote(url)
    if question.first("conceptMap") is not None or question.call.logical_id is not None:
        return None
    servers = (question.terminology.remote(code.system) for code in asked if code.system)
    return next((server for server in servers if server is not None), None)


def _again(question: Question) -> list[Json]:
    """The inputs as they were sent."""
    return [
        {"name": item.name, "part": value}
        if item.has_parts
        else {"name": item.name, f"value{item.type[0].upper()}{item.type[1:]}": value}
        for item in operation_definition("ConceptMap-translate").inputs
        for value in question.all(item.name)
    ]


def _find(question: Question) -> Any:
    return lambda canonical: question.terminology.find("ConceptMap", canonical)


def _maps(question: Question, reverse: bool) -> Iterator[Json]:
    found = question.definition("conceptMap", "url", "conceptMapVersion")
    if found is not None:
        yield found
        return
    if question.first("url") is not None:
        raise errors.not_found(f"The concept map {question.first('url')[:300]} is not known here")
    source, target = question.first("source"), question.first("target")
    seen = set()
    for item in (*question.stored.concept_maps(), *published_concept_maps()):
        if is_closure(item):
            continue
        if item.get("url") not in seen and applies(item, source, target, reverse=reverse):
            seen.add(item.get("url"))
            yield item


def _shown(match: Match) -> Json:
    parts = [
        of("equivalence", "Code", match.equivalence),
        of("concept", "Coding", match.coding),
        *(_product(item) for item in match.products),
        of("source", "Uri", match.source),
    ]
    return {"name": "match", "part": [part for part in parts if part]}


def _product(item: Json) -> Json:
    named = {
        "system": item.get("system"),
        "code": item.get("value"),
        "display": item.get("display"),
    }
    coding = {name: value for name, value in named.items() if value}
    parts = [of("element", "Uri", item.get("property")), of("concept", "Coding", coding)]
    return {"name": "product", "part": [part for part in parts if part]}
