"""Which resource the criteria of a conditional interaction mean (https://hl7.org/fhir/R4/http.html#ccreate)."""

from __future__ import annotations

from fhir_server.interactions.call import Context, Parameters
from fhir_server.search.expression import Expression, Query
from fhir_server.search.query import SearchSettings, parse_criteria
from fhir_server.spec import errors
from fhir_server.store.contract import ReadTransaction, StoredVersion


def settings(context: Context) -> SearchSettings:
    """How this deployment and this caller want searches to be read."""
    policy = context.policy
    return SearchSettings(
        default_count=policy.default_count,
        maximum_count=policy.maximum_count,
        handling=context.handling,
        zone=policy.zone,
        base_urls=(policy.base_url,),
        now=context.now(),
        content=policy.content_search,
        catalogue=context.catalogue(),
        queries=context.queries,
    )


def criteria_of(resource_type: str, parameters: Parameters, context: Context) -> Expression:
    """The expression of search criteria, always strict: FhirError 400 or 412 for what is not understood, or empty."""
    return parse_criteria(resource_type, parameters, settings=settings(context))


def matches(
    resource_type: str,
    parameters: Parameters,
    context: Context,
    transaction: ReadTransaction,
    limit: int = 2,
) -> list[StoredVersion]:
    """The first resources for which the criteria hold."""
    where = criteria_of(resource_type, parameters, context)
    query = Query((resource_type,), where, limit=limit)
    return [hit.version for hit in transaction.search(query)]


def single(
    resource_type: str, parameters: Parameters, context: Context, transaction: ReadTransaction
) -> StoredVersion | None:
    """The one resource for which the criteria hold, or None; FhirError 412 when there are several."""
    found = matches(resource_type, parameters, context, transaction)
    if len(found) > 1:
        criteria = "&".join(name for name, _ in parameters)
        raise errors.precondition_failed(
            f"The criteria ({criteria}) match more than one {resource_type}; make them select one",
            "multiple-matches",
        )
    return found[0] if found else None
