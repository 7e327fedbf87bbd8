"""The gateway to the system that a clinic is run with (PAS), which confirms bookings where a deployment has one.

docs/pas.md, https://hl7.org/fhir/R4/appointment.html
"""
