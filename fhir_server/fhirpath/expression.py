"""Compiled expressions (https://hl7.org/fhirpath/N1/)."""

from __future__ import annotations

from functools import lru_cache

from fhir_server.fhirpath import operators, syntax
from fhir_server.fhirpath.compiler import Scope, compile_tree
from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node

_PLAIN = Environment()


class Expression:
    """An expression that can be evaluated on any focus; tree is its syntax."""

    __slots__ = ("_compiled", "text", "tree")

    def __init__(self, text: str) -> None:
        self.text = text
        self.tree = syntax.parse(text)
        try:
            self._compiled = compile_tree(self.tree)
        except RecursionError:
            raise FhirPathError("The expression is nested too deep") from None

    def evaluate(self, focus: Node, environment: Environment = _PLAIN) -> list[Node]:
        """The nodes that the expression gives. Raises FhirPathError."""
        here = [focus]
        try:
            return self._compiled(Scope(environment, here, here), here)
        except RecursionError:
            raise FhirPathError("The expression is nested too deep") from None

    def is_true(self, focus: Node, environment: Environment = _PLAIN) -> bool:
        """Whether the expression holds; an empty result counts as false. Raises FhirPathError."""
        return operators.truth(self.evaluate(focus, environment)) or False


@lru_cache(maxsize=8192)
def compile_expression(text: str) -> Expression:
    """The compiled expression, from a cache. Raises FhirPathError on a syntax error or an unknown function."""
    return Expression(text)
