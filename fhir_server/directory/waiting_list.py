"""ServiceRequest/$waiting-list: who waits, the longest wait first, and the figures of exactly those.

docs/referrals-directory.md, https://hl7.org/fhir/R4/measurereport.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fhir_server.booking.inputs import Inputs, read_inputs
from fhir_server.booking.names import OURS
from fhir_server.directory import bundles
from fhir_server.directory.asked import note, token
from fhir_server.directory.names import WEEKS_WAITED
from fhir_server.directory.report import report
from fhir_server.directory.statistics import written
from fhir_server.directory.waiting import List, Waiter, Wanted
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.coded import refusal
from fhir_server.interactions.operation import Level
from fhir_server.interactions.paging import read_cursor, take_cursor
from fhir_server.search import literals
from fhir_server.search.expression import Token
from fhir_server.spec import errors
from fhir_server.spec.errors import Issue
from fhir_server.spec.instants import MILLISECOND, write_instant
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
_KNOWN = frozenset({"organisation", "specialty", "as-of", "_count"})
_PLACE = "Parameters.parameter"


@dataclass(frozen=True)
class WaitingList:
    """$waiting-list at the type level, by GET and POST."""

    code: str = "waiting-list"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-waiting-list"
    levels: frozenset[Level] = frozenset({"type"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = False

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with a searchset: the MeasureReport on the first page, then those who wait; total is their number.

        FhirError 400 for what cannot be read, 403 when too much has to be looked at, 422 for a moment to come.
        """
        settled = transaction.settled()
        parameters, cursor = take_cursor(call.parameters)
        inputs = read_inputs(call._replace(parameters=parameters), _KNOWN)
        as_of = _moment(inputs, settled, context.now())
        pinned = Inputs({**inputs.values, "as-of": [write_instant(as_of)]})
        scope = bundles.scope_of("ServiceRequest/$waiting-list", pinned)
        organisation = _organisation(inputs)
        found = Wanted(organisation, _specialties(inputs), as_of, context, transaction).list()
        count = inputs.number("_count", 0, 10_000)
        policy = context.policy
        count = policy.default_count if count is None else min(count, policy.maximum_count)
        rest = found.waiters
        entries: list[Json] = []
        if cursor is not None:
            waited, logical_id = read_cursor(cursor, scope, policy.cursor_key)
            rest = [item for item in rest if item.order > (waited, logical_id)]
        else:
            entries.append(_reported(report(found.waiters, as_of, organisation, context), context))
        page = rest[:count]
        entries += [_entry(item, context, transaction) for item in page]
        return bundles.searchset(
            entries,
            scope,
            context,
            total=len(found.waiters),
            following=page[-1].order if len(rest) > len(page) > 0 else None,
            issues=_notes(found) if cursor is None else (),
        )


def _moment(inputs: Inputs, settled: int, now: int) -> int:
    """The moment asked for, at the latest the last one that nothing will be written before any more."""
    asked = inputs.moment("as-of")
    latest = settled // MILLISECOND * MILLISECOND
    if asked is None:
        return latest
    if asked[0] > max(settled, now):
        told = "as-of has not come yet; leave it out for now"
        raise refusal(422, "value", "INVALID_VALUE", told, _PLACE)
    # A day is told about at its end, as far as it is over.
    return min(asked[1] - 1, latest) // MILLISECOND * MILLISECOND


def _organisation(inputs: Inputs) -> str | None:
    text = inputs.text("organisation")
    return text if text is None or "/" in text else f"Organization/{text}"


def _specialties(inputs: Inputs) -> tuple[Token, ...]:
    try:
        found = [
            literals.tokens(token(value, "specialty"), frozenset())
            for value in inputs.all("specialty")
        ]
    except ValueError as fault:
        raise errors.invalid(f"specialty cannot be read: {fault}", _PLACE) from None
    return tuple(item for each in found for item in each)


def _reported(made: Json, context: Context) -> Json:
    return {
        "fullUrl": f"urn:uuid:{context.new_id()}",
        "resource": made,
        "search": {"mode": "include"},
    }


def _entry(waiter: Waiter, context: Context, transaction: ReadTransaction) -> Json:
    """The referral as it was at the moment, with the weeks it had waited."""
    version = transaction.version("ServiceRequest", waiter.logical_id, waiter.version_id)
    assert version is not None
    weeks = {"url": WEEKS_WAITED, "valueDecimal": written(waiter.weeks)}
    search: Json = {"extension": [weeks], "mode": "match"}
    return bundles.entry("ServiceRequest", waiter.logical_id, version.body, search, context)


def _notes(found: List) -> list[Issue]:
    assumed = sum(not item.stated for item in found.waiters)
    notes = []
    if assumed:
        told = (
            f"{assumed} referrals have no referral-pathway-start; their clock starts at authoredOn"
        )
        notes.append(note(told))
    if found.without_start:
        told = (
            f"{found.without_start} active referrals without a start of the clock are not counted"
        )
        notes.append(note(told))
    return notes
