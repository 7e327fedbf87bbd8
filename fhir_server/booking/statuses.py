"""Which status may follow which, and what a status means for a seat: read from capability/transitions.json.

https://hl7.org/fhir/R4/valueset-appointmentstatus.html, https://hl7.org/fhir/R4/valueset-slotstatus.html
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from fhir_server.booking import refusals
from fhir_server.spec.published import folder

Json = dict[str, Any]


@cache
def _table() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = orjson.loads(
        (folder("capability") / "transitions.json").read_bytes()
    )
    return found


@cache
def group(resource_type: str, name: str) -> frozenset[str]:
    """The statuses of a type in a group: live, tentative, notBeforeStart; blocking, closed."""
    return frozenset(_table()[resource_type][name])


def transitions(resource_type: str) -> dict[str, list[str]]:
    """Status -> the statuses that may follow it."""
    found: dict[str, list[str]] = _table()[resource_type]["transitions"]
    return found


def is_live(appointment: Json | None) -> bool:
    """Whether an appointment needs its seats."""
    return appointment is not None and appointment["status"] in group("Appointment", "live")


def is_tentative(appointment: Json) -> bool:
    """Whether an appointment is not agreed on by everybody yet."""
    return appointment["status"] in group("Appointment", "tentative")


def check_transition(before: Json | None, after: Json | None) -> None:
    """Refuse (422) a status that may not follow the one before; a new resource may begin with any."""
    if before is None or after is None or before["status"] == after["status"]:
        return
    resource_type = after["resourceType"]
    following = transitions(resource_type).get(before["status"], [])
    if after["status"] not in following:
        allowed = f"only {', '.join(following)}" if following else "nothing"
        raise refusals.invalid_state(
            422,
            f"The status is {before['status']}; {allowed} may follow, not {after['status']}",
            f"{resource_type}.status",
        )
