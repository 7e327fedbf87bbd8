"""The ASGI edge: negotiation, headers, limits, rendering (https://hl7.org/fhir/R4/http.html)."""
