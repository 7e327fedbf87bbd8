"""ServiceRequest/[id]/$cancel: the referral ends, with its appointment and all its Tasks, in one act.

https://hl7.org/fhir/R4/valueset-request-status.html
"""

from __future__ import annotations

from dataclasses import dataclass

from fhir_server.booking.inputs import read_inputs
from fhir_server.booking.names import OURS
from fhir_server.interactions.call import Context, Operation, Result
from fhir_server.interactions.operation import Level, writable
from fhir_server.interactions.rules import Rules
from fhir_server.interactions.write import written
from fhir_server.referral import extensions
from fhir_server.referral.definitions import extension, system
from fhir_server.referral.doing import Doing, noted
from fhir_server.referral.kinds import kind_of, stored_referral
from fhir_server.store.contract import ReadTransaction


@dataclass(frozen=True)
class Cancel:
    """$cancel at the instance level; of a request for advice as well."""

    booking: Rules
    code: str = "cancel"
    definition: str = f"{OURS}/OperationDefinition/ServiceRequest-cancel"
    levels: frozenset[Level] = frozenset({"instance"})
    resource_types: frozenset[str] = frozenset({"ServiceRequest"})
    affects_state: bool = True
    brief: bool = True

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        """200 with the revoked ServiceRequest; cancelling it again changes nothing."""
        inputs = read_inputs(call, frozenset({"reason", "comment"}))
        doing = Doing(self.booking, context, writable(transaction))
        stored = stored_referral(transaction.current("ServiceRequest", call.logical_id or ""))
        case = doing.case(call.logical_id, kind_of(stored) or "referral")
        if case.referral["status"] == "revoked":
            assert case.version is not None
            return written(case.version)._replace(status=200)
        after = noted(case.referral, inputs.text("comment")) | {"status": "revoked"}
        reason = inputs.concept("reason", system("referral-reason"))
        if reason is not None:
            url = extension("status-reason")
            after = extensions.with_only(after, url, [{"url": url, "valueCodeableConcept": reason}])
        doing.update(after)
        return doing.answer("ServiceRequest", case.logical_id)
