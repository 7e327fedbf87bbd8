"""A FHIRPath invariant -> a Python expression of the fast path, when its parts are simple enough.

https://hl7.org/fhir/R4/fhirpath.html, http://hl7.org/fhirpath/N1/#boolean-logic
FHIRPath's logic has three values: `truth` is Python that is true exactly when the result is true, `falsity` Python
that is true exactly when the result is false. Neither is when the result is empty.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count

from fhir_server.fhirpath.syntax import (
    Binary,
    Call,
    Literal,
    Member,
    Special,
    Tree,
    TypeTest,
    Variable,
)
from fhir_server.validation.rules import Element, Kind, Rules
from fhir_server.validation.source import Source

_MANY_NAMES = 4
_NEGATED = {"<": ">=", "<=": ">", ">": "<=", ">=": "<"}
_NUMBERS = frozenset({"decimal", "integer", "positiveInt", "unsignedInt"})
_TEXTS = frozenset({"code", "id", "markdown", "string", "uri", "url", "canonical", "oid", "uuid"})


class Untranslatable(Exception):
    """The expression needs the FHIRPath engine."""


@dataclass(frozen=True, slots=True)
class Nodes:
    """A collection of complex values: `item` at each turn of the loops, which are clauses of a comprehension."""

    loops: tuple[str, ...]
    item: str
    rules: Rules | None


@dataclass(frozen=True, slots=True)
class Children:
    """The values of one element of some nodes."""

    nodes: Nodes
    element: Element


@dataclass(slots=True)
class Translator:
    """Translates the invariants of one node, whose value is `o` in the source."""

    rules: Rules
    source: Source
    # One function holds the comprehensions of all invariants of a node.
    _names: Iterator[int] = field(default_factory=count)

    def truth(self, node: Tree | None, focus: Nodes) -> str:
        """Python that is true exactly when the expression is true of the focus."""
        return self._logic(node, focus)[0]

    def _logic(self, node: Tree | None, focus: Nodes) -> tuple[str, str]:
        """(truth, falsity)"""
        match node:
            case Binary("and" | "or" | "implies" | "xor" as operator, left, right):
                return _joined(operator, self._logic(left, focus), self._logic(right, focus))
            case Binary("=" | "!=" as operator, left, right):
                pair = self._equality(left, right, focus)
                return pair if operator == "=" else (pair[1], pair[0])
            case Binary("<" | "<=" | ">" | ">=" as operator, left, Literal(int() as number)):
                return self._comparison(operator, left, number, focus)
            case Binary("in", left, right):
                members = _alternatives(right)
                name = self.source.constant("SET", frozenset(members), members)
                truth = f"{self._value(left, focus, _TEXTS)} in {name}"
                return truth, f"{self._something(left, focus)} not in {(*members, None)}"
            case TypeTest("is", left, type_name):
                return self._is(left, type_name, focus)
            case Call():
                return self._call(node, focus)
            case Member():
                value = self._value(node, focus, frozenset({"boolean"}))
                return f"{value} is True", f"{value} is False"
        raise Untranslatable

    def _call(self, call: Call, focus: Nodes) -> tuple[str, str]:
        match call:
            case Call(base, "not", ()):
                truth, falsity = self._logic(base, focus)
                return falsity, truth
            case Call(Binary("|", left, right), "exists", ()):
                return self._logic(
                    Binary("or", Call(left, "exists", ()), Call(right, "exists", ())), focus
                )
            case Call(base, "exists", ()):
                return _total(self._exists(self._collection(base, focus)))
            case Call(base, "exists", (criterion,)):
                return _total(self._exists(self._where(base, criterion, focus)))
            case Call(base, "empty", ()):
                truth, falsity = _total(self._exists(self._collection(base, focus)))
                return falsity, truth
            case Call(base, "all", (criterion,)):
                nodes = self._nodes(base, focus)
                test = self.truth(criterion, Nodes((), nodes.item, nodes.rules))
                if not nodes.loops:
                    return _total(test)
                return _total(f"all({test} {' '.join(nodes.loops)})")
            case Call(base, "hasValue", ()):
                value = self._value(base, focus, None)
                return _total(f"{value} is not None")
            case Call(base, "isDistinct", ()):
                return _total(f"distinct({self._values(base, focus)})")
            case Call(base, "is", (Member(None, type_name),)):
                return self._is(base, type_name, focus)
            case Call(base, "startsWith" | "contains" as name, (Literal(str() as text),)):
                value = self._value(base, focus, _TEXTS)
                test = (
                    f"{value}.startswith({text!r})"
                    if name == "startsWith"
                    else f"{text!r} in {value}"
                )
                present = f"{value} is not None"
                return f"({present} and {test})", f"({present} and not {test})"
        raise Untranslatable

    def _equality(self, left: Tree, right: Tree, focus: Nodes) -> tuple[str, str]:
        match left, right:
            case _, Variable("ucum"):
                return self._equality(left, Literal("http://unitsofmeasure.org", "string"), focus)
            case ((Call(_, "count", _) | Binary("+", _, _)), Literal(int() as number)):
                return _total(f"{self._number(left, focus)} == {number}")
            case _, Literal(bool() as flag):
                truth, falsity = self._logic(left, focus)
                return (truth, falsity) if flag else (falsity, truth)
            case _, Literal(str() as text):
                value = self._value(left, focus, _TEXTS)
                return (
                    f"{value} == {text!r}",
                    f"{self._something(left, focus)} not in ({text!r}, None)",
                )
            case _, Literal(int() as number):
                value = self._value(left, focus, _NUMBERS)
                return (
                    f"{value} == {number}",
                    f"{self._something(left, focus)} not in ({number}, None)",
                )
            case ((Call() | Binary() | Member()), (Call() | Binary() | Member())):
                (t1, f1), (t2, f2) = self._logic(left, focus), self._logic(right, focus)
                if _is_total(t1, f1) and _is_total(t2, f2):
                    return _total(f"({t1}) == ({t2})")
                return (
                    f"(({t1}) and ({t2}) or ({f1}) and ({f2}))",
                    f"(({t1}) and ({f2}) or ({f1}) and ({t2}))",
                )
        raise Untranslatable

    def _comparison(self, operator: str, left: Tree, number: int, focus: Nodes) -> tuple[str, str]:
        if isinstance(left, Binary) or (isinstance(left, Call) and left.name == "count"):
            return _total(f"{self._number(left, focus)} {operator} {number}")
        value = self._value(left, focus, _NUMBERS)
        present = f"{value} is not None and {value}"
        return f"({present} {operator} {number})", f"({present} {_NEGATED[operator]} {number})"

    def _number(self, node: Tree | None, focus: Nodes) -> str:
        match node:
            case Binary("+", left, right):
                return f"{self._number(left, focus)} + {self._number(right, focus)}"
            case Call(base, "count", ()):
                return self._count(self._collection(base, focus))
            case Literal(int() as number):
                return str(number)
        raise Untranslatable

    def _is(self, node: Tree | None, type_name: str, focus: Nodes) -> tuple[str, str]:
        found = self._collection(node, focus)
        if not isinstance(found, Children) or (found.nodes.loops and len(found.nodes.loops) > 1):
            raise Untranslatable
        kinds = found.element.kinds
        if len(kinds) > 1 and not found.nodes.loops:
            chosen = tuple(kind for kind in kinds if kind.type == type_name)
            others = tuple(kind for kind in kinds if kind.type != type_name)
            item = found.nodes.item
            return self._present(chosen, item), self._present(others, item)
        if kinds[0].type == "Resource":
            loops, item = " ".join(found.nodes.loops), f"{found.nodes.item}.get('resource')"
            test = f"{item} is not None and {item}['resourceType'] == {type_name!r}"
            other = f"{item} is not None and {item}['resourceType'] != {type_name!r}"
            if not loops:
                return f"({test})", f"({other})"
            return f"any({test} {loops})", f"any({other} {loops})"
        raise Untranslatable

    def _exists(self, found: Nodes | Children) -> str:
        if isinstance(found, Nodes):
            return f"any(True {' '.join(found.loops)})" if found.loops else "True"
        test = self._present(found.element.kinds, found.nodes.item)
        if not found.nodes.loops:
            return test
        return f"any({test} {' '.join(found.nodes.loops)})"

    def _present(self, kinds: tuple[Kind, ...], item: str) -> str:
        names = [kind.name for kind in kinds]
        names += ["_" + kind.name for kind in kinds if kind.sibling]
        if not names:
            return "False"
        if len(names) > _MANY_NAMES:
            constant = self.source.constant("NAMES", frozenset(names))
            return f"(not {constant}.isdisjoint({item}))"
        test = " or ".join(f"{name!r} in {item}" for name in names)
        return f"({test})"

    def _count(self, found: Nodes | Children) -> str:
        if isinstance(found, Nodes):
            return f"sum(1 {' '.join(found.loops)})"
        (kind, *others) = found.element.kinds
        item, loops = found.nodes.item, " ".join(found.nodes.loops)
        if found.element.many and not others:
            names = (kind.name, "_" + kind.name)
            one = f"len({item}.get({names[0]!r}) or {item}.get({names[1]!r}, ()))"
        else:
            one = self._present(found.element.kinds, item)
        return f"sum({one} {loops})" if loops else one

    def _value(
        self,
        node: Tree | None,
        focus: Nodes,
        types: frozenset[str] | None,
        *,
        sibling: bool = False,
    ) -> str:
        """Python for the value of a path to at most one primitive of those types, None when it is absent."""
        if isinstance(node, Call) and node.name == "trace":
            return self._value(node.source, focus, types, sibling=sibling)
        found = self._collection(node, focus)
        if not isinstance(found, Children) or found.element.many:
            raise Untranslatable
        (kind, *others) = found.element.kinds
        if others or not kind.primitive or (types is not None and kind.type not in types):
            raise Untranslatable
        item = found.nodes.item
        default = f", {item}.get('_{kind.name}')" if sibling and kind.sibling else ""
        value = f"{item}.get({kind.name!r}{default})"
        loops = " ".join(found.nodes.loops)
        return f"single([{value} {loops}])" if loops else value

    def _something(self, node: Tree | None, focus: Nodes) -> str:
        """Like _value, but the sibling stands for a value that is not there: it exists, and equals nothing."""
        return self._value(node, focus, None, sibling=True)

    def _values(self, node: Tree | None, focus: Nodes) -> str:
        """Python for the list of the values of a path to primitives."""
        found = self._collection(node, focus)
        if not isinstance(found, Children) or len(found.element.kinds) != 1:
            raise Untranslatable
        (kind,) = found.element.kinds
        if not kind.primitive or found.element.many or not found.nodes.loops:
            raise Untranslatable
        item = found.nodes.item
        return f"[{item}[{kind.name!r}] {' '.join(found.nodes.loops)} if {kind.name!r} in {item}]"

    def _collection(self, node: Tree | None, focus: Nodes) -> Nodes | Children:
        match node:
            case None | Special("$this"):
                return focus
            case Member(None, name) if focus.rules is not None and focus.rules.type == name:
                return focus
            case Member(base, name):
                return self._child(self._nodes(base, focus), name)
            case Variable("resource" | "rootResource") if self.rules.resource:
                return Nodes((), "o", self.rules)
            case Call(base, "where", (criterion,)):
                return self._where(base, criterion, focus)
            case Call(base, "select", (projection,)):
                nodes = self._nodes(base, focus)
                inner = self._collection(projection, Nodes((), nodes.item, nodes.rules))
                return _after(nodes, inner)
            case Call(base, "first", ()):
                return self._first(base, focus)
            case Call(base, "trace", _):
                return self._collection(base, focus)
        raise Untranslatable

    def _where(self, base: Tree | None, criterion: Tree, focus: Nodes) -> Nodes:
        nodes = self._nodes(base, focus)
        test = self.truth(criterion, Nodes((), nodes.item, nodes.rules))
        loops = nodes.loops or ("for _ in (0,)",)
        return Nodes((*loops, f"if {test}"), nodes.item, nodes.rules)

    def _first(self, base: Tree | None, focus: Nodes) -> Nodes:
        nodes = self._nodes(base, focus)
        inner = f"x{next(self._names)}"
        loops = " ".join(nodes.loops)
        return Nodes((f"for {inner} in [{nodes.item} {loops}][:1]",), inner, nodes.rules)

    def _nodes(self, node: Tree | None, focus: Nodes) -> Nodes:
        """The complex values of a path."""
        found = self._collection(node, focus)
        if isinstance(found, Nodes):
            return found
        (kind, *others) = found.element.kinds
        if others or kind.primitive:
            raise Untranslatable
        variable = f"x{next(self._names)}"
        item = found.nodes.item
        many = f"for {variable} in {item}.get({kind.name!r}, ())"
        one = f"for {variable} in (({item}[{kind.name!r}],) if {kind.name!r} in {item} else ())"
        rules = None if kind.type == "Resource" else self.source.rules(kind.type)
        return Nodes((*found.nodes.loops, many if found.element.many else one), variable, rules)

    def _child(self, nodes: Nodes, name: str) -> Children:
        if nodes.rules is not None:
            for element in nodes.rules.elements:
                if element.name == name and element.kinds:
                    return Children(nodes, element)
        raise Untranslatable


def _joined(operator: str, left: tuple[str, str], right: tuple[str, str]) -> tuple[str, str]:
    (t1, f1), (t2, f2) = left, right
    match operator:
        case "and":
            return f"({t1} and {t2})", f"({f1} or {f2})"
        case "or":
            return f"({t1} or {t2})", f"({f1} and {f2})"
        case "implies":
            return f"({f1} or {t2})", f"({t1} and {f2})"
    if _is_total(t1, f1) and _is_total(t2, f2):
        return _total(f"({t1}) != ({t2})")
    return f"({t1} and {f2} or {f1} and {t2})", f"({t1} and {t2} or {f1} and {f2})"


def _total(truth: str) -> tuple[str, str]:
    """The pair of an expression that is never empty."""
    return f"({truth})", f"(not ({truth}))"


def _is_total(truth: str, falsity: str) -> bool:
    return falsity == f"(not {truth})" or truth == f"(not {falsity})"


def _after(nodes: Nodes, inner: Nodes | Children) -> Nodes | Children:
    if isinstance(inner, Nodes):
        return Nodes((*nodes.loops, *inner.loops), inner.item, inner.rules)
    return Children(
        Nodes((*nodes.loops, *inner.nodes.loops), inner.nodes.item, inner.nodes.rules),
        inner.element,
    )


def _alternatives(node: Tree) -> tuple[str, ...]:
    match node:
        case Binary("|", left, right):
            return _alternatives(left) + _alternatives(right)
        case Literal(str() as text):
            return (text,)
    raise Untranslatable
