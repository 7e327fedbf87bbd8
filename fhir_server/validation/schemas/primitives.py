"""The primitive datatypes as JSON Schema: the same as validation/primitives.py, as far as a schema can say it.

A schema sees numbers, not their digits, so 1.0 is an integer to it. https://hl7.org/fhir/R4/datatypes.html#primitive
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fhir_server.validation.primitives import LONGEST_STRING

Json = dict[str, Any]

# "$" would let a last line end through in some dialects of regular expressions.
_END: Final = r"(?![\s\S])"
_INK: Final = r"[^\u0000-\u0020\ufffe\uffff]"
_TEXT: Final = rf"^(?=[\s\S]*\S)[^\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]+{_END}"
_YEAR: Final = "(?!0000)[0-9]{4}"
_LEAP_YEAR: Final = (
    "(?!0000)(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)"
)
_DAY: Final = (
    f"(?:{_YEAR}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])|(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)"
    f"|02-(?:0[1-9]|1[0-9]|2[0-8]))|{_LEAP_YEAR}-02-29)"
)
_DATE: Final = f"(?:{_YEAR}(?:-(?:0[1-9]|1[0-2]))?|{_DAY})"
_TIME: Final = r"(?:[01][0-9]|2[0-3]):[0-5][0-9]:(?:[0-5][0-9]|60)(?:\.[0-9]+)?"
_ZONE: Final = "(?:Z|[+-](?:(?:0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_OID: Final = r"urn:oid:[0-2](?:\.(?:0|[1-9][0-9]*))+"
_UUID: Final = "urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_BLANK: Final = r"[ \t\n\r\f\v]*"
_SIGN: Final = rf"[A-Za-z0-9+/]{_BLANK}"
_BASE64: Final = (
    rf"^(?=[\s\S]*[A-Za-z0-9+/]){_BLANK}(?:(?:{_SIGN}){{4}})*"
    rf"(?:(?:{_SIGN}){{2}}={_BLANK}={_BLANK}|(?:{_SIGN}){{3}}={_BLANK})?{_END}"
)


def _text(pattern: str) -> Json:
    return {"type": "string", "pattern": pattern}


def _whole(pattern: str) -> Json:
    return _text(f"^(?:{pattern}){_END}")


def _integer(least: int) -> Json:
    return {"type": "integer", "minimum": least, "maximum": 2_147_483_647}


_STRING: Final = _text(_TEXT) | {"maxLength": LONGEST_STRING}
_URI: Final = _text(f"^(?:(?!urn:uuid:|urn:oid:){_INK}+|{_UUID}|{_OID}){_END}")

SCHEMAS: Final[Mapping[str, Json]] = {
    "base64Binary": _text(_BASE64),
    "boolean": {"type": "boolean"},
    "canonical": _URI,
    "code": _whole(rf"{_INK}+(?:[ \t\r\n]{_INK}+)*"),
    "date": _whole(_DATE),
    "dateTime": _whole(f"{_DATE}|{_DAY}T{_TIME}{_ZONE}"),
    "decimal": {"type": "number"},
    "id": _whole(r"[A-Za-z0-9\-.]{1,64}"),
    "instant": _whole(f"{_DAY}T{_TIME}{_ZONE}"),
    "integer": _integer(-2_147_483_648),
    "markdown": _STRING,
    "oid": _whole(_OID),
    "positiveInt": _integer(1),
    "string": _STRING,
    "time": _whole(_TIME),
    "unsignedInt": _integer(0),
    "uri": _URI,
    "url": _URI,
    "uuid": _whole(_UUID),
    "xhtml": {"type": "string", "minLength": 1},
}
