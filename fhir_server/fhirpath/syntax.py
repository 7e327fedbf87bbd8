"""The syntax tree of FHIRPath, and the parser that makes it (https://hl7.org/fhirpath/N1/grammar.html)."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from fhir_server.fhirpath.lexer import FhirPathError, Token, tokens, unquote

DEEPEST = 60


@dataclass(frozen=True, slots=True)
class Literal:
    """value: bool, int, Decimal or str; kind: boolean, integer, decimal, string, temporal."""

    value: bool | int | Decimal | str
    kind: str


@dataclass(frozen=True, slots=True)
class QuantityLiteral:
    value: Decimal
    unit: str
    calendar: bool


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Variable:
    name: str


@dataclass(frozen=True, slots=True)
class Special:
    """$this, $index or $total."""

    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """An element of each item of the input; at the start of an expression a type's name too."""

    source: Tree | None
    name: str


@dataclass(frozen=True, slots=True)
class Call:
    source: Tree | None
    name: str
    arguments: tuple[Tree, ...]


@dataclass(frozen=True, slots=True)
class Index:
    source: Tree
    index: Tree


@dataclass(frozen=True, slots=True)
class Unary:
    sign: str
    operand: Tree


@dataclass(frozen=True, slots=True)
class Binary:
    operator: str
    left: Tree
    right: Tree


@dataclass(frozen=True, slots=True)
class TypeTest:
    """operator: is or as."""

    operator: str
    operand: Tree
    type: str


Tree = (
    Literal
    | QuantityLiteral
    | Empty
    | Variable
    | Special
    | Member
    | Call
    | Index
    | Unary
    | Binary
    | TypeTest
)

_PRECEDENCE = {
    "implies": 1, "or": 2, "xor": 2, "and": 3, "in": 4, "contains": 4, "=": 5, "~": 5, "!=": 5, "!~": 5,
    "<=": 6, "<": 6, ">": 6, ">=": 6, "|": 7, "is": 8, "as": 8, "+": 9, "-": 9, "&": 9, "*": 10, "/": 10,
    "div": 10, "mod": 10,
}  # fmt: skip
_UNITS = ("year", "month", "week", "day", "hour", "minute", "second", "millisecond")


class Parser:
    """A precedence climber over the tokens."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.listed = tokens(text)
        self.place = 0
        self.depth = 0

    def parse(self) -> Tree:
        """The whole expression. Raises FhirPathError."""
        tree = self._expression(0)
        if self._peek().kind != "end":
            raise self._unexpected()
        return tree

    def _peek(self) -> Token:
        return self.listed[self.place]

    def _next(self) -> Token:
        self.place += 1
        return self.listed[self.place - 1]

    def _unexpected(self) -> FhirPathError:
        token = self._peek()
        shown = repr(token.text) if token.text else "the end"
        return FhirPathError(f"{shown} at {token.place} is not expected there")

    def _expect(self, text: str) -> None:
        if self._peek().text != text or self._peek().kind == "string":
            raise self._unexpected()
        self.place += 1

    def _accept(self, text: str) -> bool:
        if self._peek().kind == "symbol" and self._peek().text == text:
            self.place += 1
            return True
        return False

    def _expression(self, lowest: int) -> Tree:
        self.depth += 1
        if self.depth > DEEPEST:
            raise FhirPathError(f"The expression is nested deeper than {DEEPEST} levels")
        left = self._unary()
        while True:
            token = self._peek()
            strength = _PRECEDENCE.get(token.text, 0) if token.kind in ("symbol", "name") else 0
            if strength == 0 or strength <= lowest:
                break
            self._next()
            if token.text in ("is", "as"):
                left = TypeTest(token.text, left, self._type_name())
            else:
                left = Binary(token.text, left, self._expression(strength))
        self.depth -= 1
        return left

    def _unary(self) -> Tree:
        for sign in ("+", "-"):
            if self._accept(sign):
                return Unary(sign, self._postfix())
        return self._postfix()

    def _postfix(self) -> Tree:
        tree = self._term()
        while True:
            if self._accept("."):
                tree = self._invocation(tree)
            elif self._accept("["):
                tree = Index(tree, self._expression(0))
                self._expect("]")
            else:
                return tree

    def _term(self) -> Tree:
        token = self._peek()
        match token.kind:
            case "string":
                self._next()
                return Literal(unquote(token.text), "string")
            case "number":
                return self._number()
            case "temporal":
                self._next()
                return Literal(token.text, "temporal")
            case "variable":
                self._next()
                name = token.text[1:]
                return Variable(unquote(name) if name[0] in "`'" else name)
            case "special":
                self._next()
                return Special(token.text)
            case "name" if token.text in ("true", "false"):
                self._next()
                return Literal(token.text == "true", "boolean")
        if self._accept("("):
            tree = self._expression(0)
            self._expect(")")
            return tree
        if self._accept("{"):
            self._expect("}")
            return Empty()
        return self._invocation(None)

    def _number(self) -> Tree:
        text = self._next().text
        unit = self._peek()
        if unit.kind == "string":
            self._next()
            return QuantityLiteral(Decimal(text), unquote(unit.text), calendar=False)
        if unit.kind == "name" and unit.text.removesuffix("s") in _UNITS:
            self._next()
            return QuantityLiteral(Decimal(text), unit.text.removesuffix("s"), calendar=True)
        return Literal(Decimal(text), "decimal") if "." in text else Literal(int(text), "integer")

    def _name(self) -> str:
        token = self._peek()
        if token.kind == "quoted" and len(token.text) > len("``"):
            self._next()
            return unquote(token.text)
        if token.kind == "name":
            self._next()
            return token.text
        raise self._unexpected()

    def _invocation(self, source: Tree | None) -> Tree:
        token = self._peek()
        if token.kind == "special":
            self._next()
            return Special(token.text)
        name = self._name()
        if not self._accept("("):
            return Member(source, name)
        arguments: list[Tree] = []
        if not self._accept(")"):
            arguments.append(self._expression(0))
            while self._accept(","):
                arguments.append(self._expression(0))
            self._expect(")")
        return Call(source, name, tuple(arguments))

    def _type_name(self) -> str:
        parts = [self._name()]
        while self._accept("."):
            parts.append(self._name())
        return ".".join(parts)


def parse(text: str) -> Tree:
    """The syntax tree of an expression. Raises FhirPathError."""
    return Parser(text).parse()


def type_name(tree: Tree) -> str:
    """The type that an argument such as Patient or FHIR.Patient names. Raises FhirPathError."""
    match tree:
        case Member(None, name):
            return name
        case Member(Member() as source, name):
            return f"{type_name(source)}.{name}"
    raise FhirPathError("A type is named by an identifier, as Patient or System.String")
