"""Who asks, as far as the edge can tell: what the core decides rights by (https://hl7.org/fhir/R4/security.html#accesscontrol)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Role = Literal["referrer", "provider", "patient", "system"]
Standing = Literal["", "clinician", "administrator"]
ROLES: tuple[Role, ...] = get_args(Role)
STANDINGS: tuple[Standing, ...] = get_args(Standing)


@dataclass(frozen=True, slots=True)
class Caller:
    """organisation, patient: a reference (Organization/[id]) or an identifier as a search writes it (system|value).

    Each is "" where the role has none. standing: whether somebody is a clinician or an administrator, "" when that is
    not told. on_behalf_of: whom an administrator acts for, as the edge names them.
    """

    role: Role
    organisation: str = ""
    patient: str = ""
    standing: Standing = ""
    on_behalf_of: str = ""

    @property
    def is_clinical(self) -> bool:
        """Whether what a clinician decides may come from this caller."""
        return self.standing == "clinician" or (
            self.standing == "administrator" and bool(self.on_behalf_of)
        )
