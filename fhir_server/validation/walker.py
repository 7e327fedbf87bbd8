"""The walker: every issue of a resource, each with its place and a sentence that says what to change.

https://hl7.org/fhir/R4/validation.html
It reads the same rules as the fast path and is run when that says no, for $validate and for warnings.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from fhir_server.fhirpath import Environment, Node
from fhir_server.spec import definitions
from fhir_server.spec.errors import Issue
from fhir_server.spec.narrative import narrative_faults
from fhir_server.validation.bindings import enforced
from fhir_server.validation.faults import (
    Around,
    Issues,
    array_fault,
    count_faults,
    extension_faults,
    is_present,
    label_faults,
    local_types,
    missing,
    reference_faults,
    unknown_faults,
    unused_faults,
)
from fhir_server.validation.invariants import holds, is_asked
from fhir_server.validation.issues import fault, is_shape, shown
from fhir_server.validation.native import PROSE
from fhir_server.validation.primitives import PRIMITIVES
from fhir_server.validation.rules import Element, Invariant, Kind, Rules
from fhir_server.validation.runtime import Scope
from fhir_server.validation.sentences import sentence
from fhir_server.validation.snapshot import rules_of

Json = dict[str, Any]

_ELEMENT_KEYS = frozenset({"id", "extension"})


_ALONE: Final = Around(None, Environment())


def walk(value: object, resource_type: str | None = None) -> Issues:
    """The issues of a JSON value that is meant to be a resource, of that type if given, in the order of its rules."""
    place = resource_type or "Resource"
    if type(value) is not dict:
        yield fault("structure", f"A resource is a JSON object, not {shown(value)}", place)
        return
    named = value.get("resourceType")
    if resource_type is not None and named is not None and named != resource_type:
        yield fault(
            "structure",
            f"resourceType is {shown(named)}; a {resource_type} is expected here",
            place,
        )
        return
    yield from _resource(value, named if type(named) is str else place, _ALONE)


def _resource(value: object, path: str, around: Around) -> Issues:
    if type(value) is not dict:
        yield fault("structure", f"{path} must be a resource, not {shown(value)}", path)
        return
    named = value.get("resourceType")
    if named is None:
        yield fault("structure", f"{path} has no resourceType; name the resource's type", path)
    elif type(named) is not str or not definitions.is_resource_type(named):
        yield fault(
            "structure", f"resourceType is {shown(named)}, which is no R4 resource type", path
        )
    else:
        root = Node(value, named)
        environment = Environment(resource=root, root_resource=root)
        yield from _node(value, rules_of(named), path, Around(around.scope, environment))


def _node(
    value: object,
    rules: Rules,
    path: str,
    around: Around,
    targets: frozenset[str] | None = None,
) -> Issues:
    sound = True
    for issue in _structure(value, rules, path, around, targets):
        sound = sound and not is_shape(issue)
        yield issue
    # What has not the shape of its type cannot be asked for more.
    if sound and type(value) is dict:
        yield from _invariants(rules.invariants, Node(value, rules.type), path, around)
        for rule in PROSE.get(rules.key, ()):
            if not rule.holds(value):
                yield fault("invariant", f"{path} {rule.says}", path)


def _invariants(invariants: Iterable[Invariant], node: Node, path: str, around: Around) -> Issues:
    for invariant in filter(is_asked, invariants):
        if not holds(invariant, node, around.environment):
            yield Issue(invariant.severity, "invariant", sentence(invariant, path), (path,))


def _structure(
    value: object,
    rules: Rules,
    path: str,
    around: Around,
    targets: frozenset[str] | None = None,
) -> Issues:
    if type(value) is not dict:
        yield fault("structure", f"{path} must be an object, not {shown(value)}", path)
        return
    if not value:
        yield fault("structure", f"{path} is empty; give it content or leave it out", path)
        return
    own = None
    if rules.domain and "contained" in value:
        if around.scope is not None:
            yield fault(
                "invariant",
                f"{path} is contained and has contained resources itself; "
                "move them to the outermost resource (dom-2)",
                f"{path}.contained",
            )
        else:
            own = Scope(local_types(value["contained"]))
            around = Around(own, around.environment)
    yield from unknown_faults(value, rules, path)
    for element in rules.elements:
        if element.name == "contained" and rules.domain:
            if own is not None:
                yield from _contained(value["contained"], f"{path}.contained", own, around)
        else:
            yield from _element(value, element, path, around)
    if own is not None:
        yield from unused_faults(value["contained"], path, own)
    if not rules.resource and value.keys() == {"id"}:
        yield fault(
            "invariant", f"{path} has an id and nothing else; give it content (ele-1)", path
        )
    if rules.type == "Reference":
        yield from reference_faults(value, path, around, targets)
    if rules.type == "Extension":
        yield from extension_faults(value, path)


def _contained(items: object, path: str, scope: Scope, around: Around) -> Issues:
    if type(items) is not list or not items:
        yield array_fault(items, path)
        return
    seen = set()
    for index, item in enumerate(items):
        place = f"{path}[{index}]"
        scope.used.discard("#")
        yield from _resource(item, place, around)
        if type(item) is not dict:
            continue
        identifier = item.get("id")
        if type(identifier) is not str:
            yield fault(
                "required",
                f"{place} has no id; a contained resource needs one to be referred to",
                f"{place}.id",
            )
            continue
        if identifier in seen:
            yield fault(
                "invariant",
                f"{place}.id is '{identifier}' like another contained resource's; give each its own",
                f"{place}.id",
            )
        seen.add(identifier)
        if "#" in scope.used:
            scope.used.add("#" + identifier)
        yield from label_faults(item.get("meta"), f"{place}.meta")


def _element(value: Json, element: Element, path: str, around: Around) -> Issues:
    present = [kind for kind in element.kinds if is_present(value, kind)]
    if element.maximum == 0 and (element.name in value or "_" + element.name in value):
        yield fault(
            "invalid",
            f"{path}.{element.name} is not allowed here; remove it",
            f"{path}.{element.name}",
        )
    if not present:
        if element.minimum and not any(kind.name in value for kind in element.kinds):
            yield missing(element, path)
        return
    if len(present) > 1:
        names = ", ".join(kind.name for kind in present)
        yield fault(
            "structure",
            f"{path} has {names}, but {element.label} has one type; keep one of them",
            f"{path}.{element.name}",
        )
    for kind in present:
        place = f"{path}.{element.name}"
        if len(element.kinds) > 1:
            place += f".ofType({kind.type})"
        if element.many:
            yield from _array(value, element, kind, place, around)
            continue
        item = value.get(kind.name)
        if item is not None:
            yield from _value(item, element, kind, place, around)
        if kind.sibling and (sibling := value.get("_" + kind.name)) is not None:
            yield from _sibling(sibling, place, around, valued=item is not None)


def _array(value: Json, element: Element, kind: Kind, path: str, around: Around) -> Issues:
    items = value.get(kind.name)
    siblings = value.get("_" + kind.name) if kind.sibling else None
    for given in (items, siblings):
        if given is not None and (type(given) is not list or not given):
            yield array_fault(given, path)
            return
    if items is not None and siblings is not None and len(items) != len(siblings):
        yield fault(
            "structure",
            f"{path} has {len(items)} values and '_{kind.name}' has {len(siblings)}; "
            "align them with null",
            path,
        )
        return
    count = len(items if items is not None else siblings or ())
    yield from count_faults(count, element, path)
    for index in range(count):
        place = f"{path}[{index}]"
        item = items[index] if items is not None else None
        sibling = siblings[index] if siblings is not None else None
        if item is not None:
            yield from _value(item, element, kind, place, around)
        if sibling is not None:
            yield from _sibling(sibling, place, around, valued=item is not None)
        elif item is None:
            yield fault("structure", f"{place} is null; remove it from the array", place)


def _value(item: object, element: Element, kind: Kind, path: str, around: Around) -> Issues:
    sound = True
    for issue in _typed(item, element, kind, path, around):
        sound = sound and not is_shape(issue)
        yield issue
    if sound and element.invariants:
        yield from _invariants(element.invariants, Node(item, kind.type), path, around)


def _typed(item: object, element: Element, kind: Kind, path: str, around: Around) -> Issues:
    if kind.primitive:
        yield from _primitive(item, element, kind, path, around)
        return
    if kind.type == "Resource":
        yield from _resource(item, path, _ALONE)
        return
    if type(item) is list:
        yield fault("structure", f"{path} must be one object, not an array", path)
        return
    yield from _node(item, rules_of(kind.type), path, around, kind.targets)
    codes = enforced(element.binding, element.path, kind.type)
    if codes is not None and type(item) is dict:
        coding = kind.type == "Coding"
        if not (codes.has_coding(item) if coding else codes.has_concept(item)):
            what = "" if coding else "a coding with "
            yield fault(
                "code-invalid",
                f"{path} has no code of its value set; use {what}{codes.must}",
                path,
            )


def _primitive(item: object, element: Element, kind: Kind, path: str, around: Around) -> Issues:
    primitive = PRIMITIVES[kind.type]
    if not primitive.test(item):
        yield fault("value", f"{path} is {shown(item)}; it must be {primitive.must}", path)
        return
    if kind.type == "xhtml":
        for wrong in narrative_faults(str(item)):
            yield fault("invariant", f"{path}: {wrong} (txt-1, txt-2)", path)
    codes = enforced(element.binding, element.path, kind.type)
    if codes is not None and not codes.has_code(item):
        yield fault("code-invalid", f"{path} is {shown(item)}; use {codes.must}", path)
    if kind.type in ("uri", "canonical", "url") and str(item)[0] == "#":
        around.refer(str(item))


def _sibling(value: object, path: str, around: Around, *, valued: bool) -> Issues:
    if type(value) is not dict or not value:
        yield fault(
            "structure",
            f"The '_' property of {path} must be an object with an id or extensions, "
            f"not {shown(value)}",
            path,
        )
        return
    for name in value.keys() - _ELEMENT_KEYS:
        yield fault(
            "structure",
            f"The '_' property of {path} has {shown(name)}; it may have id and extension only",
            path,
        )
    for element in rules_of("Element").elements:
        yield from _element(value, element, path, around)
    for name in _ELEMENT_KEYS & value.keys():
        if value[name] is None:
            yield fault("structure", f"{path}.{name} is null; leave the property out", path)
    if not valued and "extension" not in value:
        yield fault(
            "invariant", f"{path} has neither a value nor an extension; add one (ele-1)", path
        )
