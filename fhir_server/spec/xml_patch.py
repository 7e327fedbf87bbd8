"""XML Patch, RFC 5261, on the XML form of a resource (https://hl7.org/fhir/R4/http.html#patch)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

from lxml import etree

from fhir_server.spec.errors import FhirError, Issue, malformed, unprocessable
from fhir_server.spec.xml_div import canonical
from fhir_server.spec.xml_format import parse_xml, refuse_dtd, serialise_xml
from fhir_server.spec.xml_plan import FHIR, XHTML
from fhir_server.spec.xml_selector import (
    AttributeNode,
    ElementNode,
    Node,
    Selector,
    TextNode,
    Visits,
    attribute_name,
    parse_selector,
    select,
)

Json = dict[str, Any]

MAXIMUM_OPERATIONS = 1_000
# The document element of RFC 5261's own use, of RFC 7351, and those that FHIR servers and clients write.
_ROOTS = frozenset(
    f"{namespace}{name}"
    for namespace in ("", f"{{{FHIR}}}", "{urn:ietf:rfc:7351}")
    for name in ("diff", "patch")
)
_PREFIXES: Mapping[str | None, str] = {
    "f": FHIR,
    "fhir": FHIR,
    "h": XHTML,
    "xhtml": XHTML,
    "xml": "http://www.w3.org/XML/1998/namespace",
}
_ATTRIBUTES = {
    "add": frozenset(("sel", "type", "pos")),
    "replace": frozenset(("sel",)),
    "remove": frozenset(("sel", "ws")),
}
_WHITE = " \t\r\n"


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as read: node holds its content; type and pos are add's, ws is remove's."""

    name: str
    selector: Selector
    node: etree._Element
    type: str
    pos: str
    ws: str
    label: str


class _Refused(Exception):
    """An operation that could be read cannot be carried out; says why."""


def apply_xml_patch(resource: Json, body: bytes) -> Json:
    """A new resource, patched; the input does not change, narratives that the patch leaves alone keep their source.

    The prefixes f and h stand for FHIR and XHTML unless the patch declares others. White space around elements, which
    ws of remove is about, has no meaning in FHIR: what there is of it goes. Content without a namespace takes that of
    its place. Raises FhirError 400 when the body is no
    patch document of at most MAXIMUM_OPERATIONS operations, 422 when an operation fails (each names it by its index)
    or the patched document is not FHIR XML any more.
    """
    try:
        before = serialise_xml(resource)
    except FhirError as error:
        raise FhirError(422, error.issues) from None
    try:
        root = etree.fromstring(before, _parser(own=True))
    except etree.XMLSyntaxError as error:
        raise _failed(f"The resource cannot be patched in XML: {error.msg}") from None
    patch_document(root, body)
    try:
        after = parse_xml(etree.tostring(root, encoding="UTF-8"))
    except FhirError as error:
        issues = tuple(
            replace(item, diagnostics=f"The patched resource is not valid: {item.diagnostics}")
            for item in error.issues
        )
        raise FhirError(422, issues) from None
    _restore(_sources(resource), after)
    return after


def patch_document(root: etree._Element, body: bytes) -> None:
    """Apply a patch document to a tree in place; raises FhirError as apply_xml_patch does."""
    visits = Visits()
    for operation in _read(body):
        try:
            target = select(root, operation.selector, visits)
            _apply(operation, target)
        except LookupError as error:
            raise _failed(f"{operation.label} fails: {error.args[0]}", "not-found") from None
        except _Refused as refusal:
            raise _failed(f"{operation.label} cannot be carried out: {refusal}") from None


def _failed(diagnostics: str, code: str = "processing") -> FhirError:
    return unprocessable(Issue("error", code, diagnostics))


def _parser(*, own: bool = False) -> etree.XMLParser:
    """A parser that fetches and expands nothing; for our own documents one that takes long values too."""
    return etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=own)


# Reading


def _read(body: bytes) -> list[Operation]:
    refuse_dtd(body)
    try:
        root = etree.fromstring(body, _parser())
    except etree.XMLSyntaxError as error:
        raise malformed(f"The body is not XML: {error.msg}") from None
    if root.tag not in _ROOTS:
        raise malformed("An XML Patch document is an element diff or patch with operations in it")
    nodes = [node for node in root if isinstance(node.tag, str)]
    if not nodes:
        raise malformed("The patch has no operations; give it add, replace or remove")
    if len(nodes) > MAXIMUM_OPERATIONS:
        raise malformed(
            f"The patch has {len(nodes)} operations; at most {MAXIMUM_OPERATIONS} are allowed"
        )
    namespace = etree.QName(root).namespace
    return [_operation(index, node, namespace) for index, node in enumerate(nodes)]


def _operation(index: int, node: etree._Element, namespace: str | None) -> Operation:
    label = f"Operation [{index}]"
    name = etree.QName(node)
    kind = name.localname
    if kind not in _ATTRIBUTES or name.namespace != namespace:
        raise malformed(f"{label} of the patch is {node.tag!r}; use add, replace or remove")
    for attribute in map(str, node.attrib):
        if attribute not in _ATTRIBUTES[kind]:
            raise malformed(
                f"{label} of the patch has an attribute {attribute} that {kind} has not"
            )
    selector = node.get("sel", "").strip(_WHITE)
    label += f" ({kind} {selector[:200]})"
    namespaces = {None: FHIR, **_PREFIXES, **node.nsmap}
    try:
        steps = parse_selector(selector, namespaces)
    except ValueError as error:
        raise malformed(f"The selector of {label[0].lower()}{label[1:]} {error}") from None
    pos, ws = node.get("pos", ""), node.get("ws", "")
    if pos not in ("", "prepend", "before", "after"):
        raise malformed(f"{label} has pos '{pos[:64]}'; use prepend, before or after")
    if ws not in ("", "before", "after", "both"):
        raise malformed(f"{label} has ws '{ws[:64]}'; use before, after or both")
    return Operation(kind, steps, node, _added_type(node, namespaces, label), pos, ws, label)


def _added_type(node: etree._Element, namespaces: Mapping[str | None, str], label: str) -> str:
    """What `type` of add says: "@" and an attribute's name in Clark notation, "namespace::", or nothing."""
    text = node.get("type", "").strip(_WHITE)
    if not text:
        return ""
    if len(node):
        raise malformed(f"{label} adds '{text[:64]}', which takes text and no elements")
    if text.startswith("namespace::"):
        return "namespace::"
    try:
        name = attribute_name(text.removeprefix("@"), namespaces)
        etree.QName(name)
    except ValueError:
        name = ""
    if not text.startswith("@") or not name:
        raise malformed(f"{label} has type '{text[:64]}'; use @ and an attribute's name")
    return "@" + name


# Applying


def _apply(operation: Operation, target: Node) -> None:
    match operation.name:
        case "add":
            _add(operation, target)
        case "remove":
            _remove(target, operation.ws)
        case "replace":
            _replace(target, operation.node)


def _add(operation: Operation, target: Node) -> None:
    node, pos = operation.node, operation.pos
    if operation.type:
        owner = _element(target, "takes attributes")
        if operation.type == "namespace::":
            return  # a declaration that nothing uses says nothing, and JSON has no place for it
        name = operation.type[1:]
        if name in owner.attrib:
            raise _Refused("the attribute is there already; replace it")
        owner.set(name, node.text or "")
    elif pos in ("before", "after"):
        _add_beside(node, target, pos)
    else:
        parent = _element(target, "takes children")
        if pos == "prepend":
            _insert(parent, 0, TextNode(parent, tail=False), "", node)
        else:
            last = TextNode(parent[-1], tail=True) if len(parent) else TextNode(parent, tail=False)
            _insert(parent, len(parent), last, last.text, node)


def _add_beside(node: etree._Element, target: Node, pos: str) -> None:
    if isinstance(target, TextNode):
        holder = target
        parent = target.holder.getparent() if target.tail else target.holder
        assert parent is not None
        index = parent.index(target.holder) + 1 if target.tail else 0
        _insert(parent, index, holder, "" if pos == "before" else holder.text, node)
        return
    if isinstance(target, AttributeNode):
        raise _Refused("an attribute has no place before or after it")
    element = target.element
    parent = _parent(element)
    index = parent.index(element)
    if pos == "after":
        _insert(parent, index + 1, TextNode(element, tail=True), "", node)
    else:
        previous = _text_before(element)
        _insert(parent, index, previous, previous.text, node)


def _insert(
    parent: etree._Element, index: int, holder: TextNode, left: str, node: etree._Element
) -> None:
    """Put the content of an operation at an index; of the holder's text, left stays before it, the rest goes behind."""
    right = holder.text[len(left) :]
    children = [deepcopy(child) for child in node]
    _set_text(holder, left + (node.text or "") + ("" if children else right))
    for offset, child in enumerate(children):
        parent.insert(index + offset, child)  # lxml takes the text behind it along
    if children:
        children[-1].tail = (children[-1].tail or "") + right


def _remove(target: Node, ws: str) -> None:
    if isinstance(target, AttributeNode):
        del target.owner.attrib[target.name]
    elif isinstance(target, TextNode):
        _set_text(target, "")
    else:
        element = target.element
        parent = _parent(element)
        before, after = _text_before(element), TextNode(element, tail=True)
        if ws in ("before", "both") and not before.text.strip(_WHITE):
            _set_text(before, "")
        kept = "" if ws in ("after", "both") and not after.text.strip(_WHITE) else after.text
        _set_text(before, before.text + kept)
        parent.remove(element)


def _replace(target: Node, node: etree._Element) -> None:
    if isinstance(target, ElementNode):
        element = target.element
        content = [
            child for child in node if not isinstance(element.tag, str) or _is_element(child)
        ]
        text = (node.text or "") + "".join(child.tail or "" for child in node)
        if len(content) != 1 or text.strip(_WHITE) or type(content[0]) is not type(element):
            raise _Refused("its content is not one node of the kind that it replaces")
        parent = _parent(element)
        new = deepcopy(content[0])
        tail = element.tail
        parent.replace(element, new)
        new.tail = tail
        return
    if len(node):
        raise _Refused("its content is not only text, as what it replaces is")
    if isinstance(target, AttributeNode):
        target.owner.set(target.name, node.text or "")
    else:
        _set_text(target, node.text or "")


def _is_element(node: etree._Element) -> bool:
    return isinstance(node.tag, str)


def _element(target: Node, ability: str) -> etree._Element:
    if isinstance(target, ElementNode) and _is_element(target.element):
        return target.element
    raise _Refused(f"only an element {ability}")


def _parent(element: etree._Element) -> etree._Element:
    parent = element.getparent()
    if parent is None:
        raise _Refused("it concerns the resource as a whole; update the resource instead")
    return parent


def _text_before(element: etree._Element) -> TextNode:
    previous = element.getprevious()
    return (
        TextNode(_parent(element), tail=False)
        if previous is None
        else TextNode(previous, tail=True)
    )


def _set_text(node: TextNode, text: str) -> None:
    if node.tail:
        node.holder.tail = text or None
    else:
        node.holder.text = text or None


# Narratives


def _narratives(value: Any) -> Iterator[Json]:
    pending = [value]
    while pending:
        item = pending.pop()
        if isinstance(item, dict):
            if isinstance(item.get("div"), str):
                yield item
            pending.extend(item.values())
        elif isinstance(item, list):
            pending.extend(item)


def _sources(resource: Json) -> dict[str, str]:
    found = {}
    for narrative in _narratives(resource):
        with suppress(ValueError):  # not XHTML: the patch has repaired it
            found[canonical(narrative["div"])] = narrative["div"]
    return found


def _restore(sources: Mapping[str, str], resource: Json) -> None:
    """Writing the tree changed how narratives are written (quotes, empty tags); give back what it did not change."""
    for narrative in _narratives(resource):
        narrative["div"] = sources.get(canonical(narrative["div"]), narrative["div"])
