"""$versions: which versions of FHIR this server speaks.

https://hl7.org/fhir/R4/capabilitystatement-operation-versions.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level
from fhir_server.spec.json_format import serialise
from fhir_server.store.contract import ReadTransaction

_R4 = "4.0"


@dataclass(frozen=True)
class Versions:
    """$versions at the system level."""

    code: str = "versions"
    definition: str = "http://hl7.org/fhir/OperationDefinition/CapabilityStatement-versions"
    levels: frozenset[Level] = frozenset({"system"})
    resource_types: frozenset[str] = frozenset()
    affects_state: bool = False

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with Parameters: R4 is the only version, so it is the default as well."""
        del call, context, transaction
        listed = [{"name": name, "valueCode": _R4} for name in ("version", "default")]
        return Result(200, serialise({"resourceType": "Parameters", "parameter": listed}))
