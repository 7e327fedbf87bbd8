"""The operations of the directory, one readable tuple (docs/referrals-directory.md)."""

from __future__ import annotations

from fhir_server.directory.document import Document
from fhir_server.directory.find import FindForReferral
from fhir_server.directory.waiting_list import WaitingList
from fhir_server.interactions.operation import Offered

DIRECTORY_OPERATIONS: tuple[Offered, ...] = (FindForReferral(), WaitingList(), Document())
