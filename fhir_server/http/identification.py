"""Who asks, from the headers in which a gateway in front of the server tells it (https://hl7.org/fhir/R4/security.html#authentication).

The gateway has authenticated the caller, and lets none of these headers through from outside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from fhir_server.http.exchange import Exchange
from fhir_server.interactions.caller import Caller, Role, Standing
from fhir_server.spec import errors

_REFERENCE = re.compile(r"(Organization|Patient)/[A-Za-z0-9\-.]{1,64}")
_PLAIN = re.compile(r"[\x21-\x7e]([\x20-\x7e]{0,254}[\x21-\x7e])?")


@dataclass(frozen=True, slots=True)
class Identification:
    """The names of the headers, in lower case, and what they say.

    roles: the gateway's word -> what it is here; organisation_system, patient_system: of identifiers, "" for any.
    """

    role_header: str
    roles: Mapping[str, tuple[Role, Standing]]
    organisation_header: str
    organisation_system: str
    patient_header: str
    patient_system: str
    on_behalf_header: str

    @property
    def naming(self) -> tuple[bytes, bytes]:
        """The headers that name whose request it is."""
        return self.organisation_header.encode(), self.patient_header.encode()

    def caller(self, exchange: Exchange) -> Caller:
        """The caller; FhirError 403 when the role, or whose it is, is missing, unknown or there twice."""
        word = self._told(self.role_header, exchange)
        known = self.roles.get(word)
        if known is None:
            told = f"The role '{word[:64]}' is not known here" if word else "No role was told"
            raise errors.forbidden(f"{told}; ask by way of the gateway, which names it")
        role, standing = known
        organisation = patient = ""
        if role in ("referrer", "provider"):
            header, system = self.organisation_header, self.organisation_system
            organisation = self._named("Organization", header, system, exchange)
        elif role == "patient":
            patient = self._named("Patient", self.patient_header, self.patient_system, exchange)
        on_behalf_of = self._told(self.on_behalf_header, exchange)
        return Caller(role, organisation, patient, standing, on_behalf_of)

    def _named(self, resource_type: str, header: str, system: str, exchange: Exchange) -> str:
        """A reference to a resource of that type, or its identifier as a search writes it."""
        text = self._told(header, exchange)
        if not text or "|" in text or "," in text:
            raise errors.forbidden(
                f"The header {header} has to name one {resource_type} for this role, by reference or identifier"
            )
        if text.startswith(f"{resource_type}/") and _REFERENCE.fullmatch(text):
            return text
        return f"{system}|{text}"

    def _told(self, header: str, exchange: Exchange) -> str:
        """What the header says, "" when it is missing; who could add one of its own must not be heard."""
        name = header.encode()
        if not header or name not in exchange.headers:
            return ""
        if sum(item == name for item, _ in exchange.scope["headers"]) > 1:
            raise errors.forbidden(f"The header {header} is there twice")
        text = exchange.header(name) or ""
        if text and not _PLAIN.fullmatch(text):
            raise errors.forbidden(f"The header {header} is no plain text")
        return text
