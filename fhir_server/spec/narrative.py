"""What may stand in a narrative: htmlChecks() of txt-1 and txt-2 (https://hl7.org/fhir/R4/narrative.html).

Narratives are shown in browsers, which read them as HTML: what HTML reads differently than XML is refused too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from xml.parsers import expat

from fhir_server.spec.xml_div import FINAL, without_named_entities
from fhir_server.spec.xml_plan import XHTML

MAXIMUM_FAULTS = 10


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# HTML 4.0, chapters 7 to 11 without 9.4, and 15; links and images; nothing that HTML 4.0 deprecates.
_ELEMENTS = _words(
    """
    div span h1 h2 h3 h4 h5 h6 address bdo
    em strong dfn code samp kbd var cite abbr acronym blockquote q sub sup p br pre
    ul ol li dl dt dd
    table caption thead tfoot tbody colgroup col tr th td
    tt i b big small hr
    a img map area
    """
)
_COMMON = _words(
    """
    id class style title lang xml:lang xml:space dir accesskey tabindex
    align valign char charoff width height span rowspan colspan abbr axis headers scope nowrap
    """
)
_OWN: Mapping[str, frozenset[str]] = {
    "div": _words("xmlns"),
    "a": _words("name href hreflang charset type rel rev shape coords"),
    "img": _words("src alt longdesc usemap ismap border"),
    "map": _words("name"),
    "area": _words("shape coords href nohref alt"),
    "blockquote": _words("cite"),
    "q": _words("cite"),
    "table": _words("summary border frame rules cellspacing cellpadding"),
}
_ALLOWED = {name: _COMMON | _OWN.get(name, frozenset()) for name in _ELEMENTS}
_LINKS = _words("href src cite longdesc usemap")
_SCHEMES = _words("http https ftp mailto tel fax sms urn cid mid")
_SCHEME = re.compile(r"([a-z][a-z0-9+.\-]*):", re.IGNORECASE)
_IMAGE = re.compile(r"data:image/(?:png|gif|jpeg|jpg|webp|bmp|svg\+xml)[;,]", re.IGNORECASE)
_INVISIBLE = re.compile(r"[\x00-\x20\x7f-\xa0\u200b\ufeff]+")
# A style may not run anything, nor load what is elsewhere; a backslash could spell any of these words otherwise.
# Pictures beside the page are in the tables that HL7's publisher makes of every StructureDefinition.
_STYLE = re.compile(
    r"""\\|@|<|expression\(|behaviou?r:|-moz-binding|image(?:-set)?\("""
    r"""|url\((?!['"]?(?:#|data:image/|[a-z0-9_-]++(?:[./][a-z0-9_-]++)*+['"]?\)))""",
    re.IGNORECASE,
)
_STYLE_COMMENT = re.compile(r"/\*.*?(?:\*/|\Z)", re.DOTALL)
# What most narratives consist of: text, allowed elements, and attributes that can do no harm.
_HARMLESS = re.compile(
    f'<div xmlns="{re.escape(XHTML)}">'
    r"(?:[^<&]++|&(?:amp|lt|gt|quot|apos|#[0-9]{1,7});"
    r"|</?+[a-z0-9]++"
    r'(?:\s++(?:id|class|title|lang|dir|align|valign|colspan|rowspan|scope|border|width|height)="[^<>&"]*+")*+'
    r"\s*+/?+>)*+\s*+"
)
_NAMES = re.compile("<([a-z0-9]++)")
_SOME_TEXT = re.compile(r">\s*+[^\s<&]")


def narrative_faults(div: str) -> list[str]:
    """Why a narrative's div breaks txt-1 or txt-2: sentences, at most MAXIMUM_FAULTS; none for a good one."""
    if (
        _HARMLESS.fullmatch(div)
        and _ELEMENTS.issuperset(_NAMES.findall(div))
        and _SOME_TEXT.search(div)
    ):
        return _parsed(div, None)
    if not div.startswith("<div"):
        return ["The narrative does not begin with <div"]
    if "<![CDATA[" in div:
        return [
            "The narrative has a CDATA section, which HTML reads otherwise; write &lt; and &amp;"
        ]
    checks = _Checks()
    faults = _parsed(without_named_entities(div), checks)
    if not checks.content and not faults:
        checks.say("The narrative is blank; it needs text or an image")
    return faults or checks.faults


def _parsed(div: str, checks: _Checks | None) -> list[str]:
    """Why a div is not well-formed, if so; on the way the checks see what is in it."""
    parser = expat.ParserCreate("UTF-8")
    if checks is not None:
        parser.ordered_attributes = True
        parser.buffer_text = True
        parser.StartElementHandler = checks.start
        parser.CharacterDataHandler = checks.characters
        parser.CommentHandler = checks.comment
        parser.ProcessingInstructionHandler = checks.instruction
    try:
        parser.Parse(div.encode(), FINAL)
    except (expat.ExpatError, UnicodeEncodeError) as error:
        return [f"The narrative is not well-formed XHTML: {error}"]
    return []


class _Checks:
    """The handlers of one narrative and the faults that they found."""

    __slots__ = ("content", "faults", "root")

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.content = False
        self.root = True

    def say(self, fault: str) -> None:
        if len(self.faults) < MAXIMUM_FAULTS and fault not in self.faults:
            self.faults.append(fault)

    def start(self, name: str, attributes: list[str]) -> None:
        if self.root:
            self.root = False
            self.check_root(name, attributes)
        allowed = _ALLOWED.get(name)
        if allowed is None:
            self.say(f"The element {name[:64]} is not allowed in a narrative")
            return
        if name == "img":
            self.content = True
        for index in range(0, len(attributes), 2):
            attribute, value = attributes[index], attributes[index + 1]
            if attribute in _LINKS and attribute in allowed:
                self.link(name, attribute, value)
            elif attribute == "style":
                self.style(name, value)
            elif attribute == "xmlns":
                if value != XHTML:
                    self.say(f"The element {name} of the narrative is not in the namespace {XHTML}")
            elif attribute not in allowed and not attribute.startswith("xmlns:"):
                self.say(f"The attribute {attribute[:64]} of {name} is not allowed in a narrative")

    def check_root(self, name: str, attributes: list[str]) -> None:
        if name != "div":
            self.say("The narrative is not one element div")
        elif "xmlns" not in attributes[::2]:
            self.say(f'The div of the narrative has no namespace; write xmlns="{XHTML}"')

    def link(self, name: str, attribute: str, value: str) -> None:
        target = _INVISIBLE.sub("", value)
        scheme = _SCHEME.match(target)
        if scheme is None or scheme[1].lower() in _SCHEMES:
            return
        if name == "img" and attribute == "src" and _IMAGE.match(target):
            return
        self.say(
            f"The attribute {attribute} of {name} has a {scheme[1][:20].lower()}: link, "
            "which is not allowed in a narrative"
        )

    def style(self, name: str, value: str) -> None:
        words = "".join(value.split())
        # With and without what looks like comments: in a string they are none, elsewhere they part words.
        if _STYLE.search(words) or _STYLE.search(_STYLE_COMMENT.sub("", words)):
            self.say(f"The style of {name} refers to something outside the narrative, or runs code")

    def characters(self, text: str) -> None:
        if not self.content and text.strip():
            self.content = True

    def comment(self, text: str) -> None:
        if text.startswith((">", "->")):
            self.say("A comment of the narrative begins with >, where HTML ends it")

    def instruction(self, target: str, _: str) -> None:
        self.say(f"The narrative has a processing instruction {target[:64]}")
