"""$expand and $validate-code of ValueSet.

https://hl7.org/fhir/R4/valueset-operation-expand.html
https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.operations.terminology import Question, codes_asked, told
from fhir_server.spec import definitions, errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.instants import write_instant
from fhir_server.spec.operations import operation_definition
from fhir_server.terminology import Unknown
from fhir_server.terminology.expansion import Wanted
from fhir_server.terminology.expansion import expand as expanded
from fhir_server.terminology.sources import split_canonical
from fhir_server.terminology.value_sets import Composition, Versions
from fhir_server.terminology.verdicts import Asked, Manner, Verdict, in_value_set, of_any

Json = dict[str, Any]
_PLACE = "Parameters.parameter"
_NOT_TOLD_AGAIN = frozenset({"valueSet", "url", "context", "contextDirection"})


def expand(question: Question) -> Json:
    """The expansion of a value set."""
    value_set = _value_set(question)
    wanted = _wanted(question)
    try:
        return expanded(
            value_set,
            Composition(question.terminology, wanted.versions),
            wanted,
            identifier=f"urn:uuid:{question.context.new_id()}",
            timestamp=write_instant(question.context.now()),
            parameters=list(_asked(question)),
        )
    except Unknown as fault:
        # The value set is known; something that it is made of is not.
        raise errors.unprocessable(Issue("error", fault.code, str(fault))) from None


def _value_set(question: Question) -> Json:
    found = question.definition("valueSet", "url", "valueSetVersion")
    context = question.first("context")
    if found is not None:
        return found
    if context is None:
        raise errors.required("Send url, valueSet or context, or ask a ValueSet by its id", _PLACE)
    bound = bound_value_set(question, context)
    if bound is None:
        raise errors.not_found(f"No binding of a value set is known for '{context[:300]}'")
    return question.terminology.value_set(bound)


def bound_value_set(question: Question, context: str) -> str | None:
    """The value set of an element that is told as url#path, or as the path of a type of R4."""
    url, _, path = context.rpartition("#")
    if not url:
        url, path = definitions.STRUCTURE + path.partition(".")[0], path
    head = definitions.structures().get(url)
    structure = (
        {"snapshot": {"element": definitions.structure_by_id(head["id"])["snapshot"]}}
        if head
        else question.terminology.find("StructureDefinition", url)
    )
    for view in ("snapshot", "differential"):
        for element in (structure or {}).get(view, {}).get("element", ()):
            if path in (element.get("id"), element.get("path")) and "binding" in element:
                found: str | None = element["binding"].get("valueSet")
                return found
    return None


def _wanted(question: Question) -> Wanted:
    offset, count = question.first("offset"), question.first("count")
    for name, number in (("offset", offset), ("count", count)):
        if number is not None and number < 0:
            raise errors.invalid(f"{name} is {number}; it must not be negative", _PLACE)
    text = question.first("filter")
    return Wanted(
        text=text if text and text.strip() else None,
        offset=offset or 0,
        count=count,
        language=question.first("displayLanguage"),
        designations=question.first("includeDesignations") is True,
        designation_filter=question.all("designation"),
        definition=question.first("includeDefinition") is True,
        active_only=question.first("activeOnly") is True,
        selectable_only=question.first("excludeNotForUI") is True,
        nested=question.first("excludeNested") is False and count is None and not offset,
        exclude_systems=frozenset(
            split_canonical(item)[0] for item in question.all("exclude-system")
        ),
        versions=Versions(
            _versions(question, "system-version"),
            _versions(question, "check-system-version"),
            _versions(question, "force-system-version"),
        ),
    )


def _versions(question: Question, name: str) -> dict[str, str]:
    found = {}
    for canonical in question.all(name):
        url, version = split_canonical(canonical)
        if version is None:
            raise errors.invalid(f"{name} is the url and the version of a code system: u|v", _PLACE)
        found[url] = version
    return found


def _asked(question: Question) -> Iterator[Json]:
    """The inputs as expansion.parameter tells them."""
    for item in operation_definition("ValueSet-expand").inputs:
        if item.name in _NOT_TOLD_AGAIN:
            continue
        kind = {"canonical": "Uri", "dateTime": "DateTime"}.get(item.type, item.type.capitalize())
        for value in question.all(item.name):
            yield {"name": item.name, f"value{kind}": value}


def validate_code(question: Question) -> Json:
    """Whether a code is in a value set."""
    system, context = question.first("system"), question.first("context")
    asked = codes_asked(question, system, question.first("systemVersion"))
    value_set = _value_set(question)
    if question.first("code") is not None and system is None and context is None:
        raise errors.required("A code needs its system, or the context that tells it", _PLACE)
    manner = Manner(question.first("abstract") is True, question.first("displayLanguage"))

    def verdict(code: Asked) -> Verdict:
        try:
            return in_value_set(question.terminology, value_set, code, manner, Versions())
        except Unknown as fault:
            return Verdict(False, f"It cannot be told: {fault}")

    return told(of_any(asked, verdict) if len(asked) != 1 else verdict(asked[0]))
