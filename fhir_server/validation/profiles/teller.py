"""Issues that a profile is the reason of (https://hl7.org/fhir/R4/operationoutcome.html)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from fhir_server.spec.errors import Issue


@dataclass(frozen=True, slots=True)
class Teller:
    """Makes the issues of one profile; label names it in their sentences."""

    label: str

    def fault(self, code: str, says: str, path: str) -> Issue:
        """An error."""
        return self.issue("error", code, says, path)

    def issue(
        self, severity: Literal["error", "warning", "information"], code: str, says: str, path: str
    ) -> Issue:
        """An issue at a place."""
        return Issue(severity, code, f"{says} [{self.label}]", (path,), profile=self.label)
