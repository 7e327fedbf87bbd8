"""The selectors of XML Patch: the part of XPath that RFC 5261, section 4.1, allows.

https://hl7.org/fhir/R4/http.html#patch
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from lxml import etree

Kind = Literal["element", "attribute", "text", "comment", "instruction", "namespace"]

MAXIMUM_LENGTH = 2_000
MAXIMUM_VISITS = 1_000_000

_NAME = r"[^\W\d][\w.\-]*"
_QNAME = rf"(?:{_NAME}:)?{_NAME}"
_LITERAL = r"""'[^']*'|"[^"]*\""""
_STEP = re.compile(
    rf"(?P<kind>text|comment)\(\)|processing-instruction\((?P<target>{_LITERAL})?\)"
    rf"|namespace::(?P<namespace>{_NAME})|@(?P<attribute>{_QNAME})|(?P<element>\*|{_QNAME})"
)
_PREDICATE = re.compile(
    rf"\[\s*(?:(?P<index>[1-9][0-9]{{0,8}})|(?P<path>(?:{_QNAME}/)*(?:@?{_QNAME}|\.))"
    rf"\s*=\s*(?P<literal>{_LITERAL}))\s*\]"
)


@dataclass(frozen=True, slots=True)
class Equals:
    """A predicate [a/b/@c='value']: elements on the way from the candidate, then its attribute or its own text."""

    way: tuple[str, ...]
    attribute: str | None
    value: str


@dataclass(frozen=True, slots=True)
class Step:
    """One step: name is an element's or attribute's in Clark notation, a prefix, an instruction's target, or * ."""

    kind: Kind
    name: str
    predicates: tuple[int | Equals, ...]


Selector = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class ElementNode:
    """An element, or a comment or processing instruction, which lxml treats as such."""

    element: etree._Element


@dataclass(frozen=True, slots=True)
class AttributeNode:
    owner: etree._Element
    name: str


@dataclass(frozen=True, slots=True)
class TextNode:
    """The text at the beginning of an element, or (tail) behind it."""

    holder: etree._Element
    tail: bool

    @property
    def text(self) -> str:
        return (self.holder.tail if self.tail else self.holder.text) or ""


Node = ElementNode | AttributeNode | TextNode


class Visits:
    """How many nodes the selectors of one patch may look at in all."""

    def __init__(self) -> None:
        self.left = MAXIMUM_VISITS

    def spend(self) -> None:
        self.left -= 1
        if self.left < 0:
            raise LookupError(f"the patch looks at more than {MAXIMUM_VISITS} nodes")


def parse_selector(text: str, namespaces: Mapping[str | None, str]) -> Selector:
    """The steps of a selector; a name without prefix is in the default namespace, as RFC 5261 says, if there is one.

    Raises ValueError, saying why, for what RFC 5261 does not allow. Beyond it, the left side of a predicate may be a
    path (f:system/@value='x'), since FHIR keeps values in attributes.
    """
    if len(text) > MAXIMUM_LENGTH:
        raise ValueError(f"is longer than {MAXIMUM_LENGTH} characters")
    steps: list[Step] = []
    place = 1 if text.startswith("/") else 0
    while True:
        if steps and steps[-1].kind != "element":
            raise ValueError("has a step behind one that has no children")
        match = _STEP.match(text, place)
        if match is None:
            raise ValueError(f"cannot be read from '{text[place : place + 40]}' on")
        place = match.end()
        predicates: list[int | Equals] = []
        while predicate := _PREDICATE.match(text, place):
            predicates.append(_predicate(predicate, namespaces))
            place = predicate.end()
        steps.append(_step(match, tuple(predicates), namespaces))
        if place == len(text):
            return tuple(steps)
        if text[place] != "/":
            raise ValueError(f"cannot be read from '{text[place : place + 40]}' on")
        place += 1


def _step(
    match: re.Match[str], predicates: tuple[int | Equals, ...], namespaces: Mapping[str | None, str]
) -> Step:
    if match["kind"]:
        return Step("text" if match["kind"] == "text" else "comment", "*", predicates)
    if match["namespace"]:
        return Step("namespace", match["namespace"], predicates)
    if match["attribute"]:
        return Step("attribute", attribute_name(match["attribute"], namespaces), predicates)
    if match["element"]:
        name = match["element"]
        return Step("element", name if name == "*" else _name(name, namespaces), predicates)
    return Step("instruction", (match["target"] or "'*'")[1:-1], predicates)


def _predicate(match: re.Match[str], namespaces: Mapping[str | None, str]) -> int | Equals:
    if match["index"]:
        return int(match["index"])
    *way, last = match["path"].split("/")
    value = match["literal"][1:-1]
    attribute = None
    if last.startswith("@"):
        attribute = attribute_name(last[1:], namespaces)
    elif last != ".":
        way.append(last)
    return Equals(tuple(_name(item, namespaces) for item in way), attribute, value)


def _name(text: str, namespaces: Mapping[str | None, str]) -> str:
    prefix, _, local = text.rpartition(":")
    if (prefix or None) not in namespaces:
        if not prefix:
            return local
        raise ValueError(f"uses the prefix {prefix}, which is not declared")
    return f"{{{namespaces[prefix or None]}}}{local}"


def attribute_name(text: str, namespaces: Mapping[str | None, str]) -> str:
    """An attribute's name in Clark notation: without prefix it has no namespace."""
    return _name(text, namespaces) if ":" in text else text


def select(root: etree._Element, selector: Selector, visits: Visits) -> Node:
    """The one node that the selector means; raises LookupError, saying why, when it means none or several."""
    found: list[Node] = []
    level: list[etree._Element] | None = None
    for step in selector:
        found = []
        for parent in level if level is not None else (None,):
            candidates = list(_candidates(root, parent, step, visits))
            for predicate in step.predicates:
                candidates = _filtered(candidates, predicate, visits)
            found.extend(candidates)
        level = [node.element for node in found if isinstance(node, ElementNode)]
    if not found:
        raise LookupError("its selector finds nothing")
    if len(found) > 1:
        raise LookupError(f"its selector finds {len(found)} nodes and must find one")
    return found[0]


def _candidates(
    root: etree._Element, parent: etree._Element | None, step: Step, visits: Visits
) -> Iterator[Node]:
    visits.spend()
    if parent is None:
        if step.kind == "element" and step.name in ("*", root.tag):
            yield ElementNode(root)
        return
    if step.kind == "attribute":
        if step.name in parent.attrib:
            yield AttributeNode(parent, step.name)
        return
    if step.kind == "text" and parent.text:
        yield TextNode(parent, tail=False)
    for child in parent:
        visits.spend()
        if step.kind == "text":
            if child.tail:
                yield TextNode(child, tail=True)
        elif _is(child, step):
            yield ElementNode(child)


def _is(child: Any, step: Step) -> bool:
    # Any, since the stubs do not know that the tag of a comment is the function that makes comments.
    if step.kind == "element":
        return isinstance(child.tag, str) and step.name in ("*", child.tag)
    if step.kind == "comment":
        return child.tag is etree.Comment
    if step.kind == "instruction":
        return child.tag is etree.ProcessingInstruction and step.name in ("*", child.target)
    return False


def _filtered(candidates: list[Node], predicate: int | Equals, visits: Visits) -> list[Node]:
    if isinstance(predicate, int):
        return candidates[predicate - 1 : predicate]
    return [node for node in candidates if _holds(node, predicate, visits)]


def _holds(node: Node, predicate: Equals, visits: Visits) -> bool:
    if isinstance(node, TextNode):
        return not predicate.way and predicate.attribute is None and node.text == predicate.value
    if not isinstance(node, ElementNode):
        return False
    elements = [node.element]
    for name in predicate.way:
        elements = [child for element in elements for child in element.iterchildren(name)]
    for element in elements:
        visits.spend()
        if predicate.attribute is not None:
            if element.get(predicate.attribute) == predicate.value:
                return True
        elif _text(element, visits) == predicate.value:
            return True
    return False


def _text(element: etree._Element, visits: Visits) -> str:
    parts = []
    for part in element.itertext():
        visits.spend()
        parts.append(str(part))
    return "".join(parts)
