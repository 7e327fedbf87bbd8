"""Bindings of profiles: whether the codes of a value are in a value set (https://hl7.org/fhir/R4/terminologies.html)."""

from __future__ import annotations

from typing import Any

from fhir_server.terminology import Terminology

Json = dict[str, Any]


def is_member(value: Any, kind: str, value_set: str, terminology: Terminology) -> bool | None:
    """Whether a code, Coding, CodeableConcept, Quantity or text is in a value set; None when that cannot be told.

    A concept is in it when one of its codings is.
    """
    if isinstance(value, str):
        return terminology.contains(value_set, None, value)
    if not isinstance(value, dict):
        return None
    if kind == "CodeableConcept":
        codings = value.get("coding")
        if not isinstance(codings, list) or not codings:
            return False
        answers = [
            _coding(item, value_set, terminology) for item in codings if isinstance(item, dict)
        ]
        return True if True in answers else (None if None in answers else False)
    return _coding(value, value_set, terminology)


def _coding(coding: Json, value_set: str, terminology: Terminology) -> bool | None:
    code = coding.get("code")
    if not isinstance(code, str):
        return False
    system = coding.get("system")
    if not isinstance(system, str):
        return False
    return terminology.contains(value_set, system, code)
