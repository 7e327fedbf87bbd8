"""The operations of booking, one readable tuple (https://profiles.ihe.net/ITI/Scheduling)."""

from __future__ import annotations

from fhir_server.booking.book import Book
from fhir_server.booking.change_operations import Cancel, Rebook
from fhir_server.booking.clinic import CancelClinic
from fhir_server.booking.find import Find
from fhir_server.booking.generate import Generate
from fhir_server.booking.hold import Hold
from fhir_server.booking.policy import BookingPolicy
from fhir_server.booking.publish import Publish
from fhir_server.interactions.operation import Offered


def operations(policy: BookingPolicy) -> tuple[Offered, ...]:
    """What a deployment with that policy offers."""
    return (
        Find(),
        Hold(policy),
        Book(),
        Cancel(),
        Rebook(),
        Publish(),
        Generate(),
        CancelClinic(),
    )
