"""The values of search parameters, from text: tokens, ranges, references, quantities and uris.

Every function raises ValueError with what form is expected. https://hl7.org/fhir/R4/search.html#ptypes
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from decimal import Decimal

from fhir_server.search.converters import LARGEST
from fhir_server.search.escaping import split, unescape
from fhir_server.search.expression import Prefix, Quantity, Range, Target, Token
from fhir_server.search.folding import fold
from fhir_server.search.positions import UNITS
from fhir_server.search.references import read_reference
from fhir_server.search.settings import SearchSettings
from fhir_server.search.units import UCUM, canonical
from fhir_server.search.words import LONGEST
from fhir_server.spec.dates import interval
from fhir_server.spec.definitions import is_resource_type

NEARBY_KM = 50.0
PREFIXES: tuple[Prefix, ...] = ("eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap")
# Types whose tokens have no system, so that `|` has no place in what is searched for.
_NO_SYSTEM = frozenset({"boolean", "uri", "url", "canonical", "oid", "uuid", "id", "ContactPoint"})

_LOGICAL_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}", re.ASCII)
_NUMBER = re.compile(r"[+-]?(?:\d{1,50}(?:\.\d{0,50})?|\.\d{1,50})(?:[eE][+-]?\d{1,3})?", re.ASCII)
_SPACED_ZONE = re.compile(r"(T[\d:.]+) (\d\d:\d\d)")

_DATE_FORM = "a date such as 2026, 2026-03, 2026-03-01 or 2026-03-01T10:00:00Z"
_NUMBER_FORM = "a number such as 5, 5.40 or 5.4e-3"


def _prefixed(text: str) -> tuple[Prefix, str]:
    for prefix in PREFIXES:
        if text.startswith(prefix):
            return prefix, text[2:]
    if text[:2].isalpha():
        raise ValueError(f"the prefixes are {', '.join(PREFIXES)}")
    return "eq", text


def logical_id(text: str) -> str:
    """A logical id."""
    found = unescape(text)
    if _LOGICAL_ID.fullmatch(found) is None:
        raise ValueError("an id has at most 64 letters, digits, '-' and '.'")
    return found


def date_range(text: str, settings: SearchSettings) -> Range:
    """A date with its prefix; ap widens it by a tenth of the time between it and now."""
    prefix, date = _prefixed(unescape(text))
    try:
        # In a query a raw + is a blank; a zone is the only place where a date can have one.
        low, high = interval(_SPACED_ZONE.sub(r"\1+\2", date), settings.zone)
    except ValueError:
        raise ValueError(f"expected {_DATE_FORM}, with a prefix or without") from None
    if prefix == "ap":
        gap = abs(settings.now - (low + high) // 2) // 10
        return Range(prefix, low - gap, high + gap)
    return Range(prefix, low, high)


def number_range(text: str) -> Range:
    """A number with its prefix: the range that its digits imply for eq and ne, the exact value for the others.

    The end of the range is not part of it; ap widens it to a tenth of the number on both sides.
    """
    prefix, digits = _prefixed(unescape(text))
    if _NUMBER.fullmatch(digits) is None:
        raise ValueError(f"expected {_NUMBER_FORM}, with a prefix or without")
    value = Decimal(digits)
    exponent = value.as_tuple().exponent
    assert isinstance(exponent, int)
    half = Decimal(5).scaleb(exponent - 1)
    if prefix not in ("eq", "ne", "ap"):
        exact = _float(value)
        return Range(prefix, exact, exact)
    reach = max(half, abs(value) / 10) if prefix == "ap" else half
    low, high = _float(value - reach), _float(value + reach)
    return Range(prefix, low, high if prefix == "ap" else math.nextafter(high, -math.inf))


def _float(value: Decimal) -> float:
    return _clamped(float(value))


def _clamped(value: float) -> float:
    return max(-LARGEST, min(LARGEST, value))


def quantity(text: str) -> Quantity:
    """number, number|system|code or number||code."""
    parts = split(text, "|")
    if len(parts) not in (1, 3):
        raise ValueError(f"expected {_NUMBER_FORM}, or number|system|code, or number||code")
    system, code = (unescape(part) or None for part in (*parts[1:], "", "")[:2])
    return Quantity(number_range(parts[0]), system, code)


def in_canonical(item: Quantity) -> Quantity | None:
    """The quantity in the canonical unit of its kind; None unless its unit is one that UCUM knows."""
    if item.system != UCUM or item.code is None:
        return None
    found = canonical(item.code)
    if found is None:
        return None
    low, high = _clamped(found.convert(item.range.low)), _clamped(found.convert(item.range.high))
    if item.range.prefix in ("eq", "ne"):
        high = math.nextafter(high, -math.inf)
    return Quantity(Range(item.range.prefix, low, high), None, found.unit)


def tokens(text: str, types: frozenset[str]) -> tuple[Token, ...]:
    """code, system|code, |code or system|, as the types of the element allow.

    One token, or two where only some types of the element are case sensitive.
    """
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > 2 or not any(parts):
        raise ValueError(r"expected code, system|code, |code or system|; write \| for a literal |")
    if len(parts) == 2 and types and types <= _NO_SYSTEM:
        raise ValueError("expected a plain value: it has no system, so no |")
    code = parts[-1] or None
    if types == {"boolean"} and code not in ("true", "false"):
        raise ValueError("expected true or false")
    system = parts[0] if len(parts) == 2 else None
    found = [] if types == {"string"} else [Token(system, code)]
    if "string" in types and code is not None:
        found.append(Token(system, code.casefold()))
    return tuple(dict.fromkeys(found))


def typed_identifier(text: str) -> Token:
    """system|code|value of :of-type, as the index has it."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) != 3 or not all(parts):
        raise ValueError("expected system|code|value, of the identifier's type and its value")
    return Token(f"{parts[0]}|{parts[1]}", parts[2])


def folded(text: str) -> str:
    """A string without case, accents and punctuation."""
    found = fold(unescape(text))
    if not found:
        raise ValueError("expected at least one letter or digit")
    return found


def targets(
    text: str, allowed: tuple[str, ...], canonical: bool, settings: SearchSettings
) -> Iterator[Target]:
    """What an id, Type/id, an absolute url or a canonical url|version may be: to any of the allowed types."""
    parts = split(text, "|")
    if len(parts) > 2:
        raise ValueError(r"expected Type/id, an id or a url; write \| for a literal |")
    url, version = unescape(parts[0]), unescape(parts[1]) if len(parts) == 2 else ""
    if version or len(parts) == 2:
        if not canonical:
            raise ValueError("expected Type/id, an id or a url; only canonical urls have |version")
        yield Target(None, "", url, version)
        return
    named = read_reference(url, settings.base_urls)
    if named.target_type:
        yield Target(named.target_type, named.target_id, "", named.version)
        if canonical:
            relative = f"{named.target_type}/{named.target_id}"
            yield from (Target(None, "", f"{base}/{relative}") for base in settings.base_urls)
    elif ":" in url:
        yield Target(None, "", named.url, named.version)
    elif _LOGICAL_ID.fullmatch(url):
        yield Target(allowed[0] if len(allowed) == 1 else None, url)
    else:
        raise ValueError(f"expected an id, Type/id or an absolute url{_unknown_type(url)}")


def _unknown_type(url: str) -> str:
    name, slash, _ = url.partition("/")
    known = not slash or is_resource_type(name)
    return "" if known else f"; '{name[:64]}' is no resource type"


def uris(text: str, canonical: bool, settings: SearchSettings) -> tuple[list[str], str]:
    """The urls that a uri may be written as, and the version of url|version or ""."""
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) > 2 or not parts[0]:
        raise ValueError("expected a uri, or url|version")
    found = [parts[0]]
    if canonical and ":" not in parts[0]:
        found += [f"{base}/{parts[0]}" for base in settings.base_urls]
    return found, parts[1] if len(parts) == 2 else ""


def near(text: str) -> tuple[float, float, float]:
    """latitude|longitude[|distance[|unit]] as two angles in degrees and kilometres; 50 km where none are named."""
    parts = [unescape(part) for part in split(text, "|")]
    if not 2 <= len(parts) <= 4 or not all(_NUMBER.fullmatch(part) for part in parts[:2]):
        raise ValueError("expected latitude|longitude|distance|unit, such as 51.5|-0.12|10|km")
    latitude, longitude = float(parts[0]), float(parts[1])
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise ValueError("a latitude is from -90 to 90, a longitude from -180 to 180")
    if len(parts) == 2 or not parts[2]:
        return latitude, longitude, NEARBY_KM
    unit = parts[3] if len(parts) == 4 and parts[3] else "km"
    if unit not in UNITS:
        raise ValueError(f"the units of length are {', '.join(UNITS)}")
    if _NUMBER.fullmatch(parts[2]) is None or float(parts[2]) < 0:
        raise ValueError("the distance is a number from 0")
    return latitude, longitude, float(parts[2]) * UNITS[unit]


def words(text: str) -> tuple[str, ...]:
    """The words of a text search, folded; all of them must be there.

    What is too long for a word is not there, and need not be whole to be too long.
    """
    return tuple(dict.fromkeys(word[: LONGEST + 1] for word in folded(text).split()))


def hierarchical_uri(text: str) -> str:
    """The url of :below and :above."""
    found = unescape(text)
    if found.startswith("urn:"):
        raise ValueError("expected a url: a urn has no levels")
    return found
