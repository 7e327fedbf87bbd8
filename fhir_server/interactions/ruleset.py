"""Several sets of rules as one: each is asked about its own types (https://hl7.org/fhir/R4/http.html#rejecting-updates)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fhir_server.interactions.rules import Identity, Pending, Ruled, Rules
from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import ReadTransaction, Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context, Parameters
    from fhir_server.interactions.write import Write

Json = dict[str, Any]


@dataclass(frozen=True)
class Ruleset:
    """See fhir_server.interactions.rules.Rules. members: no two rule the same type; the first tells of contention."""

    members: tuple[Rules, ...]

    @property
    def resource_types(self) -> frozenset[str]:
        """Those of all members."""
        return frozenset().union(*(item.resource_types for item in self.members))

    @property
    def lock_order(self) -> tuple[str, ...]:
        """One member's after another's."""
        return tuple(dict.fromkeys(name for item in self.members for name in item.lock_order))

    @property
    def write_order(self) -> tuple[str, ...]:
        """One member's after another's."""
        return tuple(dict.fromkeys(name for item in self.members for name in item.write_order))

    def locks(
        self, pending: Pending, context: Context, transaction: ReadTransaction
    ) -> set[Identity]:
        """What any of them adds."""
        found: set[Identity] = set()
        for item in self.members:
            own = _own(pending, item)
            if own:
                found |= item.locks(own, context, transaction)
        return found

    def begin(self, pending: Pending, context: Context, transaction: Transaction) -> None:
        """One after the other."""
        for item in self.members:
            item.begin(pending, context, transaction)

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """As the one says that rules the type."""
        return self._of(write.resource_type).apply(write, after, context, transaction)

    def search(
        self, resource_type: str, focus: Identity | None, parameters: Parameters, context: Context
    ) -> Parameters:
        """As the one says that rules the type."""
        return self._of(resource_type).search(resource_type, focus, parameters, context)

    def contended(self, refusal: FhirError) -> FhirError:
        """As the first one says."""
        return self.members[0].contended(refusal)

    def _of(self, resource_type: str) -> Rules:
        return next(item for item in self.members if resource_type in item.resource_types)


def _own(pending: Pending, rules: Rules) -> Pending:
    return {key: value for key, value in pending.items() if key[0] in rules.resource_types}
