"""The meaning of the RESTful API's interactions (https://hl7.org/fhir/R4/http.html)."""
