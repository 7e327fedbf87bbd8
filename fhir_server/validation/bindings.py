"""Required bindings: which codes an element may hold (https://hl7.org/fhir/R4/terminologies.html#required).

Value sets of HL7's own codes are enumerated in the definitions; those of the world's registries (media types,
currencies, languages, UCUM units) are checked by their grammar or list.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Final

from fhir_server.spec import definitions
from fhir_server.terminology.algorithmic import ALGORITHMIC
from fhir_server.validation.rules import Binding

_HL7 = "http://hl7.org/fhir/ValueSet/"


@dataclass(frozen=True, slots=True)
class Grammar:
    """A value set defined outside FHIR: system is the code system's url, matches tests a code's form."""

    system: str
    matches: Callable[[str], object]
    must: str


def _grammar(system: str, must: str) -> Grammar:
    return Grammar(system, ALGORITHMIC[system].has, must)


GRAMMARS: Final[Mapping[str, Grammar]] = {
    _HL7 + "mimetypes": _grammar("urn:ietf:bcp:13", "a media type such as application/fhir+json"),
    _HL7 + "currencies": _grammar(
        "urn:iso:std:iso:4217", "a currency code of three capitals such as GBP"
    ),
    _HL7 + "all-languages": _grammar("urn:ietf:bcp:47", "a language tag such as en-GB"),
    _HL7 + "ucum-units": _grammar("http://unitsofmeasure.org", "a UCUM unit such as mg/dL"),
}

# CapabilityStatement.format and the TestScript elements allow the short names that R4 defines for _format.
_SHORT = frozenset({"xml", "json", "ttl", "none"})
_SHORT_ALLOWED = ("CapabilityStatement.format", "TestScript.")


@dataclass(frozen=True, slots=True)
class Codes:
    """What a bound element may hold: codes whatever their system, and (system, code) pairs."""

    value_set: str
    codes: frozenset[str]
    pairs: frozenset[tuple[str, str]]
    grammar: Grammar | None

    def has_code(self, code: object) -> bool:
        """Whether a value of type code is in the value set."""
        if type(code) is not str:
            return False
        return code in self.codes or (self.grammar is not None and bool(self.grammar.matches(code)))

    def has_coding(self, coding: object) -> bool:
        """Whether a Coding is in the value set."""
        if type(coding) is not dict:
            return False
        system, code = coding.get("system"), coding.get("code")
        if type(system) is not str or type(code) is not str:
            return False
        if self.grammar is not None:
            return system == self.grammar.system and bool(self.grammar.matches(code))
        return (system, code) in self.pairs

    def has_concept(self, concept: object) -> bool:
        """Whether any coding of a CodeableConcept is in the value set."""
        codings = concept.get("coding") if type(concept) is dict else None
        return type(codings) is list and any(self.has_coding(item) for item in codings)

    @property
    def must(self) -> str:
        """How a code has to be, to follow "use"."""
        if self.grammar is not None:
            return self.grammar.must
        listed = sorted(self.codes)
        if len(listed) > 20:
            return f"a code of {self.value_set}"
        return f"one of {', '.join(listed)}" if len(listed) > 1 else listed[0]


@cache
def _value_sets() -> Mapping[str, Mapping[str, list[str]]]:
    found: Mapping[str, Mapping[str, list[str]]] = definitions.member("required-codes.json")
    return found


@cache
def _codes(value_set: str, short: bool) -> Codes | None:
    grammar = GRAMMARS.get(value_set)
    if grammar is not None:
        return Codes(value_set, _SHORT if short else frozenset(), frozenset(), grammar)
    systems = _value_sets().get(value_set)
    if systems is None:
        return None
    pairs = frozenset((system, code) for system, codes in systems.items() for code in codes)
    return Codes(value_set, frozenset(code for _, code in pairs), pairs, None)


def enforced(binding: Binding | None, path: str, type_name: str) -> Codes | None:
    """The codes that an element of that type is held to; None when nothing is required or nothing can be checked.

    A maximum value set holds codes whatever the strength; concepts may use codes of other systems beside it.
    """
    if binding is None:
        return None
    if binding.strength == "required":
        short = path.startswith(_SHORT_ALLOWED)
        return _codes(binding.value_set, short)
    if binding.maximum is not None and type_name == "code":
        return _codes(binding.maximum, False)
    return None
