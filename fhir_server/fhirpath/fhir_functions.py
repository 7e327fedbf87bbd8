"""The functions that FHIR adds to FHIRPath (https://hl7.org/fhir/R4/fhirpath.html#functions)."""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.fhirpath import operators
from fhir_server.fhirpath.compiler import Collection, Scope, boolean
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.resolution import resolve


def _has_value(scope: Scope, items: Collection) -> Collection:
    del scope
    return boolean(
        len(items) == 1 and items[0].value is not None and not isinstance(items[0].value, dict)
    )


def _extension(scope: Scope, items: Collection, url: Collection) -> Collection:
    wanted = operators.text(url)
    scope.step(len(items))
    return [
        child
        for node in items
        for child in node.children("extension")
        if isinstance(child.value, dict) and child.value.get("url") == wanted
    ]


def _resolve(scope: Scope, items: Collection) -> Collection:
    scope.step(len(items))
    return [found for node in items if (found := resolve(node, scope.environment)) is not None]


def _member_of(scope: Scope, items: Collection, value_set: Collection) -> Collection:
    check = scope.environment.member_of
    if check is None:
        raise FhirPathError("memberOf() needs a terminology, and none is at hand")
    if not items:
        return []
    found = check(operators.single(items), operators.text(value_set) or "")
    return [] if found is None else boolean(found)


def _conforms_to(scope: Scope, items: Collection, profile: Collection) -> Collection:
    check = scope.environment.conforms_to
    if check is None:
        raise FhirPathError("conformsTo() needs profiles, and none are at hand")
    if not items:
        return []
    found = check(operators.single(items), operators.text(profile) or "")
    if found is None:
        raise FhirPathError("conformsTo() names a profile that is not known")
    return boolean(found)


def _subsumes(scope: Scope, items: Collection, other: Collection) -> Collection:
    check = scope.environment.subsumes
    if check is None:
        raise FhirPathError("subsumes() needs a terminology, and none is at hand")
    if not items or not other:
        return []
    found = check(operators.single(items), operators.single(other))
    return [] if found is None else boolean(found)


def _check_modifiers(scope: Scope, items: Collection, *urls: Collection) -> Collection:
    """The input itself. Raises FhirPathError for a modifier extension that is not among the urls."""
    known = {operators.text(url) for url in urls}
    for node in items:
        for extension in node.children("modifierExtension"):
            if isinstance(extension.value, dict) and extension.value.get("url") not in known:
                raise FhirPathError("checkModifiers() found a modifier extension that is not known")
    return items


def _type(scope: Scope, items: Collection) -> Collection:
    del scope
    found = []
    for node in items:
        namespace, _, name = node.type.rpartition(".")
        if namespace != "System":
            namespace, name = "FHIR", "BackboneElement" if "." in node.type else node.type
        found.append(Node({"namespace": namespace, "name": name}, "System.TypeInfo"))
    return found


FUNCTIONS: dict[str, tuple[int, int, Callable[..., Collection]]] = {
    "hasValue": (0, 0, _has_value),
    "getValue": (0, 0, lambda scope, items: items if _has_value(scope, items)[0].value else []),
    "extension": (1, 1, _extension),
    "resolve": (0, 0, _resolve),
    "memberOf": (1, 1, _member_of),
    "conformsTo": (1, 1, _conforms_to),
    "subsumes": (1, 1, lambda scope, items, other: _subsumes(scope, items, other)),
    "subsumedBy": (1, 1, lambda scope, items, other: _subsumes(scope, other, items)),
    "checkModifiers": (0, 9, _check_modifiers),
    "type": (0, 0, _type),
}
