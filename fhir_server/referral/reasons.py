"""Reasons for cancelling and rejecting, with the rules for giving them that their code systems hold as properties.

https://hl7.org/fhir/R4/codesystem.html#properties
"""

from __future__ import annotations

from functools import cache
from typing import Any

import orjson

from fhir_server.interactions.call import Context
from fhir_server.interactions.caller import Caller
from fhir_server.interactions.sight import access
from fhir_server.referral import refusals
from fhir_server.referral.definitions import system
from fhir_server.referral.kinds import codings
from fhir_server.spec.dates import interval
from fhir_server.spec.published import folder

Json = dict[str, Any]
Properties = dict[str, list[Any]]
# R4's own reasons begin with who decided: pat, prov.
_R4 = "http://terminology.hl7.org/CodeSystem/appointment-cancellation-reason"


@cache
def _concepts(url: str) -> dict[str, Properties]:
    name = url.rpartition("/")[2]
    resource = orjson.loads((folder("profiles") / f"CodeSystem-{name}.json").read_bytes())
    found: dict[str, Properties] = {}
    for concept in resource["concept"]:
        listed: Properties = {}
        for item in concept.get("property", ()):
            held = next(value for name, value in item.items() if name.startswith("value"))
            listed.setdefault(item["code"], []).append(held)
        found[concept["code"]] = listed
    return found


def properties(reason: Json | None, which: str) -> Properties | None:
    """What is known of a reason of the code system of that name; None when it has none of its codes."""
    url = system(which)
    for found, code in codings(reason):
        if found == url:
            return _concepts(url).get(code)
    return None


def check(
    reason: Json | None,
    which: str,
    comment: bool,
    context: Context,
    place: str,
    comment_place: str,
    wanted: dict[str, tuple[Any, ...]],
) -> None:
    """Refuse (422) a reason that is not in force or not for this, and one without the comment that it needs.

    wanted: property -> the values of which it must have one, where it has the property at all. A caller who is known
    gives only what is for that role.
    """
    named = [code for found, code in codings(reason) if found == system(which)]
    if not named:
        return
    rules = _concepts(system(which)).get(named[0])
    if rules is None:
        raise refusals.inappropriate_value(
            f"{named[0][:64]} is no reason of {system(which)}", place
        )
    wanted = wanted | _by_caller(context.caller)
    now = context.now()
    begins, ends = rules.get("effectiveFrom"), rules.get("effectiveTo")
    if (begins and interval(begins[0])[0] > now) or (ends and interval(ends[0])[0] <= now):
        raise refusals.inappropriate_value(
            f"The reason {named[0]} is not in force; give another", place
        )
    for name, values in wanted.items():
        held = rules.get(name)
        if held and not set(held) & set(values):
            raise refusals.inappropriate_value(
                f"The reason {named[0]} is not for this: its {name} is {held[0]}; give another",
                place,
            )
    if rules.get("commentIsMandatory") == [True] and not comment:
        raise refusals.missing_value(f"The reason {named[0]} needs a comment", comment_place)


def _by_caller(caller: Caller | None) -> dict[str, tuple[Any, ...]]:
    """What reasons the role of a caller may give: of a function that it has, or of a type."""
    if caller is None:
        return {}
    rules = access()["reasons"]
    found = {}
    if caller.role in rules["functions"]:
        found["businessFunction"] = tuple(rules["functions"][caller.role])
    if caller.role in rules["types"]:
        found["type"] = tuple(rules["types"][caller.role])
    return found


def by_patient(reason: Json | None) -> bool:
    """Whether the reason for cancelling an appointment tells of the patient's decision."""
    known = properties(reason, "appointment-reason") or properties(reason, "referral-reason")
    if known is not None:
        return known["type"] == ["PATIENT"]
    return any(found == _R4 and code.startswith("pat") for found, code in codings(reason))
