"""Rules that hold between resources, asked inside the store's transaction by every write, through whichever door.

The core knows no resource type; a set of rules says which types it is about. https://hl7.org/fhir/R4/http.html#rejecting-updates
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from fhir_server.spec.errors import FhirError, Issue
from fhir_server.store.contract import ReadTransaction, Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context, Parameters
    from fhir_server.interactions.write import Write

Json = dict[str, Any]
Identity = tuple[str, str]
Pending = Mapping[Identity, Json | None]


class Ruled(NamedTuple):
    """What may be stored (None: a deletion), and hints for the caller."""

    resource: Json | None
    issues: tuple[Issue, ...] = ()


class Rules(Protocol):
    """Rules about some types. pending: what a transaction Bundle is going to write, None where it is not known yet."""

    @property
    def resource_types(self) -> frozenset[str]:
        """The types whose writes are ruled; for all others nothing is asked."""

    @property
    def lock_order(self) -> tuple[str, ...]:
        """Types that are locked after all others, in this order."""

    @property
    def write_order(self) -> tuple[str, ...]:
        """Types that are written after all others of a Bundle, in this order: what bears on them comes first."""

    def locks(
        self, pending: Pending, context: Context, transaction: ReadTransaction
    ) -> set[Identity]:
        """What else has to be locked for those writes."""

    def begin(self, pending: Pending, context: Context, transaction: Transaction) -> None:
        """What has to happen before the first write of a Bundle."""

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """Allow a write, and do what belongs to it in the same transaction; raises FhirError."""

    def search(
        self, resource_type: str, focus: Identity | None, parameters: Parameters, context: Context
    ) -> Parameters:
        """The parameters with which a search of a ruled type is done; focus is that of a compartment."""

    def follow(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """Do what follows from a write that other rules have decided on their own, and so do not ask about."""

    def unique(self, resource: Json) -> tuple[tuple[str, str], ...]:
        """(system, value) pairs that no other resource of the type may have (409)."""

    def duplicated(
        self, resource: Json, refusal: FhirError, transaction: ReadTransaction
    ) -> FhirError:
        """How a resource is refused that has a pair, or another identifier, which must be unique."""

    def contended(self, refusal: FhirError) -> FhirError:
        """How a write is refused that waited too long for others."""


class NoRules:
    """For a server without any."""

    resource_types: frozenset[str] = frozenset()
    lock_order: tuple[str, ...] = ()
    write_order: tuple[str, ...] = ()

    def locks(
        self, pending: Pending, context: Context, transaction: ReadTransaction
    ) -> set[Identity]:
        """Nothing."""
        del pending, context, transaction
        return set()

    def begin(self, pending: Pending, context: Context, transaction: Transaction) -> None:
        """Nothing."""

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """Everything is allowed."""
        del write, context, transaction
        return Ruled(after)

    def search(
        self, resource_type: str, focus: Identity | None, parameters: Parameters, context: Context
    ) -> Parameters:
        """As they are."""
        del resource_type, focus, context
        return parameters

    def follow(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """Nothing."""

    def unique(self, resource: Json) -> tuple[tuple[str, str], ...]:
        """None."""
        del resource
        return ()

    def duplicated(
        self, resource: Json, refusal: FhirError, transaction: ReadTransaction
    ) -> FhirError:
        """As it is."""
        del resource, transaction
        return refusal

    def contended(self, refusal: FhirError) -> FhirError:
        """As it is."""
        return refusal


def lock(
    wanted: set[Identity], pending: Pending, context: Context, transaction: Transaction
) -> None:
    """Lock what is wanted and what the rules add, in the one order that keeps writers from waiting in a circle."""
    rules = context.rules
    ruled = {
        identity: resource
        for identity, resource in pending.items()
        if identity[0] in rules.resource_types
    }
    if ruled:
        wanted = wanted | rules.locks(ruled, context, transaction)
    for tier in in_order(wanted, rules.lock_order):
        transaction.lock(tier)


def in_order(wanted: set[Identity], lock_order: tuple[str, ...]) -> Iterator[list[Identity]]:
    """First creation by criteria, then single resources, then those of the types that the rules put last."""
    ranks = {name: rank for rank, name in enumerate(lock_order, 2)}
    tiers: dict[int, list[Identity]] = {}
    for identity in sorted(wanted):
        rank = 0 if identity[1] == "" else ranks.get(identity[0], 1)
        tiers.setdefault(rank, []).append(identity)
    for rank in sorted(tiers):
        yield tiers[rank]
