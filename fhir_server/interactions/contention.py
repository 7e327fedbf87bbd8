"""How a call is refused that waited too long for others who were changing the same resources.

https://hl7.org/fhir/R4/http.html#transaction
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.call import Attributed, Batch, Call, Context, Operation, Transaction
from fhir_server.interactions.operation import offered
from fhir_server.interactions.rules import Rules
from fhir_server.spec.errors import Contended, FhirError


def told(refusal: FhirError, call: Call, context: Context) -> FhirError:
    """The refusal as the rules want it told: contention about what they rule is a conflict like losing (409).

    An operation that has its own shape for refusals gives it to this one by its method refused.
    """
    if not isinstance(refusal, Contended) or not concerns(call, context.rules):
        return refusal
    refusal = context.rules.contended(refusal)
    if isinstance(call, Operation):
        shape = getattr(offered(call, context), "refused", None)
        return shape(refusal, context) if shape else refusal
    return refusal


def concerns(call: Call, rules: Rules) -> bool:
    """Whether a call may change something that the rules are about, or wait for it."""
    about = rules.resource_types.union(rules.lock_order)
    if isinstance(call, Attributed):
        call = call.change
    if isinstance(call, Batch | Transaction):
        return any(_type_of(entry) in about for entry in call.bundle.get("entry", ()))
    return getattr(call, "resource_type", None) in about


def _type_of(entry: Any) -> str:
    request = entry.get("request") if isinstance(entry, dict) else None
    url = request.get("url") if isinstance(request, dict) else None
    path = url.removeprefix("/") if isinstance(url, str) else ""
    return path.partition("?")[0].partition("/")[0]
