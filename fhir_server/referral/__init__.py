"""The life-cycle of referrals: what may happen to a ServiceRequest, its Tasks and Appointments, and what follows.

https://hl7.org/fhir/R4/workflow.html
"""
