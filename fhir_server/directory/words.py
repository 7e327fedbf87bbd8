"""How elements read for people: names, codes, addresses, times (https://hl7.org/fhir/R4/datatypes.html)."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from fhir_server.referral.state import code_of
from fhir_server.spec.dates import interval
from fhir_server.spec.instants import SECOND

Json = dict[str, Any]


def name_of(patient: Json | None) -> str:
    """A HumanName of a Patient or Practitioner: the official one where there is one."""
    names = (patient or {}).get("name", ())
    if not isinstance(names, list) or not names:
        return ""
    chosen = next((item for item in names if item.get("use") == "official"), names[0])
    if "text" in chosen:
        return str(chosen["text"])
    parts = [*chosen.get("prefix", ()), *chosen.get("given", ()), chosen.get("family", "")]
    return " ".join(item for item in parts if item)


def concept(value: Json | None) -> str:
    """A CodeableConcept: its text, else the display or code of its first coding."""
    value = value or {}
    if "text" in value:
        return str(value["text"])
    coding: Json = next(iter(value.get("coding", ())), {})
    return str(coding.get("display") or coding.get("code") or "")


def concepts(values: Any) -> str:
    """Several of them."""
    return ", ".join(text for item in values or () if (text := concept(item)))


def identifier(resource: Json | None, system: str) -> str:
    """The value of the identifier of that system."""
    listed = (resource or {}).get("identifier", ())
    return next((item.get("value", "") for item in listed if item.get("system") == system), "")


def address(value: Json | None) -> list[str]:
    """The lines of an Address."""
    value = value or {}
    listed = [*value.get("line", ()), value.get("city"), value.get("postalCode")]
    lines = [item for item in listed if item]
    return lines or [value["text"]] if lines or "text" in value else []


def telephone(resource: Json | None) -> str:
    """The first telephone number."""
    listed = (resource or {}).get("telecom", ())
    return next((item.get("value", "") for item in listed if item.get("system") == "phone"), "")


def moment(text: Any, zone: ZoneInfo) -> str:
    """A date or dateTime as people write it: Friday 2 January 2026, 09:20."""
    if not isinstance(text, str):
        return ""
    if len(text) < 10:
        return text
    when = datetime.fromtimestamp(interval(text, zone)[0] / SECOND, zone)
    day = f"{when:%A} {when.day} {when:%B %Y}"
    return f"{day}, {when:%H:%M}" if "T" in text else day


def state_of(referral: Json) -> str:
    """The state that the server has derived, where it tells one."""
    return code_of(referral) or ""
