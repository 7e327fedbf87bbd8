"""Where references and canonical urls lead, as far as that can be told without looking for it elsewhere.

https://hl7.org/fhir/R4/references.html#literal, https://hl7.org/fhir/R4/references.html#canonical
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Final, Literal

from fhir_server.spec.definitions import STRUCTURE, element_definitions
from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.rules import Element
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]

# What a canonical url may turn out to be, when it is not what its element is for.
_KINDS: Final = (
    "CodeSystem", "ConceptMap", "Measure", "Questionnaire", "SearchParameter", "StructureDefinition", "ValueSet",
)  # fmt: skip


def address_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """References and canonical urls that cannot be followed: errors when the run is strict, else warnings.

    In a closed run, a relative reference inside a Bundle or Parameters leads to something in it.
    """
    severity: Literal["error", "warning"] = "error" if run.strict else "warning"
    for text, element, place in _addresses(resource, resource["resourceType"], path):
        if element is None:
            code, told = "invalid", _reference_fault(text)
            if told is None and run.closed and _leads_nowhere(text, run):
                code, told = "structure", "is not here"
        else:
            code, told = "invalid", _canonical_fault(text, element, run)
        if told is not None:
            yield Issue(severity, code, f"{place}: {shown(text)} {told}", (place,))


def _addresses(value: Json, key: str, path: str) -> Iterator[tuple[str, Element | None, str]]:
    """Every canonical with its element, and every literal reference with None, and their places."""
    for name, item in value.items():
        step = rules_of(key).properties.get(name)
        if step is None or step[1].type == "Resource":
            continue
        element, kind = step
        if kind.primitive and kind.type != "canonical":
            continue
        place = f"{path}.{element.name}"
        if len(element.kinds) > 1:
            place += f".ofType({kind.type})"
        many = isinstance(item, list)
        for index, one in enumerate(item if many else (item,)):
            where = f"{place}[{index}]" if many else place
            if kind.primitive:
                if isinstance(one, str):
                    yield one, element, where
            elif isinstance(one, dict):
                if kind.type == "Reference" and isinstance(one.get("reference"), str):
                    yield one["reference"], None, where
                yield from _addresses(one, kind.type, where)


def _reference_fault(text: str) -> str | None:
    if text.startswith("#") or any(mark in text for mark in "/:?"):
        return None
    return "leads nowhere; write Type/id, or an absolute URL"


def _leads_nowhere(text: str, run: Run) -> bool:
    return (
        run.holder is not None
        and ":" not in text
        and "?" not in text
        and not text.startswith("#")
        and run.find(text) is None
    )


def _canonical_fault(text: str, element: Element, run: Run) -> str | None:
    if text.startswith("#"):
        return None
    if ":" not in text:
        return "is relative; a canonical url is absolute"
    wanted = _targets(element.path)
    if not wanted or any(run.library.resource(kind, text) is not None for kind in wanted):
        return None
    other = next((kind for kind in _KINDS if run.library.resource(kind, text) is not None), None)
    return None if other is None else f"is a {other}; a {' or a '.join(sorted(wanted))} is meant"


@cache
def _targets(path: str) -> frozenset[str]:
    """The types that a canonical may lead to; () for any."""
    element = element_definitions(path.partition(".")[0]).get(path, {})
    named = frozenset(
        url.removeprefix(STRUCTURE)
        for item in element.get("type", ())
        if item["code"] == "canonical"
        for url in item.get("targetProfile", ())
    )
    return frozenset() if "Resource" in named else named
