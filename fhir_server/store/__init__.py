"""Versions, index tables and transactions on SQLite, PostgreSQL and in memory (https://hl7.org/fhir/R4/http.html)."""
