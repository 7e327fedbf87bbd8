"""XML in: one pass over expat's events builds the JSON form of a resource (https://hl7.org/fhir/R4/xml.html).

Expat rather than a tree: it tells where in the source a narrative stands, which JSON keeps as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from xml.parsers import expat

from fhir_server.spec.errors import Issue
from fhir_server.spec.json_format import LONGEST_NUMBER, MAXIMUM_DEPTH, MOST_FAULTS
from fhir_server.spec.xml_div import FINAL, Div, Foreign, NotAlone, RewrittenDiv, SourceDiv
from fhir_server.spec.xml_plan import (
    FHIR,
    XHTML,
    Slot,
    container_content,
    plan_of,
    primitive_content,
)
from fhir_server.spec.xml_values import READERS

Json = dict[str, Any]

_SCHEMA_LOCATION = "http://www.w3.org/2001/XMLSchema-instance schemaLocation"
_WHITE = " \t\r\n"


class _Frame:
    """An open element: where its children go, and how far through the definition they have come."""

    __slots__ = ("depth", "elements", "faulty", "holes", "position", "slot", "value")

    def __init__(self, slot: Slot, elements: Mapping[str, Slot], value: Json, depth: int) -> None:
        self.slot = slot
        self.elements = elements
        self.value = value
        self.depth = depth
        self.position = -1
        self.holes = False
        self.faulty = False


class Stopped(Exception):
    """The rest of the document is not looked at: it is too deep, or has too many faults already."""


class Reader:
    """The handlers of one document, what they build, and what is wrong with the document.

    A fault ends nothing: what has no place in FHIR is passed over, a value of the wrong form is kept as text.
    rewrite: narratives are written anew instead of cut out of the source. read raises Stopped, ExpatError, and,
    without rewrite, NotAlone; faults are those found until then.
    """

    def __init__(self, body: bytes, *, rewrite: bool) -> None:
        self.body = body
        self.rewrite = rewrite
        self.document: Json = {}
        self.faults: list[Issue] = []
        root = Slot(0, "root", "", "", many=False, kind="container", type="Resource")
        self.frame = _Frame(root, container_content().elements, self.document, 0)
        self.stack: list[_Frame] = []
        self.leaf: Slot | None = None
        self.default_namespace_at = -1
        self.parser = expat.ParserCreate("UTF-8", " ")
        self.parser.buffer_text = True
        self.parser.ordered_attributes = True
        self.parser.XmlDeclHandler = self.declaration
        self.parser.StartNamespaceDeclHandler = self.namespace
        self.listen()

    def listen(self) -> None:
        self.parser.StartElementHandler = self.start
        self.parser.EndElementHandler = self.end
        self.parser.CharacterDataHandler = self.text
        self.parser.CommentHandler = None

    def read(self) -> Json | None:
        """The resource; None when the document element is none."""
        try:
            self.parser.Parse(self.body, FINAL)
        finally:
            del self.parser  # its handlers are ours: without the circle both go at once
        return self.document.get("root")

    # FHIR elements

    def start(self, name: str, attributes: list[str]) -> None:
        if self.leaf is not None:
            self.open_leaf(self.leaf)
        frame = self.frame
        slot = frame.elements.get(name)
        if slot is None:
            self.note_name(name)
            self.skip()
            return
        position = slot.position
        if position <= frame.position and (position < frame.position or not slot.many):
            self.note_order(slot)
            if self.is_there(slot):
                self.skip()
                return
        frame.position = position
        kind = slot.kind
        if kind == "primitive":
            if slot.single and len(attributes) == 2 and attributes[0] == "value" and attributes[1]:
                self.leaf = slot
                frame.value[slot.name] = self.value(slot, attributes[1])
            else:
                self.primitive(slot, frame, attributes)
        elif kind == "complex":
            plan = plan_of(slot.type)
            value: Json = {}
            if attributes:
                self.attributes(slot, attributes, plan.attributes, value)
            self.push(slot, plan.elements, value, self.place(slot, frame, value))
        elif kind == "container":
            self.attributes(slot, attributes, (), {})
            self.push(slot, container_content().elements, frame.value, frame.depth)
        elif kind == "resource":
            # R4's own examples have this one on their document element; it says nothing.
            if attributes and (self.stack or attributes[::2] != [_SCHEMA_LOCATION]):
                self.attributes(slot, attributes, (), {})
            value = {"resourceType": slot.type}
            self.push(
                slot, plan_of(slot.type).elements, value, self.place(frame.slot, frame, value)
            )
        else:
            self.open_div(slot, attributes)

    def place(self, slot: Slot, frame: _Frame, value: Json) -> int:
        """Put a new object under its parent; returns how deep it stands."""
        if slot.many:
            frame.value.setdefault(slot.name, []).append(value)
            return frame.depth + 2
        frame.value[slot.name] = value
        return frame.depth + 1

    def push(self, slot: Slot, elements: Mapping[str, Slot], value: Json, depth: int) -> None:
        self.stack.append(self.frame)
        self.frame = _Frame(slot, elements, value, depth)
        if depth > MAXIMUM_DEPTH:
            self.note(f"The body is nested deeper than {MAXIMUM_DEPTH} levels")
            raise Stopped

    def primitive(self, slot: Slot, frame: _Frame, attributes: list[str]) -> None:
        value: Any = None
        extra: Json | None = None
        for index in range(0, len(attributes), 2):
            name, text = attributes[index], attributes[index + 1]
            if name == "value" and text:
                value = self.value(slot, text)
            elif name == "id" and text:
                extra = {"id": text}
            else:
                self.note_attribute(slot, name, text, ("id", "value"))
        self.leaf = slot
        values = frame.value
        if not slot.many:
            if value is not None:
                values[slot.name] = value
            if extra is not None:
                values[slot.sibling] = extra
            return
        listed = values.setdefault(slot.name, [])
        listed.append(value)
        if value is None:
            frame.holes = True
        if extra is not None or slot.sibling in values:
            values.setdefault(slot.sibling, [None] * (len(listed) - 1)).append(extra)

    def value(self, slot: Slot, text: str) -> Any:
        reader = READERS.get(slot.type)
        if reader is None:
            return text
        try:
            return reader(text)
        except ValueError as error:
            self.note(f"The value '{text[:LONGEST_NUMBER]}' of {slot.name} {error}", slot)
            return text

    def open_leaf(self, slot: Slot) -> None:
        """A primitive turns out to have children: open the object that will hold its extensions."""
        values = self.frame.value
        extra: Json
        depth = self.frame.depth + 1
        if slot.many:
            depth += 1
            others = values.setdefault(slot.sibling, [None] * len(values[slot.name]))
            extra = others[-1] = others[-1] or {}
        else:
            extra = values.setdefault(slot.sibling, {})
        self.leaf = None
        self.push(slot, primitive_content().elements, extra, depth)

    def end(self, _: str) -> None:
        leaf = self.leaf
        if leaf is not None:
            self.leaf = None
            self.close_leaf(leaf)
            return
        frame = self.frame
        kind = frame.slot.kind
        if (
            frame.position < 0
            and not frame.faulty
            and (kind == "container" or (kind == "complex" and not frame.value))
        ):
            self.note("The element is empty; give it a value or children, or leave it out")
        if frame.holes:
            for name, item in list(frame.value.items()):
                if type(item) is list and item.count(None) == len(item):
                    del frame.value[name]
        self.frame = self.stack.pop()

    def close_leaf(self, slot: Slot) -> None:
        values = self.frame.value
        if slot.many:
            if values[slot.name][-1] is not None:
                return
            others = values.get(slot.sibling)
            if others and others[-1] is not None:
                return
        elif slot.name in values or slot.sibling in values:
            return
        # Its value may be what was at fault.
        if not (self.faults and self.faults[-1].expression == (self.path(slot),)):
            self.note(f"The element {slot.name} has no value; give it one, or leave it out", slot)

    def attributes(
        self, slot: Slot, attributes: list[str], allowed: tuple[str, ...], value: Json
    ) -> None:
        for index in range(0, len(attributes), 2):
            name, text = attributes[index], attributes[index + 1]
            if not text or name not in allowed:
                self.note_attribute(slot, name, text, allowed)
            else:
                value[name] = text

    def text(self, text: str) -> None:
        if text.strip(_WHITE):
            self.note(
                f"There is the text '{text.strip(_WHITE)[:40]}' between elements; "
                "values belong in the attribute 'value'"
            )

    # Narrative

    def open_div(self, slot: Slot, attributes: list[str]) -> None:
        if not self.rewrite and self.default_namespace_at != self.parser.CurrentByteIndex:
            raise NotAlone
        div: Div = RewrittenDiv() if self.rewrite else SourceDiv(self.body, self.parser)
        values = self.frame.value
        level = 0

        def start(name: str, attributes: list[str]) -> None:
            nonlocal level
            level += 1
            try:
                div.start(name, attributes)
            except Foreign as fault:
                self.note(str(fault), slot)
                self.skip(level)

        def end(name: str) -> None:
            nonlocal level
            div.end(name)
            level -= 1
            if level == 0:
                values[slot.name] = div.result()
                self.listen()

        self.parser.StartElementHandler = start
        self.parser.EndElementHandler = end
        self.parser.CharacterDataHandler = div.characters if self.rewrite else None
        self.parser.CommentHandler = div.comment if self.rewrite else None
        start(f"{XHTML} div", attributes)

    # The document

    def declaration(self, _: str, encoding: str | None, __: int) -> None:
        if encoding is not None and encoding.lower() not in ("utf-8", "utf8"):
            self.note(f"The XML declaration says encoding {encoding}; FHIR is always UTF-8")

    def namespace(self, prefix: str | None, _: str) -> None:
        if prefix is None:
            self.default_namespace_at = self.parser.CurrentByteIndex

    # Faults

    def skip(self, level: int = 1) -> None:
        """Pass over the open elements, so many, and what is in them."""

        def start(*_: object) -> None:
            nonlocal level
            level += 1

        def end(_: str) -> None:
            nonlocal level
            level -= 1
            if level == 0:
                self.listen()

        self.parser.StartElementHandler = start
        self.parser.EndElementHandler = end
        self.parser.CharacterDataHandler = None
        self.parser.CommentHandler = None

    def path(self, slot: Slot | None) -> str:
        """The FHIRPath of the open element, or of a child of it."""
        steps: list[str] = []
        frames = [*self.stack, self.frame][1:]
        for index, frame in enumerate(frames):
            if frame.slot.kind == "resource":
                if index == 0:
                    steps.append(frame.slot.name)
                continue
            steps.append(self.step(frame.slot, [*self.stack, self.frame][index].value))
        if slot is not None:
            steps.append(self.step(slot, self.frame.value))
        return ".".join(steps)

    @staticmethod
    def step(slot: Slot, parent: Json) -> str:
        if not slot.many:
            return slot.element
        return f"{slot.element}[{max(len(parent.get(slot.name, ())) - 1, 0)}]"

    def note(self, diagnostics: str, slot: Slot | None = None) -> None:
        path = self.path(slot)
        place = f"line {self.parser.CurrentLineNumber}"
        self.frame.faulty = True
        self.faults.append(
            Issue(
                "error",
                "structure",
                f"{diagnostics} ({path}, {place})" if path else f"{diagnostics} ({place})",
                (path,) if path else (),
            )
        )
        if len(self.faults) == MOST_FAULTS:
            raise Stopped

    def note_name(self, name: str) -> None:
        namespace, _, local = name.rpartition(" ")
        expected = XHTML if f"{XHTML} {local}" in self.frame.elements else FHIR
        if namespace != expected:
            self.note(
                f"The element {local} is in "
                + (f"the namespace {namespace}" if namespace else "no namespace")
                + f"; it belongs in {expected}"
            )
        elif self.frame.slot.kind in ("container", "root"):
            self.note(f"{local} is not an R4 resource type")
        else:
            self.note(f"R4 defines no element {local} here")

    def is_there(self, slot: Slot) -> bool:
        """Whether an element that may be once is there already, in another type of its choice perhaps."""
        frame = self.frame
        if slot.position == frame.position or slot.kind == "resource":
            return True
        return not slot.many and (slot.name in frame.value or slot.sibling in frame.value)

    def note_order(self, slot: Slot) -> None:
        if slot.kind == "resource":
            self.note(f"A second resource, {slot.name}, stands where one may be")
        elif self.is_there(slot):
            self.note(f"The element {slot.name} is there again, and {slot.element} may be once")
        else:
            self.note(f"The element {slot.name} comes too late; XML keeps the definition's order")

    def note_attribute(self, slot: Slot, name: str, text: str, allowed: tuple[str, ...]) -> None:
        local = name.rpartition(" ")[2]
        if not text and name in allowed:
            self.note(f"The attribute {local} of {slot.name} is empty; leave it out", slot)
        else:
            self.note(
                f"R4 defines no attribute {local} of the element {slot.name}; remove it", slot
            )
