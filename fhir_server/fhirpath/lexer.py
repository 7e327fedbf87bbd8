"""FHIRPath's tokens (https://hl7.org/fhirpath/N1/#lexical-elements)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal[
    "name", "quoted", "string", "number", "temporal", "symbol", "variable", "special", "end"
]
LONGEST = 20_000


class FhirPathError(ValueError):
    """An expression that cannot be read, or one that cannot be evaluated."""


@dataclass(frozen=True, slots=True)
class Token:
    kind: Kind
    text: str
    place: int


_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n\r]*|/\*.*?\*/)
  | (?P<temporal>@T\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?
      |@\d{4}(?:-\d\d(?:-\d\d)?)?(?:T(?:\d\d(?::\d\d(?::\d\d(?:\.\d+)?)?)?)?(?:Z|[+-]\d\d:\d\d)?)?)
  | (?P<number>\d+(?:\.\d+)?)
  | (?P<special>\$this|\$index|\$total)
  | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
  | (?P<quoted>`(?:[^`\\]|\\.)*`)
  | (?P<string>'(?:[^'\\]|\\.)*')
  | (?P<variable>%(?:[A-Za-z0-9_][A-Za-z0-9_-]*|`(?:[^`\\]|\\.)*`|'(?:[^'\\]|\\.)*'))
  | (?P<symbol><=|>=|!=|!~|[-+*/&|=~<>().,{}\[\]])
    """,
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f"}
_ESCAPE = re.compile(r"\\(u[0-9A-Fa-f]{4}|.)", re.DOTALL)


def tokens(text: str) -> list[Token]:
    """The tokens of an expression, then one of kind end. Raises FhirPathError."""
    if len(text) > LONGEST:
        raise FhirPathError(
            f"The expression has {len(text)} characters; at most {LONGEST} are read"
        )
    found: list[Token] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise FhirPathError(f"{text[place : place + 10]!r} at {place} is no FHIRPath")
        kind = match.lastgroup
        if kind != "space":
            found.append(Token(kind, match[0], place))  # type: ignore[arg-type] # the groups are the kinds
        place = match.end()
    found.append(Token("end", "", place))
    return found


def unquote(text: str) -> str:
    """The characters of a string literal or delimited identifier. Raises FhirPathError for half a character."""
    inner = text[1:-1]
    if "\\" not in inner:
        return inner
    found = _ESCAPE.sub(lambda match: _character(match[1]), inner)
    try:
        # Characters beyond the first plane are written as two escapes.
        return found.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise FhirPathError("A \\u escape is half of a pair; write both halves") from None


def _character(code: str) -> str:
    if code[0] == "u" and len(code) == 5:
        return chr(int(code[1:], 16))
    return _ESCAPES.get(code, code)
