"""Functions that evaluate their argument for each item of the input (https://hl7.org/fhirpath/N1/#filtering-and-projection)."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import cmp_to_key

from fhir_server.fhirpath import equality, operators
from fhir_server.fhirpath import syntax as s
from fhir_server.fhirpath.compiler import Collection, Compiled, Scope, boolean, compile_tree
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node


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
        return counted(scope, [item for _, found in listed for item in found])

    return select


def counted(scope: Scope, found: Collection) -> Collection:
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


def sort_by(inner: Compiled, trees: tuple[s.Tree, ...]) -> Compiled:
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


ITERATING: dict[str, tuple[int, int, Callable[[Compiled, list[Compiled]], Compiled]]] = {
    "where": (1, 1, _where),
    "select": (1, 1, _select),
    "exists": (0, 1, _exists),
    "all": (1, 1, _all),
    "repeat": (1, 1, _repeat),
    "iif": (2, 3, _iif),
    "aggregate": (1, 2, _aggregate),
    "trace": (1, 2, _trace),
}
