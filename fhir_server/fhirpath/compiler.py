"""Syntax tree -> Python closures (https://hl7.org/fhirpath/N1/#expressions).

A compiled expression takes the scope and the focus (a list of nodes) and gives a list of nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fhir_server.fhirpath import equality, operators, quantities
from fhir_server.fhirpath import syntax as s
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node, is_type, type_is
from fhir_server.fhirpath.temporal import read_temporal

Collection = list[Node]


@dataclass(slots=True)
class Scope:
    """What an expression sees beside its input; steps bound the work of one evaluation."""

    environment: Environment
    context: Collection
    this: Collection
    index: int = 0
    total: Collection = field(default_factory=list)
    steps: int = 0

    def step(self, count: int = 1) -> None:
        """Count work; FhirPathError beyond the bound."""
        self.steps += count
        if self.steps > MOST_STEPS:
            raise FhirPathError("The evaluation takes more steps than are allowed")


MOST_STEPS = 500_000
Compiled = Callable[[Scope, Collection], Collection]
TRUE = Node(value=True, type="System.Boolean")
FALSE = Node(value=False, type="System.Boolean")


def boolean(value: bool) -> Collection:
    """A collection of one boolean."""
    return [TRUE] if value else [FALSE]


def compile_tree(tree: s.Tree) -> Compiled:
    """The closure of a tree. Raises FhirPathError for a function that does not exist."""
    match tree:
        case s.Literal(value, kind):
            node = _literal(value, kind)
            return lambda scope, focus: [node]
        case s.QuantityLiteral(value, unit, calendar):
            word = quantities.singular(unit)
            calendar = calendar or word in quantities.CALENDAR
            quantity = quantities.make(quantities.Amount(value, word, calendar=calendar))
            return lambda scope, focus: [quantity]
        case s.Empty():
            return lambda scope, focus: []
        case s.Variable(name):
            return lambda scope, focus: scope.environment.variable(name, scope.context)
        case s.Special("$this"):
            return lambda scope, focus: scope.this
        case s.Special("$index"):
            return lambda scope, focus: [Node(scope.index, "System.Integer")]
        case s.Special():
            return lambda scope, focus: scope.total
        case s.Member(source, name):
            return _member(source, name)
        case s.Index(source, index):
            return _index(compile_tree(source), compile_tree(index))
        case s.Unary(sign, operand):
            return _unary(sign, compile_tree(operand))
        case s.Binary("=" | "!=" as operator, left, s.Literal(str(value), "string") as right):
            return _equals_text(compile_tree(left), value, compile_tree(right), operator == "=")
        case s.Binary(operator, left, right):
            return _binary(operator, compile_tree(left), compile_tree(right))
        case s.TypeTest(operator, operand, name):
            return type_test(operator, compile_tree(operand), name)
        case s.Call(source, name, arguments):
            from fhir_server.fhirpath.functions import compile_call

            inner = None if source is None else compile_tree(source)
            return compile_call(inner, name, arguments)


def _literal(value: Any, kind: str) -> Node:
    if kind != "temporal":
        return Node(value, "System." + kind.capitalize())
    text = value[1:]
    kind = "Time" if text.startswith("T") else "DateTime" if "T" in text else "Date"
    shown = text[1:] if kind == "Time" else text.removesuffix("T")
    if read_temporal(shown, kind) is None:
        raise FhirPathError(f"{value} is no date or time")
    return Node(shown, "System." + kind)


def _member(source: s.Tree | None, name: str) -> Compiled:
    if source is None:
        return _first_member(name)
    inner = compile_tree(source)

    def member(scope: Scope, focus: Collection) -> Collection:
        found = inner(scope, focus)
        if len(found) == 1:
            return found[0].children(name)
        children = [child for node in found for child in node.children(name)]
        scope.step(len(found) + len(children))
        return children

    return member


def _first_member(name: str) -> Compiled:
    """At the start a name may be the type of the focus: Patient.name is name of a Patient, nothing of a Slot."""
    if not name[0].isupper():

        def element(scope: Scope, focus: Collection) -> Collection:
            if len(focus) == 1:
                return focus[0].children(name)
            return [child for node in focus for child in node.children(name)]

        return element
    known = is_type(name)

    def typed(scope: Scope, focus: Collection) -> Collection:
        if known:
            return [node for node in focus if type_is(node.type, name)]
        return [child for node in focus for child in node.children(name)]

    return typed


def _index(inner: Compiled, index: Compiled) -> Compiled:
    def at(scope: Scope, focus: Collection) -> Collection:
        found = inner(scope, focus)
        place = operators.integer(index(scope, scope.this))
        if place is None:
            return []
        return found[place : place + 1] if place >= 0 else []

    return at


def _unary(sign: str, inner: Compiled) -> Compiled:
    def signed(scope: Scope, focus: Collection) -> Collection:
        found = inner(scope, focus)
        if not found:
            return []
        node = operators.single(found)
        amount = quantities.read(node)
        if amount is not None:
            return [quantities.make(replace(amount, value=-amount.value))] if sign == "-" else found
        if not equality.is_number(node.value):
            raise FhirPathError(f"{sign} needs a number")
        return operators.number(-node.value if sign == "-" else node.value)

    return signed


def _binary(operator: str, left: Compiled, right: Compiled) -> Compiled:
    match operator:
        case "and" | "or" | "xor" | "implies":
            return _logic(operator, left, right)
        case "|":
            return _union(left, right)
        case "=" | "!=":
            return _equality(left, right, wanted=operator == "=")
        case "~" | "!~":
            return _equivalence(left, right, wanted=operator == "~")
        case "<" | "<=" | ">" | ">=":
            return _ordering(operator, left, right)
        case "in":
            return _membership(left, right)
        case "contains":
            return _membership(right, left)
        case _:
            work = operators.ARITHMETIC[operator]
            return lambda scope, focus: work(left(scope, focus), right(scope, focus))


def _union(left: Compiled, right: Compiled) -> Compiled:
    def union(scope: Scope, focus: Collection) -> Collection:
        found = operators.union(left(scope, focus), right(scope, focus))
        scope.step(len(found))
        return found

    return union


def _membership(item: Compiled, collection: Compiled) -> Compiled:
    def member(scope: Scope, focus: Collection) -> Collection:
        wanted, found = item(scope, focus), collection(scope, focus)
        scope.step(len(found))
        return operators.member_of(wanted, found)

    return member


def _equality(left: Compiled, right: Compiled, *, wanted: bool) -> Compiled:
    def compare(scope: Scope, focus: Collection) -> Collection:
        one, other = left(scope, focus), right(scope, focus)
        if len(one) > 1:
            scope.step(len(one))
        found = equality.equal(one, other)
        return [] if found is None else boolean(found == wanted)

    return compare


def _equals_text(left: Compiled, text: str, right: Compiled, wanted: bool) -> Compiled:
    """Equality with a literal string, what most conditions are made of."""
    general = _equality(left, right, wanted=wanted)

    def compare(scope: Scope, focus: Collection) -> Collection:
        found = left(scope, focus)
        if len(found) == 1:
            node = found[0]
            if isinstance(node.value, str) and node.type not in equality.TEMPORAL:
                return boolean((node.value == text) == wanted)
        return general(scope, focus) if found else []

    return compare


def _equivalence(left: Compiled, right: Compiled, *, wanted: bool) -> Compiled:
    def compare(scope: Scope, focus: Collection) -> Collection:
        one, other = left(scope, focus), right(scope, focus)
        if len(one) == len(other) > 1:
            scope.step(len(one) ** 2)
        return boolean(equality.equivalent(one, other) == wanted)

    return compare


def _ordering(operator: str, left: Compiled, right: Compiled) -> Compiled:
    accepted = {"<": (-1,), "<=": (-1, 0), ">": (1,), ">=": (0, 1)}[operator]

    def ordering(scope: Scope, focus: Collection) -> Collection:
        found = operators.order(left(scope, focus), right(scope, focus))
        return [] if found is None else boolean(found in accepted)

    return ordering


def _logic(operator: str, left: Compiled, right: Compiled) -> Compiled:
    """Three-valued logic; the right side is not looked at when the left decides."""

    def both(scope: Scope, focus: Collection) -> Collection:
        one = operators.truth(left(scope, focus))
        if one is False:
            return [FALSE]
        other = operators.truth(right(scope, focus))
        if other is False:
            return [FALSE]
        return [TRUE] if one and other else []

    def either(scope: Scope, focus: Collection) -> Collection:
        one = operators.truth(left(scope, focus))
        if one:
            return [TRUE]
        other = operators.truth(right(scope, focus))
        if other:
            return [TRUE]
        return [FALSE] if one is False and other is False else []

    def exclusive(scope: Scope, focus: Collection) -> Collection:
        one, other = operators.truth(left(scope, focus)), operators.truth(right(scope, focus))
        return [] if one is None or other is None else boolean(one != other)

    def implication(scope: Scope, focus: Collection) -> Collection:
        one = operators.truth(left(scope, focus))
        if one is False:
            return [TRUE]
        other = operators.truth(right(scope, focus))
        if other:
            return [TRUE]
        return [FALSE] if one and other is False else []

    return {"and": both, "or": either, "xor": exclusive, "implies": implication}[operator]


def type_test(operator: str, inner: Compiled, name: str) -> Compiled:
    """is and as; as of several items keeps those of the type, as R4's own expressions need."""
    test = type_predicate(name)
    if operator == "as":
        return lambda scope, focus: [node for node in inner(scope, focus) if test(node)]

    def of_type(scope: Scope, focus: Collection) -> Collection:
        found = inner(scope, focus)
        if not found:
            return []
        return boolean(test(operators.single(found)))

    return of_type


def type_predicate(name: str) -> Callable[[Node], bool]:
    """Whether a node is of a named type: FHIR.Patient, Patient, System.Boolean, Boolean. Raises FhirPathError."""
    prefix, _, plain = name.rpartition(".")
    if prefix not in ("", "FHIR", "System"):
        raise FhirPathError(f"{name} is no type")
    if prefix == "System" or (prefix == "" and plain in operators.SYSTEM_TYPES):
        wanted = "System." + plain
        if prefix == "" and plain == "Quantity":
            return lambda node: node.type == wanted or type_is(node.type, "Quantity")
        return lambda node: node.type == wanted
    if not is_type(plain):
        raise FhirPathError(f"R4 has no type {plain}")
    return lambda node: type_is(node.type, plain)
