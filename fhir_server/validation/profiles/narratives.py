"""What profiles ask of the sections of a narrative in several languages.

https://hl7.org/fhir/extensions/StructureDefinition-narrative-language-control.html
"""

from __future__ import annotations

from typing import Any, Final
from xml.parsers import expat

from fhir_server.spec.xml_div import FINAL, without_named_entities

_NONE: Final = "_no"
_SOME: Final = "_yes"
_OF_RESOURCE: Final = "_resource"


def language_fault(asked: tuple[str, ...], narrative: Any, language: Any) -> str | None:
    """Why a narrative has not the language sections asked for, as a sentence; language: that of its resource."""
    div = narrative.get("div") if isinstance(narrative, dict) else None
    if not isinstance(div, str):
        return None
    found = _sections(div)
    for wanted in asked:
        if wanted == _NONE and found:
            return f"is divided into languages ({', '.join(sorted(found))}); it has to be one text"
        if wanted == _SOME and not found:
            return "has no sections with a language; divide it into those"
        needed = language if wanted == _OF_RESOURCE else wanted
        if wanted not in (_NONE, _SOME) and needed is not None and needed not in found:
            return f"has no section in the language {needed}; add one"
    return None


def _sections(div: str) -> frozenset[str]:
    """The languages of the divs right inside a narrative's div."""
    depth = 0
    found = set()

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        told = attributes.get("lang") or attributes.get("xml:lang")
        if depth == 2 and name == "div" and told:
            found.add(told)

    def end(name: str) -> None:
        del name
        nonlocal depth
        depth -= 1

    parser = expat.ParserCreate("UTF-8")
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    try:
        parser.Parse(without_named_entities(div).encode(), FINAL)
    except (expat.ExpatError, UnicodeEncodeError):
        return frozenset()  # the base rules tell that it is no XHTML
    return frozenset(found)
