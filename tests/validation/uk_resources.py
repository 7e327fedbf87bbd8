"""Realistic UK resources that break no rule."""

from __future__ import annotations

import copy
from typing import Any

Json = dict[str, Any]

_NHS = "https://fhir.nhs.uk/Id/nhs-number"
_ODS = "https://fhir.nhs.uk/Id/ods-organization-code"

SLOT: Json = {
    "resourceType": "Slot",
    "id": "c9a1f0f4-77d2-4b6f-9d6c-1f4b2a3c5d6e",
    "meta": {"versionId": "3", "lastUpdated": "2026-02-20T08:15:30.120Z"},
    "identifier": [{"system": "https://example.nhs.uk/slot", "value": "SL-2026-0001"}],
    "serviceCategory": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/service-category",
                    "code": "31",
                    "display": "Specialist Surgical",
                }
            ]
        }
    ],
    "schedule": {"reference": "Schedule/6f1f7a2e-2b1c-4c56-8f44-8d7a3b0c9e21"},
    "status": "free",
    "start": "2026-03-05T09:30:00+00:00",
    "end": "2026-03-05T09:45:00+00:00",
    "overbooked": False,
    "comment": "Ground floor, bring the referral letter",
}

PATIENT: Json = {
    "resourceType": "Patient",
    "id": "3fa85f64-5717-4562-b3fc-2c963f66afa6",
    "meta": {
        "versionId": "1",
        "lastUpdated": "2026-01-09T11:02:03.456+00:00",
        "profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"],
    },
    "extension": [
        {
            "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-EthnicCategory",
            "valueCodeableConcept": {
                "coding": [
                    {
                        "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategory",
                        "code": "A",
                        "display": "British, Mixed British",
                    }
                ]
            },
        }
    ],
    "identifier": [
        {
            "extension": [
                {
                    "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus",
                    "valueCodeableConcept": {
                        "coding": [
                            {
                                "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus",
                                "code": "number-present-and-verified",
                                "display": "Number present and verified",
                            }
                        ]
                    },
                }
            ],
            "system": _NHS,
            "value": "9000000009",
        }
    ],
    "active": True,
    "name": [
        {
            "use": "official",
            "text": "Mrs Jane Marie Anne Smith",
            "family": "Smith",
            "given": ["Jane", "Marie", "Anne"],
            "prefix": ["Mrs"],
            "period": {"start": "2012-01-01"},
        },
        {"use": "maiden", "family": "Böhm", "given": ["Jane"]},
    ],
    "telecom": [
        {"system": "phone", "value": "0113 496 0000", "use": "mobile", "rank": 1},
        {"system": "email", "value": "jane.smith@example.org"},
    ],
    "gender": "female",
    "birthDate": "1985-10-26",
    "_birthDate": {
        "extension": [
            {
                "url": "http://hl7.org/fhir/StructureDefinition/patient-birthTime",
                "valueDateTime": "1985-10-26T00:00:00+00:00",
            }
        ]
    },
    "address": [
        {
            "use": "home",
            "line": ["1 Trevelyan Square", "Boar Lane"],
            "city": "Leeds",
            "district": "West Yorkshire",
            "postalCode": "LS1 6AE",
            "country": "GBR",
        }
    ],
    "contact": [
        {
            "relationship": [{"text": "Husband"}],
            "name": {"family": "Smith", "given": ["John"]},
            "telecom": [{"system": "phone", "value": "0113 496 0001"}],
        }
    ],
    "communication": [
        {
            "language": {"coding": [{"system": "urn:ietf:bcp:47", "code": "en-GB"}]},
            "preferred": True,
        }
    ],
    "generalPractitioner": [
        {
            "type": "Organization",
            "identifier": {"system": _ODS, "value": "B81001"},
            "display": "Park Surgery",
        }
    ],
    "managingOrganization": {"reference": "Organization/RR8"},
}

SERVICE_REQUEST: Json = {
    "resourceType": "ServiceRequest",
    "id": "0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d",
    "meta": {
        "versionId": "2",
        "lastUpdated": "2026-02-11T14:05:06.789Z",
        "profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-ServiceRequest"],
        "tag": [{"system": "https://example.nhs.uk/CodeSystem/origin", "code": "gp-system"}],
    },
    "extension": [
        {
            "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-SourceOfServiceRequest",
            "valueCodeableConcept": {
                "coding": [
                    {
                        "system": "http://snomed.info/sct",
                        "code": "1077881000000105",
                        "display": "Referral by general practitioner",
                    }
                ]
            },
        },
        {
            "url": "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-Shortlist",
            "extension": [
                {"url": "clockStart", "valueDateTime": "2026-02-11T14:00:00Z"},
                {"url": "position", "valuePositiveInt": 1},
            ],
        },
    ],
    "contained": [
        {
            "resourceType": "PractitionerRole",
            "id": "requester",
            "practitioner": {
                "identifier": {
                    "system": "https://fhir.hl7.org.uk/Id/gmc-number",
                    "value": "C1234567",
                },
                "display": "Dr Amelia Hughes",
            },
            "organization": {"identifier": {"system": _ODS, "value": "B81001"}},
            "telecom": [{"system": "phone", "value": "0113 496 0100", "use": "work"}],
        }
    ],
    "identifier": [
        {
            "use": "official",
            "system": "https://fhir.nhs.uk/Id/UBRN",
            "value": "000000070000",
            "assigner": {"display": "NHS England"},
        },
        {
            "system": "https://tools.ietf.org/html/rfc4122",
            "value": "79120f41-a431-4f08-bcc5-1e67006fcae0",
        },
    ],
    "instantiatesCanonical": ["https://example.nhs.uk/ActivityDefinition/cardiology-2ww|2.1"],
    "basedOn": [{"reference": "CarePlan/5f6e"}],
    "requisition": {"system": "https://example.nhs.uk/requisition", "value": "RQ-889"},
    "status": "active",
    "intent": "order",
    "category": [
        {
            "coding": [
                {
                    "system": "http://snomed.info/sct",
                    "code": "3457005",
                    "display": "Patient referral",
                }
            ]
        }
    ],
    "priority": "urgent",
    "code": {
        "coding": [
            {
                "system": "http://snomed.info/sct",
                "code": "183519002",
                "display": "Referral to cardiology service",
                "userSelected": True,
            }
        ],
        "text": "Referral to cardiology",
    },
    "orderDetail": [{"text": "12-lead ECG before the appointment"}],
    "quantityQuantity": {"value": 1, "unit": "visit"},
    "subject": {
        "reference": "Patient/3fa85f64-5717-4562-b3fc-2c963f66afa6",
        "identifier": {"system": _NHS, "value": "9000000009"},
        "display": "Jane Smith",
    },
    "encounter": {"reference": "Encounter/7d8e9f"},
    "occurrencePeriod": {"start": "2026-02-11T14:00:00Z", "end": "2026-04-11T14:00:00Z"},
    "authoredOn": "2026-02-11T14:05:00+00:00",
    "requester": {"reference": "#requester", "type": "PractitionerRole"},
    "performerType": {"coding": [{"system": "http://snomed.info/sct", "code": "17561000"}]},
    "performer": [
        {"reference": "HealthcareService/cardiology-leeds", "display": "Cardiology, Leeds"}
    ],
    "locationCode": [{"text": "Outpatients"}],
    "reasonCode": [
        {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "29857009", "display": "Chest pain"}
            ],
            "text": "Intermittent chest pain on exertion for three weeks",
        }
    ],
    "reasonReference": [{"reference": "Condition/chest-pain-1"}],
    "supportingInfo": [
        {"reference": "DocumentReference/referral-letter"},
        {"reference": "AllergyIntolerance/penicillin"},
    ],
    "note": [
        {
            "authorString": "Dr Amelia Hughes",
            "time": "2026-02-11T14:04:00Z",
            "text": "Patient is anxious about the wait.\nPrefers mornings; needs a step-free entrance.",
        }
    ],
    "patientInstruction": "Bring your repeat prescription with you.",
    "relevantHistory": [{"reference": "Provenance/9f"}],
}

APPOINTMENT: Json = {
    "resourceType": "Appointment",
    "id": "5a6b7c8d-9e0f-4123-8456-7890abcdef12",
    "meta": {
        "versionId": "4",
        "lastUpdated": "2026-02-12T09:00:00.001Z",
        "profile": ["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Appointment"],
    },
    "contained": [
        {
            "resourceType": "DocumentReference",
            "id": "letter",
            "status": "current",
            "type": {"coding": [{"system": "http://snomed.info/sct", "code": "823691000000103"}]},
            "subject": {"identifier": {"system": _NHS, "value": "9000000009"}},
            "content": [
                {
                    "attachment": {
                        "contentType": "application/pdf",
                        "language": "en-GB",
                        "url": "https://example.nhs.uk/letters/123",
                        "size": 48213,
                        "hash": "2jmj7l5rSw0yVb/vlWAYkK/YBwk=",
                        "title": "Appointment letter",
                        "creation": "2026-02-12T08:59:00+00:00",
                    }
                }
            ],
        }
    ],
    "extension": [
        {
            "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-BookingOrganization",
            "valueReference": {"reference": "Organization/B81001"},
        },
        {
            "url": "https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-DeliveryChannel",
            "valueCodeableConcept": {
                "coding": [
                    {
                        "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-DeliveryChannel",
                        "code": "In-person",
                        "display": "In-person",
                    }
                ]
            },
        },
    ],
    "identifier": [{"system": "https://example.nhs.uk/appointment", "value": "AP-2026-000123"}],
    "status": "booked",
    "serviceCategory": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/service-category",
                    "code": "31",
                    "display": "Specialist Surgical",
                }
            ]
        }
    ],
    "serviceType": [
        {
            "coding": [
                {
                    "system": "http://terminology.hl7.org/CodeSystem/service-type",
                    "code": "221",
                    "display": "Surgery - General",
                }
            ],
            "text": "General surgery",
        }
    ],
    "specialty": [
        {
            "coding": [
                {
                    "system": "https://fhir.hl7.org.uk/CodeSystem/UKCore-PracticeSettingCode",
                    "code": "320",
                    "display": "Cardiology",
                }
            ]
        }
    ],
    "appointmentType": {
        "coding": [
            {
                "system": "http://terminology.hl7.org/CodeSystem/v2-0276",
                "code": "ROUTINE",
                "display": "Routine appointment",
            }
        ]
    },
    "reasonCode": [
        {
            "coding": [
                {"system": "http://snomed.info/sct", "code": "29857009", "display": "Chest pain"}
            ]
        }
    ],
    "reasonReference": [{"reference": "Condition/chest-pain-1"}],
    "priority": 5,
    "description": "First outpatient appointment, cardiology",
    "supportingInformation": [{"reference": "#letter"}],
    "start": "2026-03-05T09:30:00+00:00",
    "end": "2026-03-05T09:45:00+00:00",
    "minutesDuration": 15,
    "slot": [{"reference": "Slot/c9a1f0f4-77d2-4b6f-9d6c-1f4b2a3c5d6e"}],
    "created": "2026-02-12T08:58:00+00:00",
    "comment": "Needs an interpreter (British Sign Language)",
    "patientInstruction": "Please arrive ten minutes early.",
    "basedOn": [{"reference": "ServiceRequest/0b1c2d3e-4f50-4a6b-8c7d-9e0f1a2b3c4d"}],
    "participant": [
        {
            "type": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                            "code": "SBJ",
                            "display": "subject",
                        }
                    ]
                }
            ],
            "actor": {
                "reference": "Patient/3fa85f64-5717-4562-b3fc-2c963f66afa6",
                "identifier": {"system": _NHS, "value": "9000000009"},
                "display": "Jane Smith",
            },
            "required": "required",
            "status": "accepted",
        },
        {
            "type": [
                {
                    "coding": [
                        {
                            "system": "http://terminology.hl7.org/CodeSystem/v3-ParticipationType",
                            "code": "PPRF",
                            "display": "primary performer",
                        }
                    ]
                }
            ],
            "actor": {"reference": "Practitioner/g1234567", "display": "Dr Rashid Khan"},
            "required": "required",
            "status": "accepted",
            "period": {"start": "2026-03-05T09:30:00+00:00", "end": "2026-03-05T09:45:00+00:00"},
        },
        {
            "actor": {"reference": "Location/leeds-opd-3", "display": "Outpatients 3"},
            "required": "information-only",
            "status": "accepted",
        },
    ],
    "requestedPeriod": [{"start": "2026-03-01", "end": "2026-03-31"}],
}


def transaction(size: int = 20) -> Json:
    """A transaction of that many creations."""
    originals = (PATIENT, SERVICE_REQUEST, APPOINTMENT, SLOT)
    entries = []
    for number in range(size):
        resource = copy.deepcopy(originals[number % len(originals)])
        del resource["id"], resource["meta"]
        entries.append(
            {
                "fullUrl": f"urn:uuid:00000000-0000-4000-8000-{number:012d}",
                "resource": resource,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }
        )
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


FAULTLESS: tuple[Json, ...] = (SLOT, PATIENT, SERVICE_REQUEST, APPOINTMENT, transaction(4))
