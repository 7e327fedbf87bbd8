"""An operation that R4 defines: its definition says where it is, what it takes and how it answers.

https://hl7.org/fhir/R4/operations.html#response
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.operations.inputs import Inputs, read_inputs
from fhir_server.spec.json_format import serialise
from fhir_server.spec.operations import OperationDefinition, operation_definition
from fhir_server.store.contract import ReadTransaction, StoredVersion, Transaction

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Output:
    """What an operation returns, and the version that the answer is about where it is one."""

    value: Json
    version: StoredVersion | None = None


Work = Callable[[Operation, Inputs, Context, Transaction], Output]


@dataclass(frozen=True, slots=True)
class Standard:
    """An Offered: work does it; affects_state says whether it writes to the transaction."""

    identifier: str
    work: Work
    affects_state: bool = False

    @property
    def defined(self) -> OperationDefinition:
        """What R4 says of it."""
        return operation_definition(self.identifier)

    @property
    def code(self) -> str:
        """Its name without the $."""
        return self.defined.code

    @property
    def definition(self) -> str:
        """The canonical url of its OperationDefinition."""
        return self.defined.url

    @property
    def levels(self) -> frozenset[Level]:
        """Where it can be invoked."""
        return self.defined.levels

    @property
    def resource_types(self) -> frozenset[str]:
        """The types that have it; empty: every type, or none of them when it is the system's only."""
        return frozenset() if self.levels == {"system"} else self.defined.resource_types

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200: a single output named return that is a resource comes bare, anything else as Parameters."""
        inputs = read_inputs(call, self.defined, context)
        output = self.work(call, inputs, context, cast("Transaction", transaction))
        body, version = self._shown(output.value), output.version
        if version is None:
            return Result(200, serialise(body))
        return Result(200, serialise(body), version.version_id, version.last_updated)

    def _shown(self, value: Json) -> Json:
        (output,) = self.defined.outputs
        if output.is_resource:
            return value
        listed = {"name": output.name, f"value{output.type[0].upper()}{output.type[1:]}": value}
        return {"resourceType": "Parameters", "parameter": [listed]}
