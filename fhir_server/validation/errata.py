"""Published invariants of R4 4.0.1 that cannot mean what they say, and what this validator reads instead.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
An invariant whose result is empty counts as broken, so those that are empty for absent elements need repair too.
Invariants that are code are repaired in it: see fhir_server.validation.native and docs/validation.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final

from fhir_server.validation.rules import Invariant


@dataclass(frozen=True, slots=True)
class Erratum:
    """What stands for the published expression, and why."""

    expression: str
    reason: str


_NAME = Erratum(
    "name.exists() implies name.matches('^[A-Z]([A-Za-z0-9_]){0,254}$')",
    "matches() of an absent name is empty, and matches() finds a part of the text unless it is anchored",
)

ERRATA: Final[Mapping[str, Erratum]] = {
    "app-4": Erratum(
        "cancelationReason.exists() implies (status = 'noshow' or status = 'cancelled')",
        "it compares with 'no-show', but the code of AppointmentStatus is 'noshow'",
    ),
    "bdl-8": Erratum(
        "fullUrl.exists() implies fullUrl.contains('/_history/').not()",
        "contains() of an absent fullUrl is empty",
    ),
    "que-7": Erratum(
        "operator = 'exists' implies (answer is boolean)",
        "Boolean is the System type; the answer of a Questionnaire is a FHIR boolean",
    ),
    "que-12": Erratum(
        "enableWhen.count() >= 2 implies enableBehavior.exists()",
        "its text says more than one, its expression more than two",
    ),
    "ras-2": Erratum(
        "(probability is decimal) implies ((probability as decimal) <= 100)",
        "the precedence of `is` and `implies` is unclear to readers of the published text",
    ),
    "tim-9": Erratum(
        "offset.empty() or (when.exists() and when.select($this in ('C' | 'CM' | 'CD' | 'CV')).allFalse())",
        "`in` takes one item on its left, and when repeats",
    ),
    "con-3": Erratum(
        "clinicalStatus.exists() or verificationStatus.coding.where("
        "system = 'http://terminology.hl7.org/CodeSystem/condition-ver-status' "
        "and code = 'entered-in-error').exists() or category.coding.where("
        "system = 'http://terminology.hl7.org/CodeSystem/condition-category' "
        "and code = 'problem-list-item').empty()",
        "category is a CodeableConcept and never equals a string",
    ),
    "opd-3": Erratum(
        "targetProfile.exists() implies (type = 'Reference' or type = 'canonical' or type = 'Any' "
        "or type.matches('^[A-Z]'))",
        "R4's own operations give target profiles to parameters of type Any and of resource types",
    ),
    "eld-19": Erratum(
        r"path.matches('^[^\\s\\.,:;\\\'\"\\/|?!@#$%&*()\\[\\]{}]{1,64}"
        r"(\\.[^\\s\\.,:;\\\'\"\\/|?!@#$%&*()\\[\\]{}]{1,64}(\\[x\\])?(\\:[^\\s\\.]+)?)*$')",
        "matches() finds a part of the text unless it is anchored",
    ),
    "eld-20": Erratum(
        r"path.matches('^[A-Za-z][A-Za-z0-9]*(\\.[a-z][A-Za-z0-9]*(\\[x])?)*$')",
        "matches() finds a part of the text unless it is anchored",
    ),
}


def corrected(invariant: Invariant) -> Invariant:
    """The invariant as this validator reads it."""
    erratum = ERRATA.get(invariant.key)
    if invariant.key.endswith("-0") and invariant.expression.startswith("name.matches("):
        erratum = _NAME
    return invariant if erratum is None else replace(invariant, expression=erratum.expression)
