"""Code systems defined outside FHIR by a grammar or a short list: media types, languages, currencies, countries, units.

https://hl7.org/fhir/R4/terminologies-systems.html
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

import orjson

from fhir_server.spec import definitions, ucum
from fhir_server.terminology.code_systems import Concept
from fhir_server.terminology.faults import NotEnumerable

_TOKEN = r"[A-Za-z0-9!#$&^_.+-]"  # noqa: S105 - a character class of RFC 6838, not a secret
_MEDIA_TYPE = re.compile(
    rf"{_TOKEN}{{1,127}}/{_TOKEN}{{1,127}}"
    rf"(?: ?; ?{_TOKEN}{{1,127}}=(?:{_TOKEN}{{1,127}}|\"[^\"\r\n]{{0,255}}\")){{0,20}}",
    re.ASCII,
)
# https://www.rfc-editor.org/rfc/rfc5646#section-2.1
_LANGUAGE = re.compile(
    r"(?:[a-z]{2,3}(?:-[a-z]{3}){0,3}|[a-z]{4}|[a-z]{5,8})"
    r"(?:-[a-z]{4})?(?:-(?:[a-z]{2}|[0-9]{3}))?"
    r"(?:-(?:[a-z0-9]{5,8}|[0-9][a-z0-9]{3})){0,10}"
    r"(?:-[0-9a-wy-z](?:-[a-z0-9]{2,8}){1,10}){0,10}"
    r"(?:-x(?:-[a-z0-9]{1,8}){1,10})?"
    r"|x(?:-[a-z0-9]{1,8}){1,10}"
    r"|i-(?:ami|bnn|default|enochian|hak|klingon|lux|mingo|navajo|pwn|tao|tay|tsu)"
    r"|en-gb-oed|sgn-(?:be-fr|be-nl|ch-de)|art-lojban|cel-gaulish|no-(?:bok|nyn)|zh-(?:guoyu|hakka|min|min-nan|xiang)",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Algorithmic:
    """A System whose codes are told by has; display: how one is called; listed: all codes, where they can be listed."""

    url: str
    name: str
    has: Callable[[str], object]
    display: Callable[[str], str]
    listed: Callable[[], Iterable[str]] | None = None
    version: str | None = None
    complete: bool = True

    def find(self, code: str) -> Concept | None:
        """See System."""
        return Concept(code, self.display(code)) if self.has(code) else None

    def concepts(self) -> Iterable[Concept]:
        """See System."""
        if self.listed is None:
            raise NotEnumerable(
                f"The codes of {self.url} are made by a grammar and cannot be listed; "
                "ask $validate-code, or include the codes that you need one by one"
            )
        return (Concept(code, self.display(code)) for code in self.listed())

    def below(self, code: str) -> frozenset[str]:
        """See System: nothing subsumes anything else."""
        return frozenset({code})

    def above(self, code: str) -> frozenset[str]:
        """See System."""
        return frozenset({code})


@cache
def _language_names() -> Mapping[str, str]:
    found = definitions.terminology("ValueSet", "http://hl7.org/fhir/ValueSet/languages") or {}
    listed: list[dict[str, str]] = [
        concept
        for part in found.get("compose", {}).get("include", ())
        for concept in part.get("concept", ())
    ]
    return {item["code"]: item["display"] for item in listed if "display" in item}


@cache
def _iso_codes() -> dict[str, Any]:
    path = Path(ucum.__file__).with_name("iso_codes.json")
    found: dict[str, Any] = orjson.loads(path.read_bytes())
    return found


@cache
def _currencies() -> Mapping[str, str]:
    found: Mapping[str, str] = _iso_codes()["currencies"]
    return found


@cache
def _countries() -> Mapping[str, str]:
    """By two letters, three letters and number, as R4 takes all three from one system."""
    rows = list(_iso_codes()["countries"].items())
    return {
        (two, three, number)[place]: name
        for place in range(3)
        for two, (three, number, name) in rows
    }


def _is_subdivision(code: str) -> bool:
    """Whether it has the form of a part of a country: GB-SCT."""
    country, _, part = code.partition("-")
    return (
        len(country) == 2
        and country in _countries()
        and 0 < len(part) < 4
        and part.isascii()
        and part.isalnum()
        and part == part.upper()
    )


ALGORITHMIC: Final[Mapping[str, Algorithmic]] = {
    item.url: item
    for item in (
        Algorithmic("urn:ietf:bcp:13", "MimeTypes", _MEDIA_TYPE.fullmatch, lambda code: code),
        Algorithmic(
            "urn:ietf:bcp:47",
            "Languages",
            _LANGUAGE.fullmatch,
            lambda code: _language_names().get(code, code),
        ),
        Algorithmic(ucum.SYSTEM, "UCUM", ucum.is_unit, lambda code: ucum.names().get(code, code)),
        Algorithmic(
            "urn:iso:std:iso:4217",
            "Currencies",
            lambda code: code in _currencies(),
            lambda code: _currencies()[code],
            lambda: _currencies(),
        ),
        Algorithmic(
            "urn:iso:std:iso:3166",
            "Countries",
            lambda code: code in _countries(),
            lambda code: _countries()[code],
            lambda: _countries(),
        ),
        Algorithmic("urn:iso:std:iso:3166:-2", "Subdivisions", _is_subdivision, lambda code: code),
        Algorithmic(
            "http://unstats.un.org/unsd/methods/m49/m49.htm",
            "Regions",
            re.compile("[0-9]{3}").fullmatch,
            lambda code: code,
        ),
    )
}
