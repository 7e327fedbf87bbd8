"""Codes and displays that code systems at hand do not have (https://hl7.org/fhir/R4/datatypes.html#Coding)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, Literal

from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import shown
from fhir_server.validation.profiles.codes import is_member
from fhir_server.validation.profiles.run import Run
from fhir_server.validation.rules import Element
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]


_CODED: Final = frozenset({"CodeableConcept", "Coding"})


def coded_in(resource: Json, path: str) -> Iterator[tuple[Json, str, Element, str]]:
    """Every CodeableConcept and Coding of a resource with its type, its element and its path.

    Those of contained and bundled resources are left out.
    """
    yield from _below(resource, resource["resourceType"], path)


def _below(value: Json, key: str, path: str) -> Iterator[tuple[Json, str, Element, str]]:
    properties = rules_of(key).properties
    for name, item in value.items():
        step = properties.get(name)
        if step is None or not isinstance(item, (dict, list)) or step[1].type == "Resource":
            continue
        element, kind = step
        if kind.primitive:
            continue
        place = f"{path}.{element.name}"
        if len(element.kinds) > 1:
            place += f".ofType({kind.type})"
        many = isinstance(item, list)
        for index, one in enumerate(item if many else (item,)):
            if isinstance(one, dict):
                where = f"{place}[{index}]" if many else place
                if kind.type in _CODED:
                    yield one, kind.type, element, where
                yield from _below(one, kind.type, where)


def coding_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """What is wrong with the codes of a resource: errors when the run is strict, else warnings.

    A value set that binds the element may call its codes otherwise than the code system does.
    https://hl7.org/fhir/R4/valueset-definitions.html#ValueSet.compose.include.concept.display
    """
    severity: Literal["error", "warning"] = "error" if run.strict else "warning"
    for coding, kind, _, place in coded_in(resource, path):
        if kind != "Coding":
            continue
        system, code = coding.get("system"), coding.get("code")
        if not isinstance(system, str) or not isinstance(code, str):
            continue
        supplemented = run.library.supplemented(system)
        if supplemented is not None:
            told = f"{place}.system is a supplement of {supplemented}; use the code system itself"
            yield Issue(severity, "not-found", told, (f"{place}.system",))
            continue
        terminology = run.library.terminology
        if terminology.defines(system, code) is False:
            told = f"{place}.code is {shown(code)}, which {system} does not have"
            yield Issue(severity, "code-invalid", told, (f"{place}.code",))
            continue
        display = coding.get("display")
        known = terminology.displays(system, code)
        if (
            isinstance(display, str)
            and known
            and _plain(display) not in map(_plain, known)
            and not any(
                terminology.calls(value_set, system, code, display)
                for value_set in run.bound.get(id(coding), ())
            )
        ):
            told = f"{place}.display is {shown(display)}; {shown(code)} is {shown(known[0])}"
            yield Issue(severity, "invalid", told, (f"{place}.display",))


def extensible_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """Codes outside the value sets that R4 would extend only where none is suitable: warnings."""
    for value, kind, element, place in coded_in(resource, path):
        binding = element.binding
        if binding is None or binding.strength != "extensible":
            continue
        coded = "code" in value if kind == "Coding" else bool(value.get("coding"))
        if coded and is_member(value, kind, binding.value_set, run.library.terminology) is False:
            told = f"{place} has no code of {binding.value_set}; use one unless none is suitable"
            yield Issue("warning", "code-invalid", told, (place,))


def _plain(display: str) -> str:
    return " ".join(display.split()).casefold()
