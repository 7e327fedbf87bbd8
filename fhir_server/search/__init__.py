"""Search: parameters, index entries, query text to expression (https://hl7.org/fhir/R4/search.html)."""
