"""FHIRPath's functions, by name (https://hl7.org/fhirpath/N1/#functions, https://hl7.org/fhir/R4/fhirpath.html#functions).

A function that evaluates its argument for each item gets trees; the others get collections.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cmp_to_key

from fhir_server.fhirpath import conversions, equality, numbers, operators, strings
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
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node
from fhir_server.fhirpath.resolution import resolve


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
        return _sort(inner, arguments)
    if name in _ITERATING:
        low, high, make = _ITERATING[name]
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


def _each(scope: Scope, items: Collection, criteria: Compiled) -> list[tuple[Node, Collection]]:
    """The criteria's result for every item, with $this and $index set."""
    this, index = scope.this, scope.index
    found = []
    scope.step(len(items) + 1)
    try:
        for place, node in enumerate(items):
            scope.this, scope.index = [node], place
            found.append((node, criteria(scope, scope.this)))
    finally:
        scope.this, scope.index = this, index
    return found


def _where(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    def where(scope: Scope, focus: Collection) -> Collection:
        items = inner(scope, focus)
        if not items:
            return []
        return [node for node, found in _each(scope, items, arguments[0]) if operators.truth(found)]

    return where


def _select(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    def select(scope: Scope, focus: Collection) -> Collection:
        listed = _each(scope, inner(scope, focus), arguments[0])
        return _counted(scope, [item for _, found in listed for item in found])

    return select


def _counted(scope: Scope, found: Collection) -> Collection:
    scope.step(len(found))
    return operators.bounded(found)


def _exists(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    if not arguments:
        return lambda scope, focus: boolean(bool(inner(scope, focus)))
    where = _where(inner, arguments)
    return lambda scope, focus: boolean(bool(where(scope, focus)))


def _all(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    def every(scope: Scope, focus: Collection) -> Collection:
        listed = _each(scope, inner(scope, focus), arguments[0])
        return boolean(all(operators.truth(found) for _, found in listed))

    return every


def _repeat(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    def repeat(scope: Scope, focus: Collection) -> Collection:
        found: Collection = []
        seen: set[Hashable] = set()
        level = inner(scope, focus)
        while level:
            fresh: Collection = []
            for _, items in _each(scope, level, arguments[0]):
                for item in items:
                    known = equality.mark(item)
                    if known not in seen:
                        seen.add(known)
                        fresh.append(item)
            found += fresh
            operators.bounded(found)
            level = fresh
        return found

    return repeat


def _iif(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    def iif(scope: Scope, focus: Collection) -> Collection:
        items = inner(scope, focus)
        if len(items) > 1:
            raise FhirPathError(f"iif() takes one item, not {len(items)}")
        this = scope.this
        if items:
            scope.this = items
        try:
            if operators.truth(arguments[0](scope, items)):
                return arguments[1](scope, items)
            return arguments[2](scope, items) if len(arguments) > 2 else []
        finally:
            scope.this = this

    return iif


def _sort(inner: Compiled, trees: tuple[s.Tree, ...]) -> Compiled:
    """Items in the order of the keys, down for a key after a minus; an item without the key always comes first."""
    keys: list[tuple[Compiled, bool]] = []
    for tree in trees or (s.Special("$this"),):
        down = isinstance(tree, s.Unary) and tree.sign == "-"
        keys.append((compile_tree(tree.operand if isinstance(tree, s.Unary) else tree), down))

    def sort(scope: Scope, focus: Collection) -> Collection:
        items = inner(scope, focus)
        scope.step(len(items) * 20)
        rows = [(node, [_key(found) for found in row]) for node, row in _rows(scope, items)]

        def compare(
            one: tuple[Node, list[Node | None]], other: tuple[Node, list[Node | None]]
        ) -> int:
            for (_, down), mine, theirs in zip(keys, one[1], other[1], strict=True):
                if mine is None or theirs is None:
                    if mine is not theirs:
                        return (mine is not None) - (theirs is not None)
                elif order := operators.order_of(mine, theirs):
                    return -order if down else order
            return 0

        return [node for node, _ in sorted(rows, key=cmp_to_key(compare))]

    def _rows(scope: Scope, items: Collection) -> list[tuple[Node, list[Collection]]]:
        columns = [_each(scope, items, key) for key, _ in keys]
        return [
            (node, [column[place][1] for column in columns]) for place, node in enumerate(items)
        ]

    return sort


def _key(found: Collection) -> Node | None:
    return operators.single(found) if found else None


def _aggregate(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    def aggregate(scope: Scope, focus: Collection) -> Collection:
        total = scope.total
        scope.total = arguments[1](scope, focus) if len(arguments) > 1 else []
        this, index = scope.this, scope.index
        try:
            for place, node in enumerate(inner(scope, focus)):
                scope.step()
                scope.this, scope.index = [node], place
                scope.total = arguments[0](scope, scope.this)
            return scope.total
        finally:
            scope.total, scope.this, scope.index = total, this, index

    return aggregate


def _trace(inner: Compiled, arguments: list[Compiled]) -> Compiled:
    del arguments  # there is nobody to show a trace to
    return inner


_ITERATING: dict[str, tuple[int, int, Callable[[Compiled, list[Compiled]], Compiled]]] = {
    "where": (1, 1, _where),
    "select": (1, 1, _select),
    "exists": (0, 1, _exists),
    "all": (1, 1, _all),
    "repeat": (1, 1, _repeat),
    "iif": (2, 3, _iif),
    "aggregate": (1, 2, _aggregate),
    "trace": (1, 2, _trace),
}


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
    "combine": (1, 1, lambda scope, items, other: _counted(scope, items + other)),
    "intersect": (1, 1, lambda scope, items, other: _intersect(items, other)),
    "exclude": (
        1,
        1,
        lambda scope, items, other: _exclude(items, other),
    ),
    "children": (0, 0, _children),
    "descendants": (0, 0, _descendants),
    "hasValue": (0, 0, _has_value),
    "getValue": (0, 0, lambda scope, items: items if _has_value(scope, items)[0].value else []),
    "extension": (1, 1, _extension),
    "resolve": (0, 0, _resolve),
    "memberOf": (1, 1, _member_of),
    "conformsTo": (1, 1, _conforms_to),
    "type": (0, 0, _type),
    "subsumes": (1, 1, lambda scope, items, other: _subsumes(scope, items, other)),
    "subsumedBy": (1, 1, lambda scope, items, other: _subsumes(scope, other, items)),
    "checkModifiers": (0, 9, _check_modifiers),
    **conversions.FUNCTIONS,
    **numbers.FUNCTIONS,
    **strings.FUNCTIONS,
}


def function_names(*, iterating: bool) -> frozenset[str]:
    """The names of the functions; those alone that evaluate their argument for each item when iterating."""
    names = frozenset(_ITERATING) | {"sort"}
    return names if iterating else names | frozenset(_PLAIN) | {"is", "as", "ofType"}
