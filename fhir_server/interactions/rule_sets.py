"""Several sets of rules that hold at once, as one.

https://hl7.org/fhir/R4/http.html#rejecting-updates
"""

from __future__ import annotations

from graphlib import TopologicalSorter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from fhir_server.interactions.rules import Identity, Pending, Ruled, Rules
from fhir_server.interactions.seen import whole
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.store.contract import ReadTransaction, Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context, Parameters
    from fhir_server.interactions.write import Write

Json = dict[str, Any]


class RuleSets:
    """See fhir_server.interactions.rules.Rules; a write passes the sets that are about its type, in their order.

    They see everything, whoever it is that writes.
    """

    def __init__(self, *sets: Rules) -> None:
        self.sets = sets
        self._of = {
            name: tuple(item for item in sets if name in item.resource_types)
            for item in sets
            for name in item.resource_types
        }
        self.resource_types = frozenset(self._of)
        self.lock_order = united(*(item.lock_order for item in sets))
        self.write_order = united(*(item.write_order for item in sets))

    def locks(
        self, pending: Pending, context: Context, transaction: ReadTransaction
    ) -> set[Identity]:
        """What any of them wants locked."""
        found: set[Identity] = set()
        transaction = whole(transaction)
        for item in self.sets:
            found |= item.locks(pending, context, transaction)
        return found

    def begin(self, pending: Pending, context: Context, transaction: Transaction) -> None:
        """Each in turn."""
        transaction = whole(transaction)
        for item in self.sets:
            item.begin(pending, context, transaction)

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """What one set makes of the resource, the next one is asked about."""
        issues: tuple[Issue, ...] = ()
        transaction = whole(transaction)
        for item in self._of[write.resource_type]:
            after, told = item.apply(write, after, context, transaction)
            issues += told
        return Ruled(after, issues)

    def search(
        self, resource_type: str, focus: Identity | None, parameters: Parameters, context: Context
    ) -> Parameters:
        """Narrowed by each."""
        for item in self._of.get(resource_type, ()):
            parameters = item.search(resource_type, focus, parameters, context)
        return parameters

    def follow(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """Each in turn."""
        transaction = whole(transaction)
        for item in self._of.get(write.resource_type, ()):
            item.follow(write, after, context, transaction)

    def unique(self, resource: Json) -> tuple[tuple[str, str], ...]:
        """Those of all."""
        found: tuple[tuple[str, str], ...] = ()
        for item in self._of[resource["resourceType"]]:
            found += item.unique(resource)
        return found

    def duplicated(
        self, resource: Json, refusal: FhirError, transaction: ReadTransaction
    ) -> FhirError:
        """As those about the type tell it, one after the other."""
        transaction = whole(transaction)
        for item in self._of[resource["resourceType"]]:
            refusal = item.duplicated(resource, refusal, transaction)
        return refusal

    def contended(self, refusal: FhirError) -> FhirError:
        """As the first of them says it."""
        return self.sets[0].contended(refusal) if self.sets else refusal


def united(*orders: tuple[str, ...]) -> tuple[str, ...]:
    """One order in which each of them holds; raises graphlib.CycleError when they contradict each other."""
    sorter: TopologicalSorter[str] = TopologicalSorter()
    for order in orders:
        for name in order:
            sorter.add(name)
        for first, second in pairwise(order):
            sorter.add(second, first)
    return tuple(sorter.static_order())
