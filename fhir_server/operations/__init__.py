"""The operations that this server offers, one module each, in one readable tuple.

https://hl7.org/fhir/R4/operationslist.html
"""

from fhir_server.interactions.operation import Offered
from fhir_server.operations import code_systems, concept_maps, value_sets
from fhir_server.operations.terminology import TerminologyOperation
from fhir_server.operations.validate import Validate

OPERATIONS: tuple[Offered, ...] = (
    Validate(),
    TerminologyOperation("ValueSet-expand", value_sets.expand),
    TerminologyOperation("ValueSet-validate-code", value_sets.validate_code),
    TerminologyOperation("CodeSystem-lookup", code_systems.lookup),
    TerminologyOperation("CodeSystem-validate-code", code_systems.validate_code),
    TerminologyOperation("CodeSystem-subsumes", code_systems.subsumes),
    TerminologyOperation("ConceptMap-translate", concept_maps.translate),
)
