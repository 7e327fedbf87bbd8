"""Compartments: the resources about one patient, encounter, practitioner, related person or device.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from fhir_server.search import expression as x
from fhir_server.search.expression import Expression
from fhir_server.search.parameters import parameter
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type, member

ITSELF = "{def}"


@cache
def _members() -> Mapping[str, Mapping[str, list[str]]]:
    return {
        item["code"]: {
            name: codes for name, codes in item["resource"].items() if is_resource_type(name)
        }
        for item in member("compartments.json")
    }


def compartment_types(compartment: str) -> tuple[str, ...]:
    """The types that can be in a compartment; FhirError 404 when R4 defines none of that name."""
    try:
        return tuple(_members()[compartment])
    except KeyError:
        raise errors.not_found(
            f"{compartment} is no compartment; R4 has {', '.join(sorted(_members()))}"
        ) from None


@cache
def compartment_parameters(compartment: str) -> Mapping[str, tuple[int, ...]]:
    """Type -> the numbers of the reference parameters that put its resources into the compartment.

    Raises FhirError 404 when R4 defines no such compartment.
    """
    found = {}
    for name in compartment_types(compartment):
        listed = (parameter(name, code) for code in _members()[compartment][name])
        numbers = tuple(item.number for item in listed if item and item.type == "reference")
        if numbers:
            found[name] = numbers
    return found


def compartment_expression(compartment: str, logical_id: str, resource_type: str) -> Expression:
    """What holds of the resources of a type that are in the compartment of that (type, id).

    Raises FhirError 404 when the compartment has no such type.
    """
    if resource_type not in compartment_types(compartment):
        raise errors.not_found(f"{resource_type} is not in the {compartment} compartment")
    focus = x.Target(compartment, logical_id)
    parts: list[Expression] = []
    numbers = []
    for code in _members()[compartment][resource_type]:
        found = parameter(resource_type, code)
        if code == ITSELF:
            parts.append(x.IdIn((logical_id,)))
        elif found is not None and found.type == "reference":
            numbers.append(found.number)
    if resource_type == compartment and not any(isinstance(part, x.IdIn) for part in parts):
        parts.append(x.IdIn((logical_id,)))
    if numbers:
        parts.append(x.ReferenceMatch(tuple(numbers), (focus,)))
    return x.Or(tuple(parts))
