"""The R4 specification as data, and the values it defines (https://hl7.org/fhir/R4/)."""
