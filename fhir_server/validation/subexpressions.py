"""Why an invariant does not hold: the parts of its expression with the values that they have.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Final

from fhir_server.fhirpath import Environment, FhirPathError, Node, compile_expression
from fhir_server.fhirpath import syntax as s
from fhir_server.validation.issues import shown

_LOGIC: Final = frozenset({"and", "or", "xor", "implies"})
_MOST_PARTS: Final = 6
_MOST_ITEMS: Final = 3


def parts(expression: str, node: Node, environment: Environment) -> str:
    """The operands of an expression with their values, as one text: "status is 'free', start.exists() is false"."""
    try:
        tree = compile_expression(expression).tree
    except FhirPathError:
        return ""
    told = []
    for part in dict.fromkeys(text_of(item) for item in _operands(tree)):
        if part == expression:
            continue
        told.append(f"{part} is {_value(part, node, environment)}")
        if len(told) == _MOST_PARTS:
            break
    return ", ".join(told)


def _operands(tree: s.Tree) -> Iterator[s.Tree]:
    """What logic joins, then what is compared in it, then what functions are asked of."""
    match tree:
        case s.Binary(operator, left, right) if operator in _LOGIC:
            yield from _operands(left)
            yield from _operands(right)
        case s.Binary(_, left, right):
            yield tree
            for side in (left, right):
                if not isinstance(side, s.Literal | s.Empty):
                    yield side
        case s.Call(source, "not", ()) if source is not None:
            yield from _operands(source)
        case s.Call(source, _, _) if isinstance(source, s.Member | s.Call):
            yield tree
            yield source
        case _:
            yield tree


def _value(text: str, node: Node, environment: Environment) -> str:
    try:
        found = compile_expression(text).evaluate(node, environment)
    except FhirPathError:
        return "not to be told"
    if not found:
        return "empty"
    listed = [shown(item.value) for item in found[:_MOST_ITEMS]]
    more = f" and {len(found) - _MOST_ITEMS} more" if len(found) > _MOST_ITEMS else ""
    return ", ".join(listed) + more


def text_of(tree: s.Tree) -> str:
    """An expression as it is written."""
    match tree:
        case s.Literal(value, kind):
            return _literal(value, kind)
        case s.QuantityLiteral(value, unit, calendar):
            return f"{value} {unit}" if calendar else f"{value} '{unit}'"
        case s.Empty():
            return "{}"
        case s.Variable(name):
            return f"%{name}" if name.isidentifier() else f"%`{name}`"
        case s.Special(name):
            return name
        case s.Member(source, name):
            plain = name if name.isidentifier() else f"`{name}`"
            return plain if source is None else f"{_held(source)}.{plain}"
        case s.Call(source, name, arguments):
            call = f"{name}({', '.join(map(text_of, arguments))})"
            return call if source is None else f"{_held(source)}.{call}"
        case s.Index(source, index):
            return f"{_held(source)}[{text_of(index)}]"
        case s.Unary(sign, operand):
            return f"{sign}{_held(operand)}"
        case s.Binary(operator, left, right):
            return f"{_held(left)} {operator} {_held(right)}"
        case s.TypeTest(operator, operand, name):
            return f"{_held(operand)} {operator} {name}"


def _held(tree: s.Tree) -> str:
    if isinstance(tree, s.Binary | s.TypeTest | s.Unary):
        return f"({text_of(tree)})"
    return text_of(tree)


def _literal(value: bool | int | Decimal | str, kind: str) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if kind == "string":
        text = str(value).replace("\\", "\\\\").replace("'", "\\'")
        return f"'{text}'"
    return str(value)
