"""What a caller may do, asked by every write and operation of a caller who is known (https://hl7.org/fhir/R4/security.html)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from fhir_server.spec.errors import FhirError
from fhir_server.store.contract import Transaction

if TYPE_CHECKING:
    from fhir_server.interactions.call import Context, Operation
    from fhir_server.interactions.write import Write

Json = dict[str, Any]


class Permissions(Protocol):
    """The rights of each role. transaction: as the caller sees it."""

    def check_write(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> None:
        """Refuse (FhirError 403) a write that the caller may not make; after None: a deletion."""

    def check_operation(self, call: Operation, context: Context) -> None:
        """Refuse (FhirError 403) an operation that the caller may not invoke."""

    def no_relationship(self, resource_type: str) -> FhirError:
        """How a write is refused of what the caller does not see, or would not see."""
