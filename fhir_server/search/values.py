"""Search values: the text after the = sign, by the type of the parameter (https://hl7.org/fhir/R4/search.html#ptypes)."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from typing import NoReturn, get_args
from zoneinfo import ZoneInfo

from fhir_server.search import expression as x
from fhir_server.search.expression import Prefix
from fhir_server.spec import errors
from fhir_server.spec.dates import interval
from fhir_server.spec.definitions import is_resource_type

_PREFIXES = frozenset(get_args(Prefix))
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_RELATIVE = re.compile(
    r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?"
)
_APPROXIMATE = 10


def split(text: str, separator: str) -> list[str]:
    """The parts of a value at a separator that no backslash escapes; escapes stay."""
    if "\\" not in text:
        return text.split(separator)
    found, current, escaped = [], "", False
    for character in text:
        if escaped:
            current += "\\" + character
            escaped = False
        elif character == "\\":
            escaped = True
        elif character == separator:
            found.append(current)
            current = ""
        else:
            current += character
    found.append(current + ("\\" if escaped else ""))
    return found


def unescape(text: str) -> str:
    r"""The value with \, \$ \| and \\ read as the characters they stand for (search.html#escaping)."""
    if "\\" not in text:
        return text
    return re.sub(r"\\([,$|\\])", r"\1", text)


@lru_cache(maxsize=4096)
def fold(text: str) -> str:
    """A string as starts-with compares it: no case, no accents, single blanks (search.html#string)."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    plain = "".join(character for character in decomposed if not unicodedata.combining(character))
    return " ".join(plain.split())


def refuse(name: str, value: str, wanted: str) -> NoReturn:
    """400: a value that cannot be read."""
    raise errors.invalid(f"{name}: '{value[:100]}' cannot be read; write {wanted}")


def token(name: str, text: str, kind: str = "") -> x.Token:
    """code, |code, system|code or system|."""
    parts = [unescape(part) for part in split(text, "|")]
    match parts:
        case [code]:
            found = x.Token(None, code)
        case ["", code]:
            found = x.Token("", code)
        case [system, ""]:
            found = x.Token(system, None)
        case [system, code]:
            found = x.Token(system, code)
        case _:
            refuse(name, text, "code, |code, system|code or system|")
    if found.code is None and not found.system:
        refuse(name, text, "code, |code, system|code or system|")
    if kind == "boolean" and found.code not in ("true", "false"):
        refuse(name, text, "true or false")
    return found


def _prefix(text: str) -> tuple[Prefix, str]:
    if text[:2] in _PREFIXES:
        return text[:2], text[2:]  # type: ignore[return-value] # one of the literals
    return "eq", text


def date(name: str, text: str, zone: ZoneInfo, now: int) -> x.Range:
    """A date with an optional prefix, as the range that its precision implies."""
    prefix, rest = _prefix(text)
    # A + that was not escaped in the URL arrives as a blank; in a date it can have meant nothing else.
    try:
        low, high = interval(rest.replace(" ", "+"), zone)
    except ValueError:
        refuse(
            name,
            text,
            "a date as 2026, 2026-03, 2026-03-31 or 2026-03-31T10:00:00Z, with eq, ne, gt, lt, ge, le, sa, eb or ap before it",
        )
    if prefix == "ap":
        margin = max(abs(now - low), abs(now - high)) // _APPROXIMATE
        return x.Range("ap", low - margin, high + margin)
    return x.Range(prefix, low, high)


def decimal_range(text: str) -> tuple[Decimal, Decimal]:
    """[low, high) that a number's written precision implies: 100 is [99.5, 100.5), 1.0e2 is [95, 105).

    Raises ValueError.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ValueError(text) from None
    exponent = value.as_tuple().exponent
    if not value.is_finite() or not isinstance(exponent, int) or abs(exponent) > 60:
        raise ValueError(text)
    half = Decimal(1).scaleb(exponent) / 2
    return value - half, value + half


def number(name: str, text: str) -> x.Range:
    """A number with an optional prefix; eq, ne and ap look at the range of its precision, the others at the number."""
    prefix, rest = _prefix(text)
    try:
        low, high = decimal_range(rest)
        value = Decimal(rest)
    except ValueError:
        refuse(
            name,
            text,
            "a number as 5, 5.40 or 5.4e-3, with eq, ne, gt, lt, ge, le, sa, eb or ap before it",
        )
    if prefix == "ap":
        margin = abs(value) / _APPROXIMATE
        return x.Range("ap", float(low - margin), float(high + margin))
    if prefix in ("eq", "ne"):
        return x.Range(prefix, float(low), float(high))
    return x.Range(prefix, float(value), float(value))


def quantity(name: str, text: str) -> x.Quantity:
    """[prefix]number, [prefix]number|system|code or [prefix]number||code."""
    parts = [unescape(part) for part in split(text, "|")]
    match parts:
        case [value]:
            return x.Quantity(number(name, value), None, None)
        case [value, system, code]:
            return x.Quantity(number(name, value), system or None, code or None)
    refuse(name, text, "number, number|system|code or number||code")


def reference(
    name: str, text: str, targets: Collection[str], bases: Collection[str], only: str | None
) -> x.Target:
    """id, Type/id or an absolute url; an url of this server is the same as the relative form.

    only: the type that the modifier names.
    """
    text = unescape(text)
    for base in bases:
        text = text.removeprefix(base + "/")
    if "://" in text or text.startswith("urn:"):
        return x.Target(None, "", url=text)
    if _ID.fullmatch(text):
        return x.Target(only or (next(iter(targets)) if len(targets) == 1 else None), text)
    match = _RELATIVE.fullmatch(text)
    if match is None or not is_resource_type(match[1]):
        refuse(name, text, "an id, a reference as Patient/123, or an absolute URL")
    if only is not None and match[1] != only:
        refuse(name, text, f"a reference to a {only}, as the modifier says")
    return x.Target(match[1], match[2], version=match[3] or "")
