"""The primitive datatypes: what a JSON value must be to be one, by R4's regexes made safe.

https://hl7.org/fhir/R4/datatypes.html#primitive
Beyond the regexes: dates are days of the calendar, `urn:uuid:` and `urn:oid:` uris have their form, integers fit
32 bits. `\\s` means ASCII white space, as in XML Schema: a non-breaking space is a character like others. Control
characters but tab and line ends are in no text (https://hl7.org/fhir/R4/datatypes.html#string), nor is what XML
cannot carry.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from math import isfinite
from typing import Final

from fhir_server.spec.json_format import FhirDecimal

LONGEST_STRING: Final = 1024 * 1024
_DAYS: Final = (0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_YEAR = "(?!0000)[0-9]{4}"
_DATE = f"{_YEAR}(?:-(?:0[1-9]|1[0-2])(?:-(?:0[1-9]|[12][0-9]|3[01]))?)?"
_DAY = f"{_YEAR}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
_TIME = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"


def _full(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern, re.ASCII).fullmatch


_INK = r"[!-\ufffd\U00010000-\U0010ffff]"
_string = _full(r"[\t\n\r -\ufffd\U00010000-\U0010ffff]+")
_code = _full(rf"{_INK}++(?:[ \t\r\n]{_INK}++)*+")
_unbroken = _full(rf"{_INK}+")
_id = _full(r"[A-Za-z0-9\-.]{1,64}")
_oid = _full(r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*+))++")
_uuid = _full(r"urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
_date = _full(_DATE)
_date_time = _full(f"{_DATE}|{_DAY}T{_TIME}{_ZONE}")
_instant = _full(f"{_DAY}T{_TIME}{_ZONE}")
_time = _full(_TIME)
_blanks = str.maketrans("", "", " \t\n\r\f\v")
# Sufficient for all but the last days of a month: inlined in the fast path.
quick_instant = _full(
    r"(?!0000)[0-9]{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|1[0-9]|2[0-8])"
    r"T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\.[0-9]+)?(?:Z|[+-](?:0[0-9]|1[0-3]):[0-5][0-9])"
)


def is_string(value: object) -> bool:
    return (
        type(value) is str
        and len(value) <= LONGEST_STRING
        and not value.isspace()
        and _string(value) is not None
    )


def is_code(value: object) -> bool:
    return type(value) is str and _code(value) is not None


def is_uri(value: object) -> bool:
    if type(value) is not str or _unbroken(value) is None:
        return False
    if value.startswith("urn:uuid:"):
        return _uuid(value) is not None
    return not value.startswith("urn:oid:") or _oid(value) is not None


def is_id(value: object) -> bool:
    return type(value) is str and _id(value) is not None


def is_oid(value: object) -> bool:
    return type(value) is str and _oid(value) is not None


def is_uuid(value: object) -> bool:
    return type(value) is str and _uuid(value) is not None


def _in_calendar(text: str) -> bool:
    if len(text) < 10 or text[8:10] < "29":
        return True
    month, day = int(text[5:7]), int(text[8:10])
    if day > _DAYS[month]:
        return False
    year = int(text[:4])
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return leap or month != 2 or day < 29


def is_date(value: object) -> bool:
    return type(value) is str and _date(value) is not None and _in_calendar(value)


def is_date_time(value: object) -> bool:
    return type(value) is str and _date_time(value) is not None and _in_calendar(value)


def is_instant(value: object) -> bool:
    return type(value) is str and _instant(value) is not None and _in_calendar(value)


def is_time(value: object) -> bool:
    return type(value) is str and _time(value) is not None


def is_base64(value: object) -> bool:
    if type(value) is not str or not value.isascii():
        return False
    text = value.translate(_blanks) if not value.isalnum() else value
    try:
        return (
            text != "" and len(text) % 4 == 0 and bool(binascii.a2b_base64(text, strict_mode=True))
        )
    except binascii.Error:
        return False


def is_boolean(value: object) -> bool:
    return value is True or value is False


def _whole(value: object) -> int | None:
    if type(value) is int:
        return value
    # -0 is kept as it was written, and is a legal integer.
    return 0 if type(value) is FhirDecimal and value.text == "-0" else None


def is_integer(value: object) -> bool:
    number = _whole(value)
    return number is not None and -2147483648 <= number <= 2147483647


def is_unsigned_int(value: object) -> bool:
    return type(value) is int and 0 <= value <= 2147483647


def is_positive_int(value: object) -> bool:
    return type(value) is int and 0 < value <= 2147483647


def is_decimal(value: object) -> bool:
    kind = type(value)
    if kind is FhirDecimal or kind is int:
        return True
    if isinstance(value, float):
        return isfinite(value)
    return isinstance(value, Decimal) and value.is_finite()


@dataclass(frozen=True, slots=True)
class Primitive:
    """test: exact. quick: source of a cheap test of `v` that implies it, "" when there is none worth inlining.

    must: how a value has to be, to follow "must be".
    """

    test: Callable[[object], bool]
    must: str
    quick: str = ""


# Nothing printable sorts before "!" but the blank: what is not less begins with a character that is none.
_PRINTED = "type(v) is str and v >= '!' and v.isprintable()"
_TEXT = Primitive(
    is_string,
    "a text of at most 1 MB that is not only white space and has no control characters",
    f"{_PRINTED} and len(v) <= {LONGEST_STRING}",
)
_URI = Primitive(
    is_uri,
    "a URI without white space; urn:uuid: in lower case, urn:oid: with digits and dots",
    f"{_PRINTED} and ' ' not in v and v[:4] != 'urn:'",
)

PRIMITIVES: Final[Mapping[str, Primitive]] = {
    "base64Binary": Primitive(is_base64, "base64 with complete padding"),
    "boolean": Primitive(is_boolean, "true or false, without quotes", "v is True or v is False"),
    "canonical": _URI,
    "code": Primitive(
        is_code,
        "a code: a text without blanks at its ends and without two blanks in a row",
        f"{_PRINTED} and ' ' not in v",
    ),
    "date": Primitive(
        is_date, "a date of the calendar, as YYYY, YYYY-MM or YYYY-MM-DD, without a time"
    ),
    "dateTime": Primitive(
        is_date_time,
        "YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss with Z or an offset such as +01:00, "
        "on a day of the calendar",
        "type(v) is str and quick_instant(v)",
    ),
    "decimal": Primitive(
        is_decimal, "a number, without quotes", "type(v) is FhirDecimal or type(v) is int"
    ),
    "id": Primitive(is_id, "1 to 64 of the characters A-Z, a-z, 0-9, - and ."),
    "instant": Primitive(
        is_instant,
        "YYYY-MM-DDThh:mm:ss with Z or an offset such as +01:00, on a day of the calendar",
        "type(v) is str and quick_instant(v)",
    ),
    "integer": Primitive(
        is_integer,
        "a whole number from -2147483648 to 2147483647, without quotes",
        "type(v) is int and -2147483648 <= v <= 2147483647",
    ),
    "markdown": _TEXT,
    "oid": Primitive(is_oid, "urn:oid: and an OID of digits and dots"),
    "positiveInt": Primitive(
        is_positive_int,
        "a whole number from 1 to 2147483647, without quotes",
        "type(v) is int and 0 < v <= 2147483647",
    ),
    "string": _TEXT,
    "time": Primitive(is_time, "hh:mm:ss, with seconds and without a zone"),
    "unsignedInt": Primitive(
        is_unsigned_int,
        "a whole number from 0 to 2147483647, without quotes",
        "type(v) is int and 0 <= v <= 2147483647",
    ),
    "uri": _URI,
    "url": _URI,
    "uuid": Primitive(is_uuid, "urn:uuid: and a UUID in lower case"),
    "xhtml": Primitive(lambda value: type(value) is str and value != "", "XHTML in a text"),
}
