"""The operations of referrals, one readable tuple (https://hl7.org/fhir/R4/operations.html)."""

from __future__ import annotations

from fhir_server.interactions.operation import Offered
from fhir_server.interactions.rules import Rules
from fhir_server.referral.available import AvailableActions
from fhir_server.referral.cancelling import Cancel
from fhir_server.referral.converting import ConvertAdvice
from fhir_server.referral.deferring import Defer, SendForTriage
from fhir_server.referral.outcome import RecordOutcome


def operations(booking: Rules) -> tuple[Offered, ...]:
    """All of them; booking: the rules of seats."""
    return (
        Defer(booking),
        SendForTriage(booking),
        RecordOutcome(booking),
        ConvertAdvice(booking),
        Cancel(booking),
        AvailableActions(),
    )
