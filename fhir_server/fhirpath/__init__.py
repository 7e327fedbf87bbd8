"""FHIRPath: parse, compile to closures, evaluate within bounds (https://hl7.org/fhir/R4/fhirpath.html)."""

from fhir_server.fhirpath.environment import Environment
from fhir_server.fhirpath.expression import Expression, compile_expression
from fhir_server.fhirpath.lexer import FhirPathError
from fhir_server.fhirpath.node import Node, root
from fhir_server.fhirpath.semantics import check

__all__ = [
    "Environment",
    "Expression",
    "FhirPathError",
    "Node",
    "check",
    "compile_expression",
    "root",
]
