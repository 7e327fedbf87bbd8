"""FHIRPath's functions, by name (https://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions).

A function that evaluates its argument for each item gets trees; the others get collections.
"""

from __future__ import annotations

from collections.abc import Callable

from fhir_server.fhirpath import conversions, equality, fhir_functions, numbers, operators, strings
from fhir_server.fhirpath import syntax as s
from fhir_server.fhirpath.compiler import (
    Collection,
    Compiled,
    Scope,
    boolean,
    compile_tree,
    type_predicate,
    type_test,
)
from fhir_server.fhirpath.iteration import ITERATING, counted, sort_by
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node


def compile_call(source: Compiled | None, name: str, arguments: tuple[s.Tree, ...]) -> Compiled:
    """The closure of source.name(arguments). Raises FhirPathError for an unknown function or a wrong arity."""
    inner = source or (lambda scope, focus: focus)
    if name in ("is", "as", "ofType") and len(arguments) == 1:
        named = s.type_name(arguments[0])
        if name != "ofType":
            return type_test(name, inner, named)
        test = type_predicate(named)
        return lambda scope, focus: [node for node in inner(scope, focus) if test(node)]
    if name == "sort":
        return sort_by(inner, arguments)
    if name in ITERATING:
        low, high, make = ITERATING[name]
        _check_arity(name, arguments, low, high)
        return make(inner, [compile_tree(item) for item in arguments])
    if name in _PLAIN:
        low, high, work = _PLAIN[name]
        _check_arity(name, arguments, low, high)
        compiled = [compile_tree(item) for item in arguments]
        if not compiled:
            return lambda scope, focus: work(scope, inner(scope, focus))
        return lambda scope, focus: work(
            scope, inner(scope, focus), *[item(scope, scope.this) for item in compiled]
        )
    raise FhirPathError(f"There is no function {name}()")


def _check_arity(name: str, arguments: tuple[s.Tree, ...], low: int, high: int) -> None:
    if not low <= len(arguments) <= high:
        raise FhirPathError(f"{name}() takes {low} to {high} arguments, not {len(arguments)}")


def _children(scope: Scope, items: Collection) -> Collection:
    found = [child for node in items for child in node.all_children()]
    scope.step(len(found))
    return found


def _descendants(scope: Scope, items: Collection) -> Collection:
    found: Collection = []
    level = items
    while level:
        level = _children(scope, level)
        found += level
        operators.bounded(found)
    return found


def _booleans(items: Collection) -> list[bool]:
    values = [node.value for node in items]
    if not all(isinstance(value, bool) for value in values):
        raise FhirPathError("Booleans are needed")
    return values


def _not(scope: Scope, items: Collection) -> Collection:
    value = operators.truth(items)
    return [] if value is None else boolean(not value)


def _subset(left: Collection, right: Collection) -> Collection:
    return boolean(equality.marks(left) <= equality.marks(right))


def _slice(items: Collection, start: int | None, count: int | None) -> Collection:
    first = max(start or 0, 0)
    return items[first:] if count is None else items[first : first + max(count, 0)]


def _intersect(left: Collection, right: Collection) -> Collection:
    there = equality.marks(right)
    return equality.distinct([node for node in left if equality.mark(node) in there])


def _exclude(left: Collection, right: Collection) -> Collection:
    there = equality.marks(right)
    return [node for node in left if equality.mark(node) not in there]


def _all_true(wanted: bool, any_one: bool) -> Callable[[Scope, Collection], Collection]:
    def check(scope: Scope, items: Collection) -> Collection:
        del scope
        values = [value is wanted for value in _booleans(items)]
        return boolean(any(values) if any_one else all(values))

    return check


_PLAIN: dict[str, tuple[int, int, Callable[..., Collection]]] = {
    "empty": (0, 0, lambda scope, items: boolean(not items)),
    "not": (0, 0, _not),
    "count": (0, 0, lambda scope, items: [Node(len(items), "System.Integer")]),
    "first": (0, 0, lambda scope, items: items[:1]),
    "last": (0, 0, lambda scope, items: items[-1:]),
    "tail": (0, 0, lambda scope, items: items[1:]),
    "single": (0, 0, lambda scope, items: [operators.single(items)] if items else []),
    "skip": (1, 1, lambda scope, items, count: _slice(items, operators.integer(count), None)),
    "take": (1, 1, lambda scope, items, count: _slice(items, 0, operators.integer(count) or 0)),
    "distinct": (0, 0, lambda scope, items: equality.distinct(items)),
    "isDistinct": (
        0,
        0,
        lambda scope, items: boolean(len(equality.distinct(items)) == len(items)),
    ),
    "allTrue": (0, 0, _all_true(True, False)),
    "anyTrue": (0, 0, _all_true(True, True)),
    "allFalse": (0, 0, _all_true(False, False)),
    "anyFalse": (0, 0, _all_true(False, True)),
    "subsetOf": (1, 1, lambda scope, items, other: _subset(items, other)),
    "supersetOf": (1, 1, lambda scope, items, other: _subset(other, items)),
    "union": (1, 1, lambda scope, items, other: operators.union(items, other)),
    "combine": (1, 1, lambda scope, items, other: counted(scope, items + other)),
    "intersect": (1, 1, lambda scope, items, other: _intersect(items, other)),
    "exclude": (
        1,
        1,
        lambda scope, items, other: _exclude(items, other),
    ),
    "children": (0, 0, _children),
    "descendants": (0, 0, _descendants),
    **fhir_functions.FUNCTIONS,
    **conversions.FUNCTIONS,
    **numbers.FUNCTIONS,
    **strings.FUNCTIONS,
}


def function_names(*, iterating: bool) -> frozenset[str]:
    """The names of the functions; those alone that evaluate their argument for each item when iterating."""
    names = frozenset(ITERATING) | {"sort"}
    return names if iterating else names | frozenset(_PLAIN) | {"is", "as", "ofType"}
