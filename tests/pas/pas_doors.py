"""The ways to book where a PAS confirms, and how their answers are read."""

from __future__ import annotations

import time

from booking_clinic import FHIR

TAG = {"system": "https://fhir-server.example.org/CodeSystem/pas-confirmation", "code": "awaiting"}
SILENT = ("timeout", ["REC_GATEWAY_TIMEOUT", "PAS_NOT_RESPONDING"])
FAILED = ("exception", ["REC_BAD_GATEWAY", "PAS_RESPONDED_WITH_ERROR"])
REFUSED = ("conflict", ["REC_CONFLICT", "SLOT_NOT_AVAILABLE"])


def over_post(clinic, appointment, **headers):
    return clinic.post(appointment, **headers)


def in_transaction(clinic, appointment, **headers):
    patient = {"resourceType": "Patient", "id": f"beside-{clinic.number}-{next(clinic.ids)}"}
    entries = [
        {"request": {"method": "POST", "url": "Appointment"}, "resource": appointment},
        {"request": {"method": "PUT", "url": f"Patient/{patient['id']}"}, "resource": patient},
    ]
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    clinic.beside = patient["id"]
    return clinic.client.post("", json=bundle, headers=FHIR | headers)


def by_operation(clinic, appointment, **headers):
    sent = {
        "resourceType": "Parameters",
        "parameter": [{"name": "appointment-resource", "resource": appointment}],
    }
    return clinic.client.post("Appointment/$book", json=sent, headers=FHIR | headers)


def over_put(clinic, appointment, **headers):
    return clinic.put(
        appointment | {"id": f"appointment-{clinic.number}-{next(clinic.ids)}"}, **headers
    )


DOORS = [over_post, over_put, in_transaction, by_operation]


def wanted(clinic, *slots, **elements):
    """An appointment that can be found again by its identifier."""
    number = f"{clinic.number}-{next(clinic.ids)}"
    identifier = [{"system": "https://example.org/appointments", "value": number}]
    return clinic.appointment(*slots, identifier=identifier, **elements)


def stored(clinic, appointment):
    """The appointment as it is by now."""
    token = "{system}|{value}".format(**appointment["identifier"][0])
    [entry] = clinic.client.get("Appointment", params={"identifier": token}).json()["entry"]
    return entry["resource"]


def shown(answer):
    """The one appointment in an answer."""
    told = answer.json()
    if told["resourceType"] == "Bundle":
        [told] = [
            entry["resource"]
            for entry in told["entry"]
            if entry["resource"]["resourceType"] == "Appointment"
        ]
    return told


def outcome(answer):
    told = answer.json()
    return told["entry"][0]["resource"] if told["resourceType"] == "Bundle" else told


def eventually(look, seconds=8):
    deadline = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < deadline
        time.sleep(0.05)
