"""Profiles: what StructureDefinitions ask beyond the base definitions (https://hl7.org/fhir/R4/profiling.html)."""
