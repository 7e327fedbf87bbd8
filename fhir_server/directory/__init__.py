"""The directory of services and what referrals show of it: finding a service, waits, the waiting list, documents.

https://hl7.org/fhir/R4/healthcareservice.html, https://hl7.org/fhir/R4/servicerequest.html
"""
