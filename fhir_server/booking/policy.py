"""What a deployment decides about booking; everything beyond the seats is off unless it is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, slots=True)
class BookingPolicy:
    """overlap: whether appointments in overlapping slots of one Schedule may be live at once.

    hold_seconds: how long a hold lasts; maximum_holds: of one client; window_days: how far ahead may be booked, 0: any.
    gp_connect: the rules of GP Connect's appointment management. embargo_minutes: what begins sooner is not shown.
    pas_system: of the identifiers of Schedules whose slots a PAS confirms, "" for all, None where there is no PAS.
    """

    overlap: Literal["allow", "refuse"] = "allow"
    hold_seconds: int = 600
    maximum_holds: int = 20
    window_days: int = 0
    gp_connect: bool = False
    embargo_minutes: int = 0
    pas_system: str | None = None
