"""The operations that this server offers, one module each, in one readable tuple.

https://hl7.org/fhir/R4/operationslist.html
"""

from fhir_server.interactions.operation import Offered
from fhir_server.operations import code_systems, concept_maps, value_sets
from fhir_server.operations.closures import closure
from fhir_server.operations.everything import everything
from fhir_server.operations.meta import meta, meta_add, meta_delete
from fhir_server.operations.reindex import Reindex, ReindexStatus
from fhir_server.operations.standard import Standard
from fhir_server.operations.terminology import TerminologyOperation
from fhir_server.operations.validate import validate
from fhir_server.operations.versions import Versions

OPERATIONS: tuple[Offered, ...] = (
    Standard("Resource-validate", validate),
    Standard("Resource-meta", meta),
    Standard("Resource-meta-add", meta_add, affects_state=True),
    Standard("Resource-meta-delete", meta_delete, affects_state=True),
    Standard("Patient-everything", everything),
    Standard("Encounter-everything", everything),
    Versions(),
    Reindex(),
    ReindexStatus(),
    TerminologyOperation("ValueSet-expand", value_sets.expand),
    TerminologyOperation("ValueSet-validate-code", value_sets.validate_code),
    TerminologyOperation("CodeSystem-lookup", code_systems.lookup),
    TerminologyOperation("CodeSystem-validate-code", code_systems.validate_code),
    TerminologyOperation("CodeSystem-subsumes", code_systems.subsumes),
    TerminologyOperation("ConceptMap-translate", concept_maps.translate),
    Standard("ConceptMap-closure", closure, affects_state=True),
)
