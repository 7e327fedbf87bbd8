"""The canonical names that booking uses: extensions, code systems, codes (https://hl7.org/fhir/R4/extensibility.html)."""

from __future__ import annotations

OURS = "https://fhir-server.example.org"
CAPACITY = f"{OURS}/StructureDefinition/slot-capacity"
RESERVED_UNTIL = f"{OURS}/StructureDefinition/slot-reserved-until"
REASONS = f"{OURS}/CodeSystem/booking-reason"
HOLD_EXPIRED = "hold-expired"
NOT_CONFIRMED = "not-confirmed"
CONFIRMATION = f"{OURS}/CodeSystem/pas-confirmation"
AWAITING = "awaiting"
WORKFLOW = "https://fhir.nhs.uk/CodeSystem/Workflow-Code"
DISPLACED = "DISPLACED_APPOINTMENT"
PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
VISIT_TYPE = "http://terminology.hl7.org/CodeSystem/v2-0276"
FOLLOW_UP = "FOLLOWUP"
