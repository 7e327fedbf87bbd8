"""A paper as a FHIR document: a Bundle that begins with its Composition (https://hl7.org/fhir/R4/documents.html)."""

from __future__ import annotations

from typing import Any

from fhir_server.directory import html
from fhir_server.directory.gathered import Gathered
from fhir_server.directory.paper import Paper, Section
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]
Identity = tuple[str, str]
_URI = "urn:ietf:rfc:3986"


def document(paper: Paper, gathered: Gathered) -> bytes:
    """The Bundle: the Composition, then every resource that it refers to."""
    context = paper.context
    listed = [
        *gathered.known.values(),
        gathered.referral,
        *gathered.appointments,
        *gathered.letters,
    ]
    resources = {(item["resourceType"], item["id"]): item for item in listed}
    referral = gathered.referral
    subject, author = _named(referral.get("subject")), _named(referral.get("requester"))
    moment = write_instant(paper.written)
    composition: Json = {
        "resourceType": "Composition",
        "id": context.new_id(),
        "status": "final",
        "type": paper.type,
        "date": moment,
        "author": [author or {"display": "The referrals server"}],
        "title": paper.title,
        "section": [_section(item) for item in paper.sections],
    }
    if subject:
        composition["subject"] = subject
    told = [target for item in paper.sections for target in item.targets]
    told += [
        (item["resourceType"], item["id"])
        for reference in (subject, author)
        if (item := gathered.target(reference)) is not None
    ]
    entries = [
        {"fullUrl": f"{context.base_url}/Composition/{composition['id']}", "resource": composition}
    ]
    entries += [
        {"fullUrl": f"{context.base_url}/{target[0]}/{target[1]}", "resource": resources[target]}
        for target in dict.fromkeys(told)
    ]
    return serialise(
        {
            "resourceType": "Bundle",
            "id": context.new_id(),
            "identifier": {"system": _URI, "value": f"urn:uuid:{context.new_id()}"},
            "type": "document",
            "timestamp": moment,
            "entry": entries,
        }
    )


def _named(reference: Any) -> Json | None:
    """The reference and its display, without anything else that was in it."""
    if not isinstance(reference, dict):
        return None
    names = ("reference", "identifier", "display")
    kept = {name: reference[name] for name in names if name in reference}
    return kept or None


def _section(section: Section) -> Json:
    made: Json = {
        "title": section.title,
        "text": {"status": "generated", "div": html.narrative(section)},
    }
    if section.targets:
        made["entry"] = [
            {"reference": f"{kind}/{logical_id}"} for kind, logical_id in section.targets
        ]
    return made
