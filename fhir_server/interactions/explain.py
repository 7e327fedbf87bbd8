"""How a search was read, and which criterion left out a resource that was asked for by its id (_explain=true).

https://hl7.org/fhir/R4/http.html#search: information about a search is an OperationOutcome in its Bundle.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from fhir_server.search.explanation import described
from fhir_server.search.expression import And, IdIn
from fhir_server.search.query import Criterion
from fhir_server.spec.errors import Issue
from fhir_server.store.contract import ReadTransaction

_MOST_IDS = 5
_LONGEST = 2000


def explained(
    criteria: Sequence[Criterion], types: tuple[str, ...], transaction: ReadTransaction
) -> tuple[Issue, ...]:
    """An issue of severity information for each criterion, and for each id that another criterion left out."""
    found = [
        _told(f"{item.name}={item.value} was read as: {described(item.expression)}")
        for item in criteria
    ]
    for item in criteria:
        if isinstance(item.expression, IdIn):
            others = [other for other in criteria if other is not item]
            found += _left_out(item.expression, others, types, transaction)
    if not criteria:
        found.append(_told("There are no criteria: every resource matches"))
    return tuple(found)


def _left_out(
    wanted: IdIn, others: list[Criterion], types: tuple[str, ...], transaction: ReadTransaction
) -> Iterator[Issue]:
    for logical_id in wanted.ids[:_MOST_IDS]:
        itself = IdIn((logical_id,))
        if not transaction.count(types, itself):
            yield _told(f"There is no resource with the id {logical_id}")
            continue
        for other in others:
            if not transaction.count(types, And((itself, other.expression))):
                yield _told(f"{logical_id} was left out by {other.name}={other.value}")


def _told(text: str) -> Issue:
    return Issue("information", "informational", text[:_LONGEST])
