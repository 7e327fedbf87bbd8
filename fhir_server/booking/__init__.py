"""Booking: the rules between Appointment and Slot, and the operations that find, hold and book.

https://hl7.org/fhir/R4/appointment.html, https://hl7.org/fhir/R4/slot.html
"""
