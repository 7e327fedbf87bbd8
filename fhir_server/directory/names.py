"""The canonical names that the directory uses (https://hl7.org/fhir/R4/extensibility.html)."""

from __future__ import annotations

from fhir_server.booking.names import OURS

WAIT = f"{OURS}/StructureDefinition/service-wait"
ELIGIBILITY = f"{OURS}/StructureDefinition/service-eligibility"
COMMISSIONER = f"{OURS}/StructureDefinition/service-commissioner"
CLOCK_STOP = f"{OURS}/StructureDefinition/referral-clock-stop"
CLOCK_PAUSE = f"{OURS}/StructureDefinition/referral-clock-pause"
WAITING_FIGURES = f"{OURS}/CodeSystem/waiting-list-figure"
WAITING_MEASURE = f"{OURS}/Measure/waiting-list"
DISTANCE = "http://hl7.org/fhir/StructureDefinition/location-distance"
FLOW_TYPE = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
UBRN = "https://fhir.nhs.uk/Id/UBRN"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
WEEKS_WAITED = f"{OURS}/StructureDefinition/weeks-waited"
