"""Strict JSON in, canonical JSON out; decimals keep every digit (https://hl7.org/fhir/R4/json.html)."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import islice
from typing import Any, NoReturn, Self

import orjson

from fhir_server.spec.errors import FhirError, Issue, malformed, unreadable

Json = dict[str, Any]

MAXIMUM_DEPTH = 100
LONGEST_NUMBER = 100
_BOM = "\ufeff"
# After so many faults the rest of a body is not told.
MOST_FAULTS = 100
_TOO_DEEP = f"The body is nested deeper than {MAXIMUM_DEPTH} levels"
# So many characters fit 64 bits, which is what orjson writes of an int.
_LONGEST_INT = 18
# What no database and no UTF-8 can carry; the other characters that R4 forbids are the validation's to refuse, which
# names the element.
_FORBIDDEN = re.compile("[\x00\ud800-\udfff]")
_FORBIDDEN_ESCAPED = re.compile(r"\\u(?:0000|[dD][89a-fA-F])")


# What may be a number that is no small whole one, or a list of numbers, in compact JSON (or, rarely, a part of a string
# that looks like it). Each begins with characters that are looked for quickly.
_EXACT = re.compile(rb'":(?:-?[0-9]+[.eE]|-?[0-9]{18}|-0)')
_LISTED = re.compile(rb"\[(?:null,)*-?[0-9]")


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


class _Collecting:
    """The hooks again, for a body that they refuse: what is wrong in all of it."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.whole = True

    def note(self, told: object, *, whole: bool) -> None:
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(str(told))
        self.whole = self.whole and whole

    def decode(self, text: str) -> Any:
        return json.JSONDecoder(
            object_pairs_hook=self.object,
            parse_float=lambda number: self.number(_decimal, number),
            parse_int=lambda number: self.number(_integer, number),
            parse_constant=lambda constant: self.number(_constant, constant),
        ).decode(text)

    def object(self, pairs: list[tuple[str, Any]]) -> Json:
        try:
            return _object(pairs)
        except _Refused as error:
            self.note(error, whole=True)
            return dict(pairs)

    def number(self, read: Callable[[str], Any], text: str) -> Any:
        try:
            return read(text)
        except _Refused as error:
            self.note(error, whole=False)
            return 0


def _object(pairs: list[tuple[str, Any]]) -> Json:
    made = dict(pairs)
    if len(made) != len(pairs):
        counts = Counter(name for name, _ in pairs)
        names = [name[:64] for name, count in counts.items() if count > 1]
        twice = _FORBIDDEN.sub("\ufffd", "', '".join(names[:MOST_FAULTS]))
        raise _Refused(f"The property '{twice}' is there twice in one object; keep one of them")
    return made


def _decimal(text: str) -> FhirDecimal:
    _check_length(text)
    try:
        return FhirDecimal(text)
    except ArithmeticError:
        raise _Refused(f"The number {text} has an exponent that is too large") from None


def _integer(text: str) -> int | FhirDecimal:
    _check_length(text)
    return read_whole(text)


def _check_length(text: str) -> None:
    if len(text) > LONGEST_NUMBER:
        raise _Refused(f"A number has {len(text)} characters; at most {LONGEST_NUMBER} are allowed")


def read_whole(text: str) -> int | FhirDecimal:
    """A number without fraction and exponent: an int, if that can be written as it was read."""
    return int(text) if len(text) <= _LONGEST_INT and text != "-0" else FhirDecimal(text)


def _constant(text: str) -> NoReturn:
    raise _Refused(f"{text} is not a JSON value; write a number with digits")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_float=_decimal, parse_int=_integer, parse_constant=_constant
)
# The same but for a property that is there twice, of which it keeps the last.
_KEEPING_LAST = json.JSONDecoder(parse_float=_decimal, parse_int=_integer, parse_constant=_constant)
# What serialise never writes, and others do.
_OTHERWISE_ESCAPED = re.compile(r"\\[u/]")
# So far into a body a blank between name and value is looked for.
_FIRST_NAME = 99


def parse(body: bytes) -> Any:
    """The JSON value of a body in UTF-8, objects as dict, decimals as FhirDecimal.

    Raises FhirError 400 for what is empty or in another encoding, and Unreadable, with every fault, for what is not
    strict JSON: a byte order mark, NUL, a lone surrogate, a duplicate property, NaN or Infinity, nesting deeper than
    MAXIMUM_DEPTH, a number of more than LONGEST_NUMBER.
    """
    stripped = body.strip()
    if not stripped:
        raise malformed("The body is empty; send a resource")
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise malformed(f"The body is not UTF-8: byte {error.start} cannot be read") from None
    compact = _may_be_compact(text)
    try:
        value = _compact(text, stripped) if compact else _DECODER.decode(text)
    except (_Refused, json.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        raise _refusal(text) from None
    # Only an escape can bring one in, so most bodies skip the walk.
    if not compact and _FORBIDDEN_ESCAPED.search(text) and any(_forbidden(value)):
        raise _refusal(text)
    # Each level needs a bracket to open: few brackets cannot nest deeply, so most bodies skip the walk.
    if text.count("{") + text.count("[") > MAXIMUM_DEPTH and _is_too_deep(value):
        raise _refusal(text)
    return value


def _may_be_compact(text: str) -> bool:
    """Whether a look tells that it is worth while to compare it with compact JSON."""
    return '": ' not in text[:_FIRST_NAME] and not _OTHERWISE_ESCAPED.search(text)


def _compact(text: str, stripped: bytes) -> Any:
    """The value of a text that may be compact JSON, without \\u.

    If it is written the same again, no property was there twice: so the slower decoder need not look for one. Raises
    orjson.JSONEncodeError when that cannot be told because it is nested much too deeply.
    """
    value = _KEEPING_LAST.decode(text)
    return value if serialise(value) == stripped else _DECODER.decode(text)


def _refusal(text: str) -> FhirError:
    """All that is wrong with a text that is not strict JSON, with its value when that is not in doubt."""
    reading = _Collecting()
    if text.startswith(_BOM):
        reading.note(
            "The body begins with a byte order mark; send plain UTF-8 without it", whole=True
        )
    value = None
    try:
        value = reading.decode(text.removeprefix(_BOM))
        for character in islice(_forbidden(value), MOST_FAULTS):
            told = f"A string holds U+{ord(character):04X}; "
            told += "neither NUL nor a lone surrogate is a Unicode character in FHIR"
            reading.note(told, whole=False)
        if _is_too_deep(value):
            reading.note(_TOO_DEEP, whole=False)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        reading.note(f"The body is not JSON: {error.msg} at {place}", whole=False)
    except RecursionError:
        reading.note(_TOO_DEEP, whole=False)
    issues = [Issue("error", "structure", told) for told in dict.fromkeys(reading.faults)]
    return unreadable(issues, value if reading.whole else None)


def parse_stored(body: bytes) -> Any:
    """The same value of a body that parse has read before: it is good, and only decimals need the slow reader."""
    return parse(body) if _EXACT.search(body) or _LISTED.search(body) else orjson.loads(body)


def parse_plain(body: bytes) -> Any:
    """The same for who does not look at decimals, which are floats then: in half the time for a small body."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:  # a decimal beyond them
        return parse(body)


def _is_too_deep(value: Any) -> bool:
    level = [value] if isinstance(value, (dict, list)) else []
    for _ in range(MAXIMUM_DEPTH):
        level = [
            child
            for item in level
            for child in (item.values() if item.__class__ is dict else item)
            if child.__class__ is dict or child.__class__ is list
        ]
        if not level:
            return False
    return True


def _forbidden(value: Any) -> Iterator[str]:
    """The first character of each string that no string may hold."""
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, str):
            found = _FORBIDDEN.search(item)
            if found:
                yield found[0]
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
