"""The R4 elements that every resource of the region is made of (https://hl7.org/fhir/R4/datatypes.html)."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime, time
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape
from zoneinfo import ZoneInfo

Json = dict[str, Any]

ODS = "https://fhir.nhs.uk/Id/ods-organization-code"
NHS_NUMBER = "https://fhir.nhs.uk/Id/nhs-number"
UBRN = "https://fhir.nhs.uk/Id/UBRN"
SERVICE_ID = "https://fhir.nhs.uk/Id/ers-service"
USER_ID = "https://fhir.nhs.uk/Id/sds-user-id"
PRIORITY = "https://fhir.nhs.uk/CodeSystem/eRS-Priority"
WORKFLOW = "https://fhir.nhs.uk/CodeSystem/Workflow-Code"
FLOW_TYPE = "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType"
SNOMED = "http://snomed.info/sct"
LONDON = ZoneInfo("Europe/London")


def ref(resource_type: str, logical_id: str, display: str | None = None) -> Json:
    """A literal reference."""
    made = {"reference": f"{resource_type}/{logical_id}"}
    return made if display is None else made | {"display": display}


def coded(system: str, code: str, display: str) -> Json:
    """A CodeableConcept of one coding."""
    return {"coding": [{"system": system, "code": code, "display": display}]}


def narrative(text: str) -> Json:
    """The text of a resource for people."""
    div = f'<div xmlns="http://www.w3.org/1999/xhtml">{escape(text)}</div>'
    return {"status": "generated", "div": div}


def nhs_numbers() -> Iterator[str]:
    """NHS numbers of the range reserved for tests (999), with their Modulus 11 check digit."""
    for serial in range(1_000_000):
        digits = f"999{serial:06}"
        check = 11 - sum(int(digit) * (10 - place) for place, digit in enumerate(digits)) % 11
        if check != 10:
            yield f"{digits}{check % 11}"


@lru_cache(maxsize=4096)
def offset(day: date) -> str:
    """London's distance from UTC in that day's clinic hours (clocks change at night)."""
    return datetime.combine(day, time(9), LONDON).isoformat()[-6:]


def instant(day: date, minutes: int) -> str:
    """That many minutes after midnight in London, as an R4 instant."""
    return f"{day.isoformat()}T{minutes // 60:02}:{minutes % 60:02}:00{offset(day)}"
