"""How invariants are decided: by code, by translation into the fast path's source, or by the FHIRPath engine.

https://hl7.org/fhir/R4/conformance-rules.html#constraints
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from fhir_server.fhirpath import Environment, FhirPathError, Node, compile_expression
from fhir_server.validation.native import INVARIANTS, STRUCTURAL
from fhir_server.validation.rules import Element, Invariant, Kind, Rules
from fhir_server.validation.source import Source
from fhir_server.validation.translate import Nodes, Translator, Untranslatable

Json = dict[str, Any]


def holds(invariant: Invariant, node: Node, environment: Environment) -> bool:
    """Whether a node keeps an invariant; one that cannot be evaluated is broken."""
    native = INVARIANTS.get((invariant.path, invariant.key))
    if native is not None:
        return native(node.value)
    try:
        return compile_expression(invariant.expression).is_true(node, environment)
    except FhirPathError:
        return False


def is_asked(invariant: Invariant) -> bool:
    """Whether it is asked at all: not part of the structure already, no best practice."""
    return invariant.key not in STRUCTURAL and not invariant.best_practice


def _refuses(invariant: Invariant) -> bool:
    return is_asked(invariant) and invariant.severity == "error"


def _of_resource(invariant: Invariant) -> bool:
    """Whether it looks beyond the node and what is below it."""
    return "%resource" in invariant.expression or "%rootResource" in invariant.expression


def node_conditions(rules: Rules, source: Source) -> Iterator[str]:
    """What must be true of a node `o`, as Python expressions; resource_conditions has the rest."""
    for invariant in filter(_refuses, rules.invariants):
        condition = _condition(invariant, rules, "o", source)
        if condition is not None:
            yield condition
        elif not _of_resource(invariant):
            yield _engine(invariant, rules.type, "o", source)


def item_conditions(element: Element, kind: Kind, item: str, source: Source) -> Iterator[str]:
    """What an element asks of each of its values beyond what their type asks."""
    for invariant in filter(_refuses, element.invariants):
        rules = None if kind.primitive or kind.type == "Resource" else source.rules(kind.type)
        condition = _condition(invariant, rules, item, source)
        yield condition or _engine(invariant, kind.type, item, source)


def resource_conditions(structure: Mapping[str, Rules], source: Source) -> Iterator[str]:
    """What must be true of a resource `o` because nodes inside ask it of the whole."""
    found = {}
    for rules in structure.values():
        asked = [item for item in filter(_refuses, rules.invariants) if _of_resource(item)]
        hoisted = [item for item in asked if _condition(item, rules, "o", source) is None]
        if hoisted:
            found[rules.type] = hoisted
    if found:
        yield f"{source.constant('WHOLE', _whole_check(found), 'whole')}(o)"


def _condition(invariant: Invariant, rules: Rules | None, item: str, source: Source) -> str | None:
    native = INVARIANTS.get((invariant.path, invariant.key))
    if native is not None:
        return f"{source.constant('HOLDS', native, native)}({item})"
    if rules is None:
        return None
    tree = compile_expression(invariant.expression).tree
    try:
        return Translator(rules, source).truth(tree, Nodes((), item, rules))
    except Untranslatable:
        return None


def _engine(invariant: Invariant, type_name: str, item: str, source: Source) -> str:
    def check(value: Any) -> bool:
        return holds(invariant, Node(value, type_name), Environment())

    return f"{source.constant('ENGINE', check, (invariant, type_name))}({item})"


def _whole_check(asked: Mapping[str, list[Invariant]]) -> Callable[[Json], bool]:
    def check(resource: Json) -> bool:
        root = Node(resource, resource["resourceType"])
        environment = Environment(resource=root, root_resource=root)
        pending = [root]
        while pending:
            node = pending.pop()
            invariants = asked.get(node.type, ())
            if not all(holds(invariant, node, environment) for invariant in invariants):
                return False
            if isinstance(node.value, dict):
                pending.extend(node.all_children())
        return True

    return check
