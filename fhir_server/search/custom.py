"""Search parameters that a deployment defines for itself, by SearchParameter resources.

https://hl7.org/fhir/R4/searchparameter.html
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from fhir_server.fhirpath import FhirPathError, compile_expression
from fhir_server.search.converters import CONVERTERS
from fhir_server.search.parameters import SearchParameter, component_type, made, parameter
from fhir_server.search.paths import paths
from fhir_server.spec import errors
from fhir_server.spec.definitions import is_resource_type, resource_types
from fhir_server.spec.errors import FhirError, Issue

Json = dict[str, Any]
State = Literal["requested", "indexing", "ready", "retired"]

_EVERY = frozenset({"Resource", "DomainResource"})
_KIND = "SearchParameter"


@dataclass(frozen=True, slots=True)
class Custom:
    """A parameter of one type."""

    parameter: SearchParameter
    state: State


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Every parameter that the deployment has defined, by number; those that are retired are not in it."""

    customs: tuple[Custom, ...] = ()
    _of: dict[str, tuple[SearchParameter, ...]] = field(init=False, compare=False, repr=False)
    # Asked for at every search.
    _hash: int = field(init=False, compare=False, repr=False)

    def __hash__(self) -> int:
        return self._hash

    def __post_init__(self) -> None:
        object.__setattr__(self, "_hash", hash(self.customs))
        by_type: dict[str, tuple[SearchParameter, ...]] = {}
        for item in self.customs:
            name = item.parameter.resource_type
            by_type[name] = (*by_type.get(name, ()), item.parameter)
        object.__setattr__(self, "_of", by_type)

    def of(self, resource_type: str) -> tuple[SearchParameter, ...]:
        """What is indexed of a type: from the moment that it is defined, whatever its state."""
        return self._of.get(resource_type, ())

    def find(self, resource_type: str, code: str) -> Custom | None:
        """The parameter of that code."""
        if not any(item.code == code for item in self.of(resource_type)):
            return None
        return next(
            item
            for item in self.customs
            if (item.parameter.resource_type, item.parameter.code) == (resource_type, code)
        )


NOTHING = Catalogue()


def ready(custom: Custom) -> SearchParameter:
    """The parameter; FhirError 400 until $reindex is asked for, then 503 until it is done."""
    code = custom.parameter.code
    match custom.state:
        case "ready":
            return custom.parameter
        case "indexing":
            raise errors.unavailable(
                f"The parameter '{code}' is being indexed; try again when it is ready:"
                " GET [base]/$reindex-status tells how far it is",
                5,
            )
    raise errors.not_supported(
        f"The parameter '{code}' is defined but not indexed yet; POST [base]/$reindex, then search by it"
    )


def definitions(resource: Json) -> tuple[SearchParameter, ...]:
    """The parameters, with number 0, that an active SearchParameter defines: one for each base.

    None for another status, or for one that R4 itself has. Raises FhirError 422 for what cannot be indexed.
    """
    if resource.get("status") != "active":
        return ()
    return tuple(
        found for base in _bases(resource) if (found := _defined(resource, base)) is not None
    )


def _bases(resource: Json) -> Iterator[str]:
    for base in dict.fromkeys(resource.get("base", ())):
        if base in _EVERY:
            yield from resource_types()
        elif is_resource_type(base):
            yield base
        else:
            raise _refused(f"'{base}' is no resource type", "base")


def _defined(resource: Json, base: str) -> SearchParameter | None:
    known = parameter(base, resource["code"])
    if known is not None:
        if known.url == resource["url"]:
            return None
        raise _refused(
            f"{base} has a parameter '{resource['code']}' already; choose another code", "code"
        )
    if (
        resource["code"].startswith("_")
        or not resource["code"].replace("-", "").replace("_", "").isalnum()
    ):
        raise _refused(
            "A code consists of letters, digits and '-', and does not begin with '_'", "code"
        )
    found = made(0, base, resource)
    if found.type == "special":
        raise _refused("A special parameter needs a program of its own", "type")
    if not found.expression:
        raise _refused(f"No part of the expression is about {base}", "expression")
    _check(found)
    return found


def _check(found: SearchParameter) -> None:
    try:
        compile_expression(found.expression)
        for component in found.components:
            component_type(component.definition)
    except FhirPathError as error:
        raise _refused(f"The expression cannot be read: {error}", "expression") from None
    except KeyError as unknown:
        raise _refused(f"The component {unknown} is not defined by R4", "component") from None
    listed = paths(found)
    if found.type == "composite":
        if listed is None or not 2 <= len(found.components) <= 3:
            raise _refused("A composite has a plain path and two or three components", "component")
    elif listed is not None and not any(path.type in CONVERTERS[found.type] for path in listed):
        raise _refused(
            f"The expression leads to nothing that a {found.type} parameter can index", "expression"
        )


def _refused(told: str, element: str) -> FhirError:
    issue = Issue("error", "business-rule", told, (f"{_KIND}.{element}",))
    return errors.unprocessable(issue)
