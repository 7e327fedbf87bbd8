"""Compartments: the resources about one patient, encounter, practitioner, related person or device.

https://hl7.org/fhir/R4/compartmentdefinition.html
"""

from __future__ import annotations

from functools import cache

from fhir_server.search.expression import Expression, IdIn, Or, ReferenceMatch, Target
from fhir_server.search.parameters import parameter
from fhir_server.spec import errors
from fhir_server.spec.definitions import member

# The resource that the compartment is about, in place of a parameter's code.
_FOCUS = "{def}"


@cache
def _members() -> dict[str, dict[str, tuple[str, ...]]]:
    """Compartment -> member type -> the codes of the parameters that make a resource a member."""
    found = {}
    for item in member("compartments.json"):
        focus = item["code"]
        listed = {name: tuple(codes) for name, codes in item["resource"].items()}
        # The specification counts the focus in; three of the five definitions say so, two leave it out.
        listed[focus] = tuple(dict.fromkeys((*listed.get(focus, ()), _FOCUS)))
        found[focus] = dict(sorted(listed.items()))
    return found


def compartment_types(compartment: str) -> tuple[str, ...]:
    """The types that have members in a compartment, sorted; FhirError 404 for what is no compartment."""
    return tuple(_compartment(compartment))


def compartment_expression(compartment: str, logical_id: str, resource_type: str) -> Expression:
    """True of the resources of a type that are in the compartment of that resource.

    Raises FhirError 404 for what is no compartment, or a type that is not in it.
    """
    codes = _compartment(compartment).get(resource_type)
    if codes is None:
        raise errors.not_found(f"{resource_type} is not in the {compartment} compartment")
    found = [parameter(resource_type, code) for code in codes]
    numbers = tuple(item.number for item in found if item is not None)
    parts: list[Expression] = []
    if _FOCUS in codes:
        parts.append(IdIn((logical_id,)))
    if numbers:
        parts.append(ReferenceMatch(numbers, (Target(compartment, logical_id),)))
    return parts[0] if len(parts) == 1 else Or(tuple(parts))


def _compartment(name: str) -> dict[str, tuple[str, ...]]:
    try:
        return _members()[name]
    except KeyError:
        known = ", ".join(sorted(_members()))
        raise errors.not_found(f"'{name[:64]}' is no compartment; there are {known}") from None
