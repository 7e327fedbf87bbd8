"""The referral-to-treatment clock of a referral: when it started, when it stood still, when it stopped.

It starts with the referral unless an earlier start is sent, stands still while the referral is on hold, and stops when
the referral is revoked or completed. What the server has written stays. https://hl7.org/fhir/R4/servicerequest.html
"""

from __future__ import annotations

from typing import Any

from fhir_server.booking.facts import moment
from fhir_server.interactions.call import Context
from fhir_server.referral import extensions, refusals
from fhir_server.referral.definitions import extension, table
from fhir_server.referral.kinds import Kind
from fhir_server.spec.dates import DAY
from fhir_server.spec.instants import write_instant

Json = dict[str, Any]
_PLACE = "ServiceRequest.extension"
_STOPPING = ("revoked", "completed")


def with_clock(resource: Json, before: Json | None, kind: Kind, context: Context) -> Json:
    """The referral with its clock; FhirError 422 for a start out of bounds, and for what is changed afterwards."""
    resource = _started(resource, before, kind, context)
    resource = _paused(resource, before, context)
    return _stopped(resource, before, kind, context)


def start_of(resource: Json | None) -> str | None:
    """The instant at which the clock started."""
    found: str | None = extensions.typed(resource or {}, extension("pathway-start"), "valueInstant")
    return found


def _started(resource: Json, before: Json | None, kind: Kind, context: Context) -> Json:
    sent, kept = start_of(resource), start_of(before)
    now = context.now()
    if kept is not None:
        if sent is not None and moment(sent) != moment(kept) and not context.recording:
            raise refusals.state_is_derived(
                f"The pathway started at {kept}; leave that as it is", _PLACE
            )
        sent = kept
    elif sent is not None and not context.recording:
        oldest = table()["oldestPathwayStartDays"]
        if not now - oldest * DAY <= moment(sent) <= now:
            raise refusals.invalid_value(
                f"The start of the pathway must not be in the future, nor more than {oldest} days ago",
                _PLACE,
            )
    elif before is None and kind == "referral" and not context.recording:
        # Of a referral that was recorded without a start nobody knows it: it is not now.
        sent = write_instant(now)
    if sent is None:
        return resource
    wanted = {"url": extension("pathway-start"), "valueInstant": sent}
    return extensions.with_only(resource, extension("pathway-start"), [wanted])


def _paused(resource: Json, before: Json | None, context: Context) -> Json:
    """A pause begins with on-hold and ends with it; a pathway that began elsewhere may tell of pauses that ended."""
    url = extension("clock-pause")
    sent, listed = extensions.all_of(resource, url), extensions.all_of(before or {}, url)
    if sent and (before is None or context.recording):
        if not context.recording:
            _check_pauses(sent, resource, context)
        listed = sent
    elif sent and sent != listed:
        raise refusals.state_is_derived(
            "The clock stands still while the status is on-hold; leave its pauses as they are",
            _PLACE,
        )
    held = resource["status"] == "on-hold"
    if not listed and not held:
        return resource
    now = write_instant(context.now())
    running = [item for item in listed if not extensions.part(item, "period").get("end")]
    if held and not running:
        reason = extensions.value(extensions.one(resource, extension("status-reason")))
        pause = [
            {"url": "period", "valuePeriod": {"start": now}},
            {"url": "reason", "valueCodeableConcept": reason or {"text": "On hold"}},
        ]
        listed = [*listed, {"url": url, "extension": pause}]
    elif not held and running and (before or {}).get("status") == "on-hold":
        listed = [_ended(item, now) if item in running else item for item in listed]
    return extensions.with_only(resource, url, listed)


def _check_pauses(pauses: list[Json], resource: Json, context: Context) -> None:
    started = start_of(resource)
    least = moment(started) if started else context.now()
    for period in (extensions.part(item, "period") for item in pauses):
        times = [moment(period[name]) for name in ("start", "end") if name in period]
        if len(times) < 2 or not least <= times[0] <= times[1] <= context.now():
            raise refusals.invalid_value(
                "A pause that is told of begins after the pathway and has ended; a new one begins with on-hold",
                _PLACE,
            )


def _ended(pause: Json, now: str) -> Json:
    parts = [
        item | {"valuePeriod": item["valuePeriod"] | {"end": now}}
        if item["url"] == "period"
        else item
        for item in pause["extension"]
    ]
    return pause | {"extension": parts}


def _stopped(resource: Json, before: Json | None, kind: Kind, context: Context) -> Json:
    url = extension("clock-stop")
    sent, kept = extensions.one(resource, url), extensions.one(before or {}, url)
    if kept is not None:
        if sent is not None and sent != kept and not context.recording:
            raise refusals.state_is_derived("The clock has stopped; leave that as it is", _PLACE)
        return extensions.with_only(resource, url, [kept])
    if (
        sent is not None
        or kind == "advice"
        or context.recording
        or resource["status"] not in _STOPPING
        or (before is not None and before["status"] in _STOPPING)
    ):
        return resource
    reason = extensions.value(extensions.one(resource, extension("status-reason")))
    stop = [
        {"url": "instant", "valueInstant": write_instant(context.now())},
        {
            "url": "reason",
            "valueCodeableConcept": reason or {"text": resource["status"].capitalize()},
        },
    ]
    return extensions.with_only(resource, url, [{"url": url, "extension": stop}])
