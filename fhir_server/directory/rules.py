"""The rule about the waits of a service: the server computes them, and every other writer leaves them as they are.

https://hl7.org/fhir/R4/healthcareservice.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.directory.names import WAIT
from fhir_server.interactions.call import Context
from fhir_server.interactions.coded import refusal
from fhir_server.interactions.rules import NoRules, Ruled
from fhir_server.interactions.write import Write
from fhir_server.referral import extensions
from fhir_server.spec import errors
from fhir_server.store.contract import Transaction

Json = dict[str, Any]


class DirectoryRules(NoRules):
    """See fhir_server.interactions.rules.Rules."""

    resource_types: frozenset[str] = frozenset({"HealthcareService"})

    def apply(
        self, write: Write, after: Json | None, context: Context, transaction: Transaction
    ) -> Ruled:
        """The service with the waits that are stored; FhirError 422 when the client sends others."""
        del transaction
        if after is None:
            return Ruled(None)
        held = extensions.all_of(write.before or {}, WAIT)
        sent = extensions.all_of(after, WAIT)
        if sent == held:
            return Ruled(after)
        if sent and not context.recording:
            raise _derived(after)
        return Ruled(extensions.with_only(after, WAIT, held))


def _derived(service: Json) -> errors.FhirError:
    place = next(
        number for number, item in enumerate(service["extension"]) if item.get("url") == WAIT
    )
    told = (
        "The server computes the waits of a service; leave the extension service-wait out,"
        " or send it as it is now"
    )
    expression = f"HealthcareService.extension[{place}]"
    return refusal(422, "business-rule", "STATE_IS_DERIVED", told, expression)
