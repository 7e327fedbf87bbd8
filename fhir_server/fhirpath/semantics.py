"""Strict mode: what of an expression can be seen to be wrong without a resource.

https://hl7.org/fhirpath/N1/#type-safety-and-strict-evaluation
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.fhirpath import syntax as s
from fhir_server.fhirpath.expression import Expression
from fhir_server.fhirpath.functions import function_names
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import is_type, properties_of, type_is

# Types whose elements depend on what stands there
_OPEN = frozenset({"Resource", "DomainResource", "Element", "BackboneElement"})
_SAME = frozenset(
    ("where", "first", "last", "tail", "skip", "take", "single", "distinct", "trace", "exclude", "intersect", "sort",
     "getValue", "checkModifiers", "lowBoundary", "highBoundary", "abs")
)  # fmt: skip
_BOOLEAN = frozenset(
    ("exists", "empty", "all", "allTrue", "anyTrue", "allFalse", "anyFalse", "subsetOf", "supersetOf", "isDistinct",
     "is", "not", "startsWith", "endsWith", "contains", "matches", "matchesFull", "hasValue", "htmlChecks",
     "htmlChecks2", "memberOf", "conformsTo", "subsumes", "subsumedBy", "comparable")
)  # fmt: skip
_STRING = frozenset(
    ("substring", "upper", "lower", "trim", "replace", "replaceMatches", "join", "split", "toChars", "encode", "decode",
     "escape", "unescape", "toString")
)  # fmt: skip
_INTEGER = frozenset(("count", "length", "indexOf", "lastIndexOf", "precision", "toInteger"))
_ORDERED = frozenset(("first", "last", "tail", "skip", "take"))


@dataclass(frozen=True, slots=True)
class Static:
    """What is known of a collection: its types (None when they may be any), and whether its order means something."""

    types: frozenset[str] | None
    ordered: bool = True


_ANY = Static(None)


def _of(*names: str) -> Static:
    return Static(frozenset(names))


def check(expression: Expression, context: str, *, ordered: bool = False) -> None:
    """Raise FhirPathError for an element that the type does not have, and for conditions that are no booleans.

    context: the type that the expression starts at. ordered: refuse first(), skip() ... of what has no order, too.
    """
    start = _of(context)
    _Checker(start, ordered).static(expression.tree, start)


class _Checker:
    def __init__(self, context: Static, ordered: bool) -> None:
        self.context = context
        self.strict_order = ordered

    def static(self, tree: s.Tree, this: Static) -> Static:
        """What the tree gives when $this is so."""
        match tree:
            case s.Literal(_, kind):
                return _ANY if kind == "temporal" else _of("System." + kind.capitalize())
            case s.QuantityLiteral():
                return _of("System.Quantity")
            case s.Special("$this"):
                return this
            case s.Special("$index"):
                return _of("System.Integer")
            case s.Variable("context"):
                return self.context
            case s.Member(source, name):
                return self._member(source, name, this)
            case s.Index(source, index):
                self.static(index, this)
                return self._in_order(self.static(source, this), "[]")
            case s.Unary(_, operand):
                return self.static(operand, this)
            case s.Binary(operator, left, right):
                return self._binary(operator, self.static(left, this), self.static(right, this))
            case s.TypeTest(operator, operand, name):
                self.static(operand, this)
                return _of("System.Boolean") if operator == "is" else _named(name)
            case s.Call(source, name, arguments):
                inner = this if source is None else self.static(source, this)
                return self._call(inner, name, arguments, this)
            case _:
                return _ANY

    def _member(self, source: s.Tree | None, name: str, this: Static) -> Static:
        inner = this if source is None else self.static(source, this)
        if inner.types is None or inner.types & _OPEN:
            return _ANY
        if source is None and name[0].isupper() and is_type(name):
            if any(type_is(kind, name) for kind in inner.types):
                return inner
            raise FhirPathError(f"{name} is not what the expression starts at")
        if inner.types == {"System.TypeInfo"}:
            return _of("System.String")
        found = frozenset(item.type for kind in inner.types for item in properties_of(kind, name))
        if not found:
            kinds = ", ".join(sorted(inner.types))
            raise FhirPathError(f"{kinds} has no element '{name}'")
        return Static(found, inner.ordered)

    def _in_order(self, inner: Static, name: str) -> Static:
        if self.strict_order and not inner.ordered:
            raise FhirPathError(f"{name} needs an order, and there is none")
        return inner

    def _binary(self, operator: str, left: Static, right: Static) -> Static:
        match operator:
            case "|":
                both = None if None in (left.types, right.types) else True
                types = (left.types or frozenset()) | (right.types or frozenset())
                return Static(types if both else None, ordered=False)
            case "+" | "-" | "*" | "/" | "div" | "mod":
                return _ANY
            case "&":
                return _of("System.String")
        return _of("System.Boolean")

    def _call(
        self, inner: Static, name: str, arguments: tuple[s.Tree, ...], this: Static
    ) -> Static:
        if name in ("is", "as", "ofType"):
            return _of("System.Boolean") if name == "is" else _named(s.type_name(arguments[0]))
        own = inner if name in function_names(iterating=True) else this
        given = [self.static(argument, own) for argument in arguments]
        if name == "iif":
            return self._condition(given)
        if name in _ORDERED:
            self._in_order(inner, name + "()")
        if name in _SAME:
            return Static(inner.types, inner.ordered or name == "sort")
        if name in ("children", "descendants"):
            return Static(None, ordered=False)
        if name in ("select", "repeat"):
            return given[0]
        if name == "extension":
            return _of("Extension")
        if name == "type":
            return _of("System.TypeInfo")
        for names, kind in ((_BOOLEAN, "Boolean"), (_STRING, "String"), (_INTEGER, "Integer")):
            if name in names:
                return _of("System." + kind)
        return _ANY

    def _condition(self, given: list[Static]) -> Static:
        types = given[0].types
        if types is not None and not types & {"System.Boolean", "boolean"}:
            raise FhirPathError("The condition of iif() is no boolean")
        results = [item.types for item in given[1:]]
        if any(item is None for item in results):
            return _ANY
        return Static(frozenset().union(*(item for item in results if item is not None)))


def _named(name: str) -> Static:
    prefix, _, plain = name.rpartition(".")
    if prefix == "System":
        return _of(name)
    return _of(plain) if is_type(plain) else _ANY
