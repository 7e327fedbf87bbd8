"""The Tasks that the server makes: what they ask of whom, about which referral, and until when.

https://hl7.org/fhir/R4/task.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.interactions.call import Context
from fhir_server.referral import working_days
from fhir_server.referral.definitions import system, task
from fhir_server.spec.instants import write_instant

Json = dict[str, Any]


def task_for(
    code: str,
    referral_id: str,
    referral: Json,
    owner: Json | None,
    context: Context,
    **elements: Any,
) -> Json:
    """A requested Task about a referral."""
    now = write_instant(context.now())
    made: Json = {
        "resourceType": "Task",
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": system(task(code)["system"]), "code": code}]},
        "focus": {"reference": f"ServiceRequest/{referral_id}"},
        "authoredOn": now,
        "lastModified": now,
    }
    if "subject" in referral:
        made["for"] = referral["subject"]
    if owner:
        made["owner"] = owner
    return with_due(made | elements, code, referral, context)


def with_due(made: Json, code: str, referral: Json, context: Context) -> Json:
    """The Task with the day by which it has to be done, where its code sets one and it has none itself."""
    days = task(code).get("workingDays")
    if days is None or made.get("restriction", {}).get("period", {}).get("end"):
        return made
    count = days.get(referral.get("priority", "routine"), days["routine"])
    end = working_days.due(context.now(), count, context.policy.zone)
    restriction = made.get("restriction", {})
    period = restriction.get("period", {}) | {"end": end}
    return made | {"restriction": restriction | {"period": period}}
