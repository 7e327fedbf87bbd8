"""The value of a composite parameter: one leaf for each part (https://hl7.org/fhir/R4/search.html#composite)."""

from __future__ import annotations

from functools import cache

from fhir_server.search import expression as x
from fhir_server.search import literals
from fhir_server.search.escaping import split
from fhir_server.search.expression import Leaf
from fhir_server.search.parameters import CANONICAL, Component, SearchParameter, component_type
from fhir_server.search.paths import paths, resolved
from fhir_server.search.settings import SearchSettings

_RESOURCE = "%resource."


def read_composite(
    parameter: SearchParameter, text: str, settings: SearchSettings
) -> tuple[Leaf, ...]:
    """The leaves of part$part; a quantity in a canonical unit has CANONICAL as its parameter. Raises ValueError."""
    parts = split(text, "$")
    if len(parts) != len(parameter.components) or not all(parts):
        names = "$".join(component.expression for component in parameter.components)
        raise ValueError(
            rf"expected {len(parameter.components)} parts, {names}; write \$ for a literal $"
        )
    return tuple(
        _leaf(parameter, component, part, settings)
        for component, part in zip(parameter.components, parts, strict=True)
    )


def _leaf(
    parameter: SearchParameter, component: Component, text: str, settings: SearchSettings
) -> Leaf:
    match component_type(component.definition):
        case "token":
            return x.TokenMatch((), literals.tokens(text, _types(parameter, component)))
        case "string":
            return x.StringMatch((), "starts", (literals.folded(text),))
        case "reference":
            return x.ReferenceMatch((), tuple(literals.targets(text, (), False, settings)))
        case "date":
            return x.DateMatch((), (literals.date_range(text, settings),))
        case "number":
            return x.NumberMatch((), (literals.number_range(text),))
        case "uri":
            return x.UriMatch((), "exact", (text,))
        case "quantity":
            plain = literals.quantity(text)
            measured = literals.in_canonical(plain)
            if measured is None:
                return x.QuantityMatch((), (plain,))
            return x.QuantityMatch((CANONICAL,), (measured,))
    raise ValueError("a part of it is of a type that no composite has")


@cache
def _types(parameter: SearchParameter, component: Component) -> frozenset[str]:
    """The node types that a component's values have."""
    if component.expression.startswith(_RESOURCE):
        starts = [parameter.resource_type]
    else:
        starts = [path.type for path in paths(parameter) or ()]
    expression = component.expression.removeprefix(_RESOURCE)
    return frozenset(path.type for start in starts for path in resolved(expression, start))
