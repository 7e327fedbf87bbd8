"""Which resource the criteria of a conditional interaction mean (https://hl7.org/fhir/R4/http.html#ccreate)."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Literal

from fhir_server.interactions.call import Context, Parameters, Policy
from fhir_server.interactions.code_sets import CodesInView, CodesOutOfView, NeedsView
from fhir_server.search.custom import Catalogue
from fhir_server.search.expression import Expression, Query
from fhir_server.search.query import Reader, SearchSettings
from fhir_server.search.settings import CodeSets, NamedQuery
from fhir_server.spec import errors
from fhir_server.store.contract import (
    ReadTransaction,
    StoredVersion,
    Transaction,
    VersionConflict,
)


def settings(context: Context, codes: CodeSets | None = None) -> SearchSettings:
    """How this deployment and this caller want searches to be read; codes: what :in and its like ask."""
    policy = context.policy
    return SearchSettings(
        default_count=policy.default_count,
        maximum_count=policy.maximum_count,
        handling=context.handling,
        zone=policy.zone,
        base_urls=policy.base_urls,
        now=context.now(),
        content=policy.content_search,
        catalogue=context.catalogue(),
        queries=context.queries,
        terminology=codes or context.profiles.validator.library.terminology,
    )


def remembering(parameters: Parameters, context: Context) -> Reader | None:
    """Who reads such parameters for this caller, and remembers: the same ones come again and again.

    None where they mean something else at another time, as with the prefix ap. Raises NeedsView when it reads what the
    value sets that are stored decide.
    """
    for _, value in parameters:
        if "ap" in value:
            return None
    return _reader(context.policy, context.handling, context.catalogue(), context.queries)


@lru_cache(maxsize=8)
def _reader(
    policy: Policy,
    handling: Literal["strict", "lenient"],
    catalogue: Catalogue,
    queries: tuple[NamedQuery, ...],
) -> Reader:
    context = Context(
        policy, lambda: 0, str, handling, catalogue=lambda: catalogue, queries=queries
    )
    return Reader(settings(context, CodesOutOfView()))


def reading(context: Context, transaction: ReadTransaction | None) -> Reader:
    """Who reads parameters now; transaction: sees the value sets that are stored, which they may name."""
    codes = None if transaction is None else CodesInView(context, transaction)
    return Reader(settings(context, codes))


def criteria_of(
    resource_type: str,
    parameters: Parameters,
    context: Context,
    transaction: ReadTransaction | None = None,
) -> Expression:
    """The expression of search criteria, always strict: FhirError 400 or 412 for what is not understood, or empty.

    transaction: sees the value sets that are stored, which criteria of the caller's own may name.
    """
    criteria = tuple(parameters)
    known = remembering(criteria, context)
    if known is not None:
        with suppress(NeedsView):
            return known.criteria(resource_type, criteria)
    return reading(context, transaction).criteria(resource_type, criteria)


def matches(
    resource_type: str,
    parameters: Parameters,
    context: Context,
    transaction: ReadTransaction,
    limit: int = 2,
) -> list[StoredVersion]:
    """The first resources for which the criteria hold."""
    where = criteria_of(resource_type, parameters, context, transaction)
    query = Query((resource_type,), where, limit=limit)
    return [hit.version for hit in transaction.search(query)]


def single(
    resource_type: str, parameters: Parameters, context: Context, transaction: ReadTransaction
) -> StoredVersion | None:
    """The one resource for which the criteria hold, or None; FhirError 412 when there are several."""
    found = matches(resource_type, parameters, context, transaction)
    if len(found) > 1:
        raise several(resource_type, parameters)
    return found[0] if found else None


def single_held(
    resource_type: str, parameters: Parameters, context: Context, transaction: Transaction
) -> StoredVersion | None:
    """The one resource for which the criteria hold, locked so that they still hold when it is changed.

    Raises FhirError 412 when there are several, VersionConflict when another transaction was faster: then the
    criteria must be asked again.
    """
    found = single(resource_type, parameters, context, transaction)
    if found is not None:
        transaction.lock([(found.resource_type, found.logical_id)])
        if transaction.current(found.resource_type, found.logical_id) != found:
            raise VersionConflict(f"{found.resource_type}/{found.logical_id}")
    return found


def several(resource_type: str, parameters: Parameters) -> errors.FhirError:
    """412: the criteria match more than one; their values stay out of the sentence."""
    criteria = "&".join(name for name, _ in parameters)
    return errors.precondition_failed(
        f"The criteria ({criteria}) match more than one {resource_type}; make them select one",
        "multiple-matches",
    )
