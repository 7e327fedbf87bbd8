"""The operations that this server offers, one module each, in one readable tuple.

https://hl7.org/fhir/R4/operationslist.html
"""

from fhir_server.interactions.operation import Offered
from fhir_server.operations.reindex import Reindex, ReindexStatus
from fhir_server.operations.validate import Validate

OPERATIONS: tuple[Offered, ...] = (Validate(), Reindex(), ReindexStatus())
