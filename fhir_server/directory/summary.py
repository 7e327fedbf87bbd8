"""The clinical summary of a referral: who, what for, how urgent, and what is known (https://hl7.org/fhir/R4/servicerequest.html)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fhir_server.directory import words
from fhir_server.directory.gathered import Gathered
from fhir_server.directory.names import NHS_NUMBER, UBRN
from fhir_server.directory.paper import Paper, Section, facts, paragraphs, section, table
from fhir_server.referral.clock import start_of

Json = dict[str, Any]
_REFERRAL_NOTE: Json = {
    "coding": [{"system": "http://loinc.org", "code": "57133-1", "display": "Referral note"}]
}
_PRIORITIES = {
    "routine": "Routine",
    "urgent": "Urgent",
    "asap": "Two week wait",
    "stat": "Immediate",
}


def summary(gathered: Gathered) -> Paper:
    """The summary as a paper."""
    context = gathered.context
    sections = [
        patient(gathered),
        _referral(gathered),
        _reasons(gathered),
        _history(gathered),
        _shortlist(gathered),
        appointments(gathered),
        _letters(gathered),
    ]
    return Paper(
        name="referral-summary",
        title="Clinical summary of a referral",
        type=_REFERRAL_NOTE,
        sections=tuple(item for item in sections if item.blocks),
        written=context.now(),
        context=context,
    )


def patient(gathered: Gathered) -> Section:
    """Who it is about."""
    found = gathered.patient or {}
    subject = gathered.referral.get("subject", {})
    zone = gathered.context.policy.zone
    number = words.identifier(found, NHS_NUMBER)
    if not number and subject.get("identifier", {}).get("system") == NHS_NUMBER:
        number = subject["identifier"].get("value", "")
    home = words.address(next(iter(found.get("address", ())), None))
    return section(
        "Patient",
        facts(
            ("Name", words.name_of(found) or subject.get("display")),
            ("NHS number", number),
            ("Born", words.moment(found.get("birthDate"), zone)),
            ("Gender", found.get("gender")),
            ("Address", ", ".join(home)),
            ("Telephone", words.telephone(found)),
        ),
        targets=[gathered.patient],
    )


def _referral(gathered: Gathered) -> Section:
    referral, zone = gathered.referral, gathered.context.policy.zone
    return section(
        "Referral",
        facts(
            ("UBRN", words.identifier(referral, UBRN)),
            ("Status", referral.get("status")),
            ("State", words.state_of(referral)),
            ("Priority", _PRIORITIES.get(referral.get("priority", ""), referral.get("priority"))),
            ("Asked for", words.concept(referral.get("code"))),
            ("Specialty", words.concept(referral.get("performerType"))),
            ("Referred by", _requester(gathered)),
            ("Referred on", words.moment(referral.get("authoredOn"), zone)),
            ("Clock started", words.moment(start_of(referral), zone)),
        ),
        targets=[referral, gathered.target(referral.get("requester"))],
    )


def _requester(gathered: Gathered) -> str:
    requester = gathered.referral.get("requester", {})
    found = gathered.target(requester) or {}
    if found.get("resourceType") == "Organization":
        return str(found.get("name", ""))
    person = gathered.target(found.get("practitioner")) or found
    organisation = gathered.target(found.get("organization")) or {}
    listed = [words.name_of(person) or requester.get("display"), organisation.get("name")]
    return ", ".join(item for item in listed if item)


def _reasons(gathered: Gathered) -> Section:
    referral = gathered.referral
    behind = [gathered.target(item) for item in referral.get("reasonReference", ())]
    return section(
        "Reason for referral",
        paragraphs(words.concept(item) for item in referral.get("reasonCode", ())),
        paragraphs(
            item.get("display") if found is None else words.concept(found.get("code"))
            for item, found in zip(referral.get("reasonReference", ()), behind, strict=True)
        ),
        paragraphs(item.get("text") for item in referral.get("note", ())),
        targets=behind,
    )


def _history(gathered: Gathered) -> Section:
    listed = gathered.referral.get("supportingInfo", ())
    behind = [gathered.target(item) for item in listed]
    return section(
        "Supporting information",
        paragraphs(
            item.get("display") if found is None else " ".join(_told(found))
            for item, found in zip(listed, behind, strict=True)
        ),
        targets=behind,
    )


def _told(resource: Json) -> Iterator[str]:
    """What a Condition, Observation, AllergyIntolerance or the like says."""
    yield words.concept(resource.get("code") or resource.get("type"))
    quantity = resource.get("valueQuantity")
    if quantity:
        yield f"{quantity.get('value', '')} {quantity.get('unit', '')}".strip()
    if "valueString" in resource:
        yield str(resource["valueString"])
    if "valueCodeableConcept" in resource:
        yield words.concept(resource["valueCodeableConcept"])
    if "description" in resource:
        yield str(resource["description"])


def _shortlist(gathered: Gathered) -> Section:
    rows = []
    for performer, service in gathered.services:
        found = service or {}
        provider = gathered.target(found.get("providedBy")) or {}
        rows.append((found.get("name") or performer.get("display"), provider.get("name")))
    return section(
        "Services",
        table(("Service", "Provided by"), rows),
        targets=[service for _, service in gathered.services],
    )


def appointments(gathered: Gathered) -> Section:
    """The appointments that were made, the latest first."""
    zone = gathered.context.policy.zone
    listed = sorted(gathered.appointments, key=lambda item: item.get("start", ""), reverse=True)
    return section(
        "Appointments",
        table(
            ("When", "Status", "With"),
            (
                (words.moment(item.get("start"), zone), item.get("status"), _with_whom(item))
                for item in listed
            ),
        ),
        targets=listed,
    )


def _with_whom(appointment: Json) -> str:
    actors = (item.get("actor", {}) for item in appointment.get("participant", ()))
    return ", ".join(
        item["display"]
        for item in actors
        if "display" in item and not item.get("reference", "").startswith("Patient/")
    )


def _letters(gathered: Gathered) -> Section:
    zone = gathered.context.policy.zone
    rows = []
    for item in gathered.letters:
        content: Json = next(iter(item.get("content", ())), {})
        attachment = content.get("attachment", {})
        title = (
            attachment.get("title") or item.get("description") or words.concept(item.get("type"))
        )
        rows.append((title, words.moment(item.get("date"), zone), attachment.get("contentType")))
    return section("Documents", table(("Title", "Date", "Format"), rows), targets=gathered.letters)
