"""The letter to the patient: the number of the referral, the services to choose from, and how to book."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from fhir_server.booking import refusals
from fhir_server.directory import waits, words
from fhir_server.directory.gathered import Gathered
from fhir_server.directory.names import UBRN
from fhir_server.directory.paper import Paper, Section, facts, paragraphs, section, table
from fhir_server.directory.summary import appointments, patient
from fhir_server.interactions.coded import refusal
from fhir_server.referral.kinds import kind_of

Json = dict[str, Any]
_TYPE: Json = {"text": "Letter to the patient about a referral"}
_PRIORITIES = {"urgent": "urgent", "asap": "two-week-wait", "stat": "two-week-wait"}
_KEEP = (
    "Please keep this letter: you need the booking reference whenever you ask about your referral."
)
_BOOKED = ("booked", "arrived", "checked-in")


def letter(gathered: Gathered) -> Paper:
    """The letter as a paper; FhirError 422 for a referral that is over, or that asks for advice only."""
    referral, context = gathered.referral, gathered.context
    if referral.get("status") != "active":
        told = "The referral is not active; there is nothing that the patient could book"
        raise refusals.invalid_state(422, told, "ServiceRequest.status")
    if kind_of(referral) == "advice":
        told = "The referral asks a clinician for advice; there is no letter to the patient"
        raise refusal(422, "business-rule", "INVALID_REQUEST_TYPE", told, "ServiceRequest.code")
    live = tuple(item for item in gathered.appointments if item.get("status") in _BOOKED)
    sections = [
        patient(gathered),
        _greeting(gathered),
        appointments(replace(gathered, appointments=live)),
        _services(gathered),
        _booking(booked=bool(live)),
    ]
    return Paper(
        name="patient-letter",
        title="Your referral",
        type=_TYPE,
        sections=tuple(item for item in sections if item.blocks),
        written=context.now(),
        context=context,
    )


def _greeting(gathered: Gathered) -> Section:
    referral, zone = gathered.referral, gathered.context.policy.zone
    specialty = words.concept(referral.get("performerType"))
    seen = f" to be seen in {specialty}" if specialty else ""
    name = words.name_of(gathered.patient) or gathered.referral.get("subject", {}).get("display")
    return section(
        "Your referral",
        paragraphs(
            [
                f"Dear {name or 'patient'},",
                f"you have been referred{seen}. {_KEEP}",
            ]
        ),
        facts(
            ("Booking reference (UBRN)", words.identifier(referral, UBRN)),
            ("Referred on", words.moment(referral.get("authoredOn"), zone)),
        ),
        targets=[referral],
    )


def _services(gathered: Gathered) -> Section:
    rows = []
    for performer, service in gathered.services:
        found = service or {}
        provider = gathered.target(found.get("providedBy")) or {}
        located = (gathered.target(item) for item in found.get("location", ()))
        place = next((item for item in located if item is not None), {})
        where = [place.get("name"), *words.address(place.get("address"))]
        name = found.get("name") or performer.get("display")
        rows.append(
            (
                ", ".join(item for item in (name, provider.get("name")) if item),
                ", ".join(item for item in where if item),
                _wait(found, gathered),
                words.telephone(found) or words.telephone(provider),
            )
        )
    return section(
        "Services you can choose from",
        table(("Service", "Where", "Waiting time", "Telephone"), rows),
        targets=[service for _, service in gathered.services],
    )


def _wait(service: Json, gathered: Gathered) -> str:
    """As the service shows it: its first free appointment, and how long half of the patients waited."""
    shown = waits.stated(service)
    if shown is None:
        return "not known"
    priority = _PRIORITIES.get(gathered.referral.get("priority", ""), "routine")
    zone = gathered.context.policy.zone
    first = waits.value(shown, f"first-free-slot-{priority}")
    median = waits.value(shown, "median-wait")
    told = []
    if first is not None:
        told.append(f"first free appointment {words.moment(first, zone)}")
    if median is not None:
        told.append(f"half of the patients waited at most {round(float(median))} days")
    return "; ".join(told) or "no free appointment at the moment"


def _booking(*, booked: bool) -> Section:
    if booked:
        text = (
            "You have an appointment. To change or cancel it, telephone the service and tell your booking"
            " reference."
        )
    else:
        text = (
            "Choose one of the services above and telephone it, or book online, with your booking reference."
            " If no appointment is free, ask the service to contact you. Your surgery can book for you, too."
        )
    urgent = "If you feel worse while you wait, contact your surgery; in an emergency call 999."
    return section("How to book", paragraphs([text, urgent]))
