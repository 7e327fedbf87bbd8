"""Strict JSON in, canonical JSON out; decimals keep every digit (https://hl7.org/fhir/R4/json.html)."""

from __future__ import annotations

import json
import re
from collections import Counter
from decimal import Decimal
from typing import Any, NoReturn, Self

import orjson

from fhir_server.spec.errors import FhirError, malformed

Json = dict[str, Any]

MAXIMUM_DEPTH = 100
LONGEST_NUMBER = 100
_BOM = b"\xef\xbb\xbf"
# So many characters fit 64 bits, which is what orjson writes of an int.
_LONGEST_INT = 18
# What no database and no UTF-8 can carry; the other characters that R4 forbids are the validation's to refuse, which
# names the element.
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")


# What may be a number that is no small whole one, or a list of numbers, in compact JSON (or, rarely, a part of a string
# that looks like it). Each begins with characters that are looked for quickly.
_EXACT = re.compile(rb'":(?:-?[0-9]+[.eE]|-?[0-9]{18}|-0)')
_LISTED = re.compile(rb"\[-?[0-9]")


class FhirDecimal(Decimal):
    """A decimal that remembers how it was written (https://hl7.org/fhir/R4/datatypes.html#decimal)."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> Self:
        made = super().__new__(cls, text)
        made.text = text
        return made

    def __reduce__(self) -> tuple[type[FhirDecimal], tuple[str]]:
        return FhirDecimal, (self.text,)

    def __copy__(self) -> FhirDecimal:
        return self

    def __deepcopy__(self, memo: object) -> FhirDecimal:
        return self


class _Refused(ValueError):
    """Raised inside the parser's hooks."""


def _object(pairs: list[tuple[str, Any]]) -> Json:
    made = dict(pairs)
    if len(made) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        twice = next(name for name, count in counts.items() if count > 1)
        raise _Refused(f"The property '{twice}' is there twice in one object; keep one of them")
    return made


def _decimal(text: str) -> FhirDecimal:
    if len(text) > LONGEST_NUMBER:
        raise _Refused(f"A number has {len(text)} characters; at most {LONGEST_NUMBER} are allowed")
    try:
        return FhirDecimal(text)
    except ArithmeticError:
        raise _Refused(f"The number {text} has an exponent that is too large") from None


def _integer(text: str) -> int | FhirDecimal:
    if len(text) > LONGEST_NUMBER:
        raise _Refused(f"A number has {len(text)} characters; at most {LONGEST_NUMBER} are allowed")
    return read_whole(text)


def read_whole(text: str) -> int | FhirDecimal:
    """A number without fraction and exponent: an int, if that can be written as it was read."""
    return int(text) if len(text) <= _LONGEST_INT and text != "-0" else FhirDecimal(text)


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not a JSON value; write a number with digits")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_decimal, parse_int=_integer, parse_constant=_constant
)


def parse(body: bytes) -> Any:
    """The JSON value of a body in UTF-8, objects as dict, decimals as FhirDecimal.

    Raises FhirError 400 for what is not strict JSON: another encoding, a byte order mark, NUL, a lone surrogate,
    a duplicate property, NaN or Infinity, nesting deeper than MAXIMUM_DEPTH, a number of more than LONGEST_NUMBER.
    """
    if not body.strip():
        raise malformed("The body is empty; send a resource")
    if body.startswith(_BOM):
        raise malformed("The body begins with a byte order mark; send plain UTF-8 without it")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8: byte {error.start} cannot be read") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise malformed(f"The body is not JSON: {error.msg} at {place}") from None
    except _Refused as error:
        raise malformed(f"{error}") from None
    except RecursionError:
        raise _too_deep() from None
    # Only an escape can bring one in, so most bodies skip the walk.
    if "\\u" in text:
        _check_characters(value)
    # Each level needs a bracket to open: few brackets cannot nest deeply, so most bodies skip the walk.
    if text.count("{") + text.count("[") > MAXIMUM_DEPTH:
        _check_depth(value)
    return value


def parse_stored(body: bytes) -> Any:
    """The same value of a body that parse has read before: it is good, and only decimals need the slow reader."""
    return parse(body) if _EXACT.search(body) or _LISTED.search(body) else orjson.loads(body)


def _too_deep() -> FhirError:
    return malformed(f"The body is nested deeper than {MAXIMUM_DEPTH} levels")


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAXIMUM_DEPTH):
        level = [
            child
            for item in level
            if isinstance(item, (dict, list))
            for child in (item.values() if isinstance(item, dict) else item)
        ]
    if any(isinstance(item, (dict, list)) for item in level):
        raise _too_deep()


def _check_characters(value: Any) -> None:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found = _FORBIDDEN.search(item)
            if found:
                raise malformed(
                    f"A string holds U+{ord(found[0]):04X}; neither NUL nor a lone surrogate is a Unicode character"
                    " in FHIR"
                )
        elif isinstance(item, dict):
            pending.extend(item.keys())
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _fallback(value: Any) -> orjson.Fragment:
    if isinstance(value, FhirDecimal):
        return orjson.Fragment(value.text.encode())
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(f"{type(value).__name__} has no JSON form")


def serialise(value: Any) -> bytes:
    """Compact JSON in UTF-8, properties in their order, decimals as they were written.

    A bytes value that is JSON already goes in as orjson.Fragment.
    """
    return orjson.dumps(value, default=_fallback)


def prettify(body: bytes) -> bytes:
    """The same JSON with white space; nothing else changes."""
    return orjson.dumps(
        _DECODER.decode(body.decode()), default=_fallback, option=orjson.OPT_INDENT_2
    )
