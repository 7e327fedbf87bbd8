"""Whether a code, Coding or CodeableConcept is in a value set or code system, and why not.

https://hl7.org/fhir/R4/valueset-operation-validate-code.html
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fhir_server.terminology.code_systems import Concept, System
from fhir_server.terminology.faults import TerminologyFault, Unavailable
from fhir_server.terminology.service import Terminology
from fhir_server.terminology.value_sets import Composition, Versions

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Asked:
    """A code as it is told; system None: not told."""

    system: str | None
    code: str
    version: str | None = None
    display: str | None = None

    @property
    def shown(self) -> str:
        """For a sentence."""
        return (f"{self.system}#{self.code}" if self.system else self.code)[:300]


@dataclass(frozen=True, slots=True)
class Verdict:
    """result, a message when there is something to say, and the display that the terminology has."""

    result: bool
    message: str | None = None
    display: str | None = None


@dataclass(frozen=True, slots=True)
class Manner:
    """abstract: whether codes that only group others will do; language: of the display that is told."""

    abstract: bool = False
    language: str | None = None


def asked_of(coding: Json) -> Asked:
    """The code that a Coding tells."""
    return Asked(
        coding.get("system"), coding.get("code", ""), coding.get("version"), coding.get("display")
    )


def of_any(codes: Sequence[Asked], verdict: Callable[[Asked], Verdict]) -> Verdict:
    """A CodeableConcept's verdict: good when that of one of its codings is. Raises a TerminologyFault if in doubt."""
    told: list[str] = []
    doubt: TerminologyFault | None = None
    for asked in codes:
        try:
            found = verdict(asked)
        except TerminologyFault as fault:
            doubt = doubt or fault
            told.append(str(fault))
            continue
        if found.result:
            return found
        if found.message:
            told.append(found.message)
    if isinstance(doubt, Unavailable):
        raise doubt
    return Verdict(False, "; ".join(told) or "The concept has no coding")


def in_value_set(
    terminology: Terminology, value_set: Json, asked: Asked, manner: Manner, versions: Versions
) -> Verdict:
    """Whether a ValueSet resource has the code."""
    if asked.system and asked.version:
        versions = Versions(
            {asked.system: asked.version, **versions.default}, versions.check, versions.force
        )
    composition = Composition(terminology, versions)
    member = composition.member(value_set, asked.system, asked.code)
    name = value_set.get("url") or "the value set"
    if member is None:
        return Verdict(False, _why_not(terminology, asked, name))
    if asked.version and member.version and asked.version != member.version:
        return Verdict(
            False,
            f"{name} has '{asked.shown}' of version {member.version}, not {asked.version[:64]}",
        )
    return _judged(member.concept, asked, manner)


def _why_not(terminology: Terminology, asked: Asked, name: str) -> str:
    if asked.system is not None:
        known = terminology.defines(asked.system, asked.code)
        if known is False:
            return f"{asked.system[:300]} has no code '{asked.code[:100]}'"
    return f"'{asked.shown}' is not in {name}"


def in_code_system(system: System, asked: Asked, manner: Manner) -> Verdict:
    """Whether a code system has the code; one that is here in part cannot tell that it has not."""
    concept = system.find(asked.code)
    if concept is None and not system.complete:
        told = f"Only a part of {system.url} is here, and '{asked.code[:100]}' is not in it; it may exist"
        return Verdict(True, told)
    if concept is None:
        return Verdict(False, f"{system.url} has no code '{asked.code[:100]}'")
    return _judged(concept, asked, manner)


def _judged(concept: Concept, asked: Asked, manner: Manner) -> Verdict:
    display = concept.display_in(manner.language)
    if concept.abstract and not manner.abstract:
        return Verdict(
            False, f"'{asked.shown}' is abstract: it groups other codes; use one of those", display
        )
    if asked.display is not None and not concept.is_called(asked.display):
        return Verdict(
            False,
            f"'{asked.display[:200]}' is not how '{asked.shown}' is called; write '{display}'",
            display,
        )
    message = f"'{asked.shown}' is inactive" if concept.inactive else None
    return Verdict(True, message, display)
