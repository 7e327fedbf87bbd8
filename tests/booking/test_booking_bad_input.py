"""What cannot be meant gets a 4xx that says so, and leaves claims and slots in order.

https://hl7.org/fhir/R4/operations.html#response
"""

from __future__ import annotations

import random

import pytest
from booking_clinic import FHIR

JUNK = [
    None, 0, -1, 1.5, "", "x", "Slot/1", "9999-12-31", "0001-01-01", "9999-12-31T23:59:59Z", "FREQ=DAILY;COUNT=0",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30;COUNT=3", [], {}, [1], {"reference": 5}, {"reference": "Slot/é"},
    {"system": [1]}, {"repeat": 5}, {"repeat": {"duration": "x", "durationUnit": "min"}}, {"repeat": {"dayOfWeek": 5}},
    {"coding": 5}, True, "p.1-2.3.abc", "1" * 5000, "Patient/a,b", "a|b|c", "\\",
]  # fmt: skip
NAMES = [
    "start", "end", "specialty", "practitioner", "location-string", "patient-reference", "referral-identifier",
    "timing", "duration", "window", "_count", "appointment-reference", "appointment-resource", "cancelled-appt-id",
    "slot", "reason", "rrule", "slot-minutes", "time-zone",
]  # fmt: skip


def spoiled(value, chance):
    if isinstance(value, dict) and value and chance.random() < 0.8:
        name = chance.choice(list(value))
        return value | {name: spoiled(value[name], chance)}
    if isinstance(value, list) and value and chance.random() < 0.6:
        return [spoiled(item, chance) for item in value]
    return chance.choice(JUNK)


@pytest.mark.parametrize("seed", range(4))
def test_no_input_of_an_operation_or_a_booking_is_a_5xx(clinic, seed):
    chance = random.Random(seed)
    slots = [clinic.slot(place) for place in range(3)]
    made = clinic.book(slots[0])
    named = f"Appointment/{made['id']}"
    paths = [
        "Appointment/$find", "Appointment/$hold", "Appointment/$book", f"{named}/$cancel", f"{named}/$rebook",
        f"Schedule/{clinic.schedule}/$generate", f"Schedule/{clinic.schedule}/$cancel-clinic", "Slot/$publish",
        "Appointment",
    ]  # fmt: skip
    for _ in range(150):
        path = chance.choice(paths)
        wanted = clinic.appointment(chance.choice(slots))
        body = spoiled(wanted, chance)
        if "$" in path and not path.endswith("$publish"):
            listed = [
                {
                    "name": chance.choice(NAMES),
                    chance.choice(["valueString", "valueReference", "resource"]): value,
                }
                for value in chance.sample([*JUNK, body, wanted], 3)
            ]
            body = {"resourceType": "Parameters", "parameter": listed}
        answer = clinic.client.post(path, json=body, headers=FHIR)
        assert answer.status_code < 500, (path, body, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["resourceType"] in ("OperationOutcome", "Bundle")
