"""XML out: the JSON form of a resource in the order of its definition (https://hl7.org/fhir/R4/xml.html)."""

from __future__ import annotations

import re
from decimal import Decimal
from itertools import zip_longest
from typing import Any

from fhir_server.spec.definitions import is_resource_type
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import FhirDecimal
from fhir_server.spec.xml_div import embedded
from fhir_server.spec.xml_plan import FHIR, Plan, Slot, plan_of, primitive_content

Json = dict[str, Any]

_HEAD = '<?xml version="1.0" encoding="UTF-8"?>'
_FORBIDDEN = "\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff"
_SPECIAL = re.compile(f'[&<"\t\n\r{_FORBIDDEN}]')
_NOT_XML = re.compile(f"[{_FORBIDDEN}]")
_REFERENCES = str.maketrans(
    {"&": "&amp;", "<": "&lt;", '"': "&quot;", "\t": "&#9;", "\n": "&#10;", "\r": "&#13;"}
)


class _Inexpressible(Exception):
    """Something that R4's XML has no place for; the names of the elements around it are added on the way out."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.steps: list[str] = []


def _text(value: Any) -> str:
    """A primitive value as the text of an attribute."""
    if type(value) is str:
        return _escaped(value) if _SPECIAL.search(value) else value
    if value is True:
        return "true"
    if value is False:
        return "false"
    if type(value) is FhirDecimal:
        return value.text
    if isinstance(value, (int, float, Decimal)):
        return str(value)
    raise _Inexpressible("is not a primitive value")


def _escaped(value: str) -> str:
    forbidden = _NOT_XML.search(value)
    if forbidden:
        raise _Inexpressible(f"holds the character U+{ord(forbidden[0]):04X}, which XML forbids")
    return value.translate(_REFERENCES)


def _attributes(value: Json, plan: Plan) -> str:
    written = ""
    for name in plan.attributes:
        if name in value:
            written += f' {name}="{_text(value[name])}"'
    return written


def _place(item: tuple[Slot, Any]) -> int:
    return item[0].position


def _content(value: Json, plan: Plan, out: list[str], pad: str) -> None:
    """The children of an element, or of the object of a primitive's extensions."""
    properties = plan.properties
    items = []
    for name, item in value.items():
        slot = properties.get(name)
        if slot is not None:
            items.append((slot, item))
        elif name not in plan.attributes and name != "resourceType":
            raise _Inexpressible(f"has a property {name}, which R4 does not define")
    items.sort(key=_place)
    for slot, item in items:
        if (
            slot.single
            and type(item) is str
            and slot.sibling not in value
            and not _SPECIAL.search(item)
        ):
            out.append(f'{pad}<{slot.name} value="{item}"/>')
            continue
        try:
            _property(slot, item, value, out, pad)
        except _Inexpressible as fault:
            fault.steps.append(slot.name)
            raise


def _property(slot: Slot, item: Any, value: Json, out: list[str], pad: str) -> None:
    if slot.kind == "primitive":
        if slot.extra:
            if slot.name in value:
                return  # written together with the values
            item, extra = None, item
        else:
            extra = value.get(slot.sibling)
        if not slot.many:
            _primitive(slot.name, item, extra, out, pad)
        elif extra is None and type(item) is list:
            for each in item:
                _primitive(slot.name, each, None, out, pad)
        else:
            _primitives(slot.name, item, extra, out, pad)
    elif slot.many:
        if type(item) is not list:
            raise _Inexpressible("is not a list, and may repeat")
        for each in item:
            _object(slot, each, out, pad)
    else:
        _object(slot, item, out, pad)


def _primitives(name: str, values: Any, extras: Any, out: list[str], pad: str) -> None:
    values = [] if values is None else values
    if type(values) is not list or type(extras) is not list:
        raise _Inexpressible("is not a list, and may repeat")
    # Whoever wrote the JSON may have left out the nulls at the end of the shorter list.
    for value, extra in zip_longest(values, extras):
        _primitive(name, value, extra, out, pad)


def _primitive(name: str, value: Any, extra: Any, out: list[str], pad: str) -> None:
    if extra is None and value is not None:
        out.append(f'{pad}<{name} value="{_text(value)}"/>')
        return
    if type(extra) is not dict:
        raise _Inexpressible("has neither a value nor an object of extensions")
    plan = primitive_content()
    attributes = _attributes(extra, plan)
    if value is not None:
        attributes += f' value="{_text(value)}"'
    _element(name, attributes, extra, plan, out, pad)


def _object(slot: Slot, value: Any, out: list[str], pad: str) -> None:
    if slot.kind == "xhtml":
        if type(value) is not str:
            raise _Inexpressible("is not a string")
        try:
            out.append(pad + embedded(value))
        except ValueError as error:
            raise _Inexpressible(str(error)) from None
    elif type(value) is not dict:
        raise _Inexpressible("is not an object")
    elif slot.kind == "container":
        inner = pad + "  " if pad else pad
        out.append(f"{pad}<{slot.name}>")
        _resource(value, "", out, inner)
        out.append(f"{pad}</{slot.name}>")
    else:
        plan = plan_of(slot.type)
        _element(slot.name, _attributes(value, plan), value, plan, out, pad)


def _element(name: str, attributes: str, value: Json, plan: Plan, out: list[str], pad: str) -> None:
    begin = len(out)
    out.append(f"{pad}<{name}{attributes}>")
    _content(value, plan, out, pad + "  " if pad else pad)
    if len(out) == begin + 1:
        out[begin] = f"{pad}<{name}{attributes}/>"
    else:
        out.append(f"{pad}</{name}>")


def _resource(value: Json, namespace: str, out: list[str], pad: str) -> None:
    name = value.get("resourceType")
    if type(name) is not str or not is_resource_type(name):
        raise _Inexpressible(f"has the resourceType {name}, which R4 does not define")
    _element(name, namespace, value, plan_of(name), out, pad)


def serialise_xml(resource: Json, pretty: bool = False) -> bytes:
    """The resource in XML, in UTF-8, with an XML declaration; pretty adds line breaks and indentation only.

    Raises FhirError 406 when XML cannot say what the JSON says: a property that R4 does not define, another shape
    than the definition's, a character that XML forbids, a narrative that is not well-formed.
    """
    out = [_HEAD]
    try:
        _resource(resource, f' xmlns="{FHIR}"', out, "\n" if pretty else "")
    except _Inexpressible as fault:
        raise _refusal(resource, fault) from None
    except RecursionError:
        raise _refusal(resource, _Inexpressible("is nested too deeply")) from None
    return "".join(out).encode()


def _refusal(resource: Json, fault: _Inexpressible) -> FhirError:
    path = ".".join([str(resource.get("resourceType")), *reversed(fault.steps)])
    text = f"{path} {fault.reason}, so the resource has no XML form; ask for JSON"
    return FhirError(406, (Issue("error", "not-supported", text, (path,)),))
