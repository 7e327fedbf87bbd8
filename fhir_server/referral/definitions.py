"""What the life-cycle is defined by: capability/referral.json, read once (https://hl7.org/fhir/R4/task.html#statemachine)."""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from fhir_server.spec.published import folder

Json = dict[str, Any]


@cache
def table() -> dict[str, Any]:
    """All of it."""
    found: dict[str, Any] = orjson.loads((folder("capability") / "referral.json").read_bytes())
    return found


@cache
def system(name: str) -> str:
    """The url of a code system or of a system of identifiers."""
    found: str = table()["systems"][name]
    return found


@cache
def extension(name: str) -> str:
    """The url of an extension."""
    found: str = table()["extensions"][name]
    return found


@cache
def terminal() -> frozenset[str]:
    """The statuses after which nothing happens to a referral any more."""
    return frozenset(table()["statuses"]["terminal"])


def following(status: str) -> list[str]:
    """The statuses of a referral that may follow that one."""
    found: list[str] = table()["statuses"]["transitions"].get(status, [])
    return found


def actions(state: str | None) -> list[str]:
    """What can be done in a state."""
    found: list[str] = table()["states"].get(state, {}).get("actions", [])
    return found


def is_sent(state: str | None) -> bool:
    """Whether a provider has the referral, or had it."""
    return bool(table()["states"].get(state, {}).get("sent"))


def provider_books(state: str | None) -> bool:
    """Whether it is the provider who books, in any service of its own."""
    return bool(table()["states"].get(state, {}).get("providerBooks"))


def task(code: str) -> Json:
    """What holds for Tasks of that code."""
    found: Json = table()["tasks"][code]
    return found


@cache
def task_systems() -> frozenset[str]:
    """The systems that the codes of Tasks may have."""
    return frozenset({system("workflow"), system("task")})


def is_open(code: str, status: str) -> bool:
    """Whether a Task still asks for something."""
    return status in task(code)["open"]


@cache
def appointment_group(name: str) -> frozenset[str]:
    """The statuses of Appointments in a group: booked, ahead."""
    return frozenset(table()["appointments"][name])
