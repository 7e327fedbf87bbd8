"""The values of primitives in XML, which are text, as JSON has them (https://hl7.org/fhir/R4/json.html#primitive)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from fhir_server.spec.json_format import LONGEST_NUMBER, FhirDecimal, read_whole

_INTEGER = re.compile(r"[+-]?(?:0|[1-9][0-9]*)", re.ASCII)
_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?", re.ASCII)


def _boolean(text: str) -> bool:
    if text == "true":
        return True
    if text == "false":
        return False
    raise ValueError("is not a boolean; write true or false")


def _integer(text: str) -> int:
    if len(text) > LONGEST_NUMBER or not _INTEGER.fullmatch(text):
        raise ValueError("is not an integer; write digits without leading zeros")
    return int(text)


def _decimal(text: str) -> int | FhirDecimal:
    if len(text) > LONGEST_NUMBER or not _DECIMAL.fullmatch(text):
        raise ValueError("is not a decimal; write digits such as 1.50")
    if _INTEGER.fullmatch(text):
        return read_whole(text)
    try:
        return FhirDecimal(text)
    except ArithmeticError:
        raise ValueError("has an exponent that is too large") from None


# By type; each raises ValueError, saying what is wrong. Other types are text in JSON as well.
READERS: Final[Mapping[str, Callable[[str], Any]]] = {
    "boolean": _boolean,
    "integer": _integer,
    "unsignedInt": _integer,
    "positiveInt": _integer,
    "decimal": _decimal,
}
