"""The narrative's div between XML, where it is elements, and JSON, where it is a string.

https://hl7.org/fhir/R4/narrative.html, https://hl7.org/fhir/R4/json.html#xhtml
"""

from __future__ import annotations

import re
from collections.abc import Callable
from html.entities import name2codepoint
from typing import Protocol
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr

from fhir_server.spec.xml_plan import XHTML

FINAL = True  # for expat: no more of the document comes
_DIV = f"{XHTML} div"
_XML = "http://www.w3.org/XML/1998/namespace "
_NAMED = re.compile(r"&([A-Za-z][A-Za-z0-9]*);")
_XML_ENTITIES = frozenset(("amp", "lt", "gt", "quot", "apos"))


class NotAlone(Exception):
    """The div's source does not stand alone: it uses prefixes, or a default namespace from outside."""


class Foreign(Exception):
    """The div holds something that is not of the XHTML namespace; says what."""


class Div(Protocol):
    """The handlers of the events in a div, and its text once it is closed."""

    def start(self, name: str, attributes: list[str]) -> None: ...
    def characters(self, text: str) -> None: ...
    def comment(self, text: str) -> None: ...
    def end(self, name: str) -> None: ...
    def result(self) -> str: ...


def _local(name: str) -> str:
    namespace, _, local = name.rpartition(" ")
    if namespace != XHTML:
        raise Foreign(f"The narrative holds an element {local} outside the namespace {XHTML}")
    return local


def _attribute(name: str) -> str:
    if " " not in name:
        return name
    if not name.startswith(_XML):
        local = name.rpartition(" ")[2]
        raise Foreign(f"The narrative holds an attribute {local} of a namespace that XHTML has not")
    return "xml:" + name.removeprefix(_XML)


class SourceDiv:
    """Cuts the div out of the document as it was written."""

    __slots__ = ("begin", "body", "parser")

    def __init__(self, body: bytes, parser: expat.XMLParserType) -> None:
        self.body = body
        self.parser = parser
        self.begin = parser.CurrentByteIndex

    def start(self, name: str, attributes: list[str]) -> None:
        for attribute in attributes[::2]:
            _attribute(attribute)
        if not self.body.startswith(_local(name).encode(), self.parser.CurrentByteIndex + 1):
            raise NotAlone

    def characters(self, text: str) -> None:
        """The source has them."""

    def comment(self, text: str) -> None:
        """The source has it."""

    def end(self, _: str) -> None:
        """The source has it."""

    def result(self) -> str:
        end = self.parser.CurrentByteIndex
        # Of <div/> expat reports the place behind the tag, of <div></div> the end tag's beginning.
        if self.body.startswith(b"</div", end):
            end = self.body.index(b">", end) + 1
        return self.body[self.begin : end].decode()


class RewrittenDiv:
    """Writes the div anew, with XHTML as the default namespace and without prefixes."""

    __slots__ = ("empty", "parts")

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.empty = False

    def start(self, name: str, attributes: list[str]) -> None:
        self.close_tag()
        namespace = "" if self.parts else f' xmlns="{XHTML}"'
        self.parts.append(f"<{_local(name)}{namespace}")
        for attribute, value in zip(attributes[::2], attributes[1::2], strict=True):
            self.parts.append(f" {_attribute(attribute)}={quoteattr(value)}")
        self.empty = True

    def close_tag(self) -> None:
        if self.empty:
            self.parts.append(">")
            self.empty = False

    def characters(self, text: str) -> None:
        self.close_tag()
        self.parts.append(escape(text))

    def comment(self, text: str) -> None:
        self.close_tag()
        self.parts.append(f"<!--{text}-->")

    def end(self, name: str) -> None:
        self.parts.append("/>" if self.empty else f"</{_local(name)}>")
        self.empty = False

    def result(self) -> str:
        return "".join(self.parts)


def without_named_entities(div: str) -> str:
    """The div with characters for HTML's named entities, which XML does not know; amp, lt, gt, quot, apos stay."""
    return _NAMED.sub(_character, div) if "&" in div else div


def canonical(div: str) -> str:
    """The div as RewrittenDiv writes it: equal for sources that differ in quotes, prefixes or empty tags only.

    Raises ValueError when it is not well-formed XML of the XHTML namespace.
    """
    rewritten = RewrittenDiv()
    parser = expat.ParserCreate("UTF-8", " ")
    parser.ordered_attributes = True
    parser.buffer_text = True
    parser.StartElementHandler = rewritten.start
    parser.EndElementHandler = rewritten.end
    parser.CharacterDataHandler = rewritten.characters
    parser.CommentHandler = rewritten.comment
    try:
        parser.Parse(without_named_entities(div).encode(), FINAL)
    except (expat.ExpatError, UnicodeEncodeError, Foreign) as error:
        raise ValueError(str(error)) from None
    return rewritten.result()


def embedded(div: str) -> str:
    """The div of a JSON resource as it goes into XML: as it is, only HTML's named entities become characters.

    Raises ValueError, saying why, when it is not one well-formed element div of the XHTML namespace.
    """
    div = without_named_entities(div)
    if not div.startswith("<div"):
        raise ValueError("does not begin with <div")
    names: list[str] = []
    parser = expat.ParserCreate("UTF-8", " ")
    parser.StartElementHandler = _first(names, parser)
    try:
        parser.Parse(div.encode(), FINAL)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        raise ValueError(f"is not well-formed XHTML: {error}") from None
    if names == [_DIV]:
        return div
    if names == ["div"]:
        return f'<div xmlns="{XHTML}"{div.removeprefix("<div")}'
    raise ValueError(f"is not an element div of {XHTML}")


def _first(names: list[str], parser: expat.XMLParserType) -> Callable[[str, dict[str, str]], None]:
    def note(name: str, _: dict[str, str]) -> None:
        names.append(name)
        parser.StartElementHandler = None

    return note


def _character(match: re.Match[str]) -> str:
    name = match[1]
    if name in _XML_ENTITIES or name not in name2codepoint:
        return match[0]
    return chr(name2codepoint[name])
