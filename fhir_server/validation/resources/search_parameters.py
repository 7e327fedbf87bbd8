"""SearchParameters and the statements that offer them agree with what they are derived from.

https://hl7.org/fhir/R4/searchparameter-definitions.html#SearchParameter.derivedFrom
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fhir_server.spec import definitions
from fhir_server.spec.errors import Issue
from fhir_server.validation.issues import fault
from fhir_server.validation.profiles.run import Run

Json = dict[str, Any]


@cache
def _published() -> Mapping[str, Json]:
    """R4's own search parameters by canonical url."""
    found: list[Json] = definitions.member("search-parameters.json")
    return {item["url"]: item for item in found}


def _definition(canonical: object, run: Run) -> Json | None:
    if not isinstance(canonical, str):
        return None
    known = _published().get(canonical.partition("|")[0])
    return known if known is not None else run.library.resource("SearchParameter", canonical)


def parameter_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """A composite has parts; a parameter that is derived from another has its type and no other base."""
    if resource.get("type") == "composite" and len(resource.get("component", ())) < 2:
        told = f"{path} is composite, so it needs the components that it combines; add two or more"
        yield fault("business-rule", told, path)
    base = _definition(resource.get("derivedFrom"), run)
    if base is None:
        return
    if base.get("type") != resource.get("type"):
        yield fault(
            "business-rule",
            f"{path} is of the type {resource.get('type')}, but derived from one of {base.get('type')}",
            path,
        )
    others = sorted(set(resource.get("base", ())) - set(base.get("base", ())))
    if others and not {"Resource", "DomainResource"} & set(base.get("base", ())):
        yield fault(
            "business-rule",
            f"{path} has the base {', '.join(others)}, which its origin has not",
            path,
        )


def statement_issues(resource: Json, path: str, run: Run) -> Iterator[Issue]:
    """A CapabilityStatement tells the types that its search parameters are defined with."""
    for number, rest in enumerate(resource.get("rest", ())):
        held = [(f"{path}.rest[{number}]", rest)]
        held += [
            (f"{path}.rest[{number}].resource[{index}]", item)
            for index, item in enumerate(rest.get("resource", ()))
        ]
        for place, holder in held:
            for index, offered in enumerate(holder.get("searchParam", ())):
                known = _definition(offered.get("definition"), run)
                if known is not None and known.get("type") != offered.get("type"):
                    where = f"{place}.searchParam[{index}]"
                    yield fault(
                        "invalid",
                        f"{where} is of the type {offered.get('type')}, but defined as {known.get('type')}",
                        where,
                    )
