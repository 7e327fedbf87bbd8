"""What a client is told once the PAS has answered about what it has booked, or has not.

https://hl7.org/fhir/R4/operationoutcome.html
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import orjson

from fhir_server.booking import confirmation, names
from fhir_server.interactions.bundle import refusal_entry
from fhir_server.interactions.call import Batch, Call, Context, Result, Transaction
from fhir_server.interactions.coded import issue
from fhir_server.interactions.preconditions import write_etag
from fhir_server.interactions.write import written
from fhir_server.pas.asking import Answer
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.instants import write_instant
from fhir_server.spec.json_format import parse_stored, serialise
from fhir_server.store.contract import ReadTransaction

Json = dict[str, Any]
Identity = tuple[str, str]
# Of several answers the first of these decides the status.
_STATUS: dict[Answer, int] = {"refused": 409, "failed": 502, "silent": 504}
_PLACE = "Appointment.slot"


def refusal(answers: Mapping[str, Answer], context: Context) -> FhirError:
    """Why appointments, by their ids, are not booked; each issue names one."""
    status = next(number for answer, number in _STATUS.items() if answer in answers.values())
    issues = tuple(_issue(item, answer) for item, answer in answers.items())
    headers = {}
    if len(answers) == 1:
        headers["Location"] = f"{context.base_url}/Appointment/{next(iter(answers))}"
    return FhirError(status, issues, headers)


def _issue(logical_id: str, answer: Answer) -> Issue:
    kept = (
        f"Appointment/{logical_id} is pending and keeps its slots; the server goes on asking,"
        " so read it again or cancel it"
    )
    match answer:
        case "refused":
            told = (
                f"The provider's system has refused Appointment/{logical_id}, or it was cancelled"
                " meanwhile; choose another slot"
            )
            return issue(409, "conflict", "SLOT_NOT_AVAILABLE", told, _PLACE)
        case "silent":
            told = f"The provider's system has not answered in time. {kept}"
            return issue(504, "timeout", "PAS_NOT_RESPONDING", told, _PLACE)
    told = f"The provider's system has answered with an error. {kept}"
    return issue(502, "exception", "PAS_RESPONDED_WITH_ERROR", told, _PLACE)


def waiting(result: Result) -> set[Identity]:
    """The appointments in an answer that wait to be confirmed: it may be one that was given before."""
    if result.body is None or names.CONFIRMATION.encode() not in result.body:
        return set()
    return {
        ("Appointment", item["id"])
        for item in _resources(parse_stored(result.body))
        if confirmation.awaits(item) and item["status"] == "pending"
    }


def _resources(value: Json) -> Iterator[Json]:
    if value.get("resourceType") == "Appointment":
        yield value
    for entry in value.get("entry", ()) if value.get("resourceType") == "Bundle" else ():
        if isinstance(entry.get("resource"), dict):
            yield from _resources(entry["resource"])


def as_it_is(
    result: Result,
    call: Call,
    asked: Collection[str],
    context: Context,
    transaction: ReadTransaction,
) -> Result:
    """The answer to a change, with the appointments that were asked about, and slots, as they are by now."""
    if result.location is not None:
        version = transaction.current(*_identity(result.location))
        assert version is not None
        stored = written(version)
        return stored._replace(status=result.status, issues=result.issues, headers=result.headers)
    bundle = None if result.body is None else parse_stored(result.body)
    if bundle is None or bundle.get("resourceType") != "Bundle":
        return result
    shown = [
        _entry(entry, asked, context, transaction) if changes else entry
        for entry, changes in _answered(bundle, call)
    ]
    return result._replace(body=serialise(bundle | {"entry": shown}))


def of_batch(result: Result, call: Batch, failed: Mapping[str, Answer], context: Context) -> Result:
    """The answer to a batch in which the entries whose appointments are not booked are refused."""
    assert result.body is not None
    bundle = parse_stored(result.body)
    shown = []
    for entry, changes in _answered(bundle, call):
        told = {item: failed[item] for item in _booked(entry) if item in failed} if changes else {}
        shown.append(refusal_entry(refusal(told, context)) if told else entry)
    return result._replace(body=serialise(bundle | {"entry": shown}))


def _answered(bundle: Json, call: Call) -> Iterator[tuple[Json, bool]]:
    """The entries of an answer, and whether each is about a change; those of a Bundle's reads stay as they are."""
    entries = bundle.get("entry", ())
    if not isinstance(call, Batch | Transaction):
        yield from ((entry, True) for entry in entries)
        return
    for sent, entry in zip(call.bundle["entry"], entries, strict=True):
        request = sent.get("request") if isinstance(sent, dict) else None
        method = request.get("method") if isinstance(request, dict) else None
        yield entry, method not in ("GET", "HEAD")


def _booked(entry: Json) -> Iterator[str]:
    """The ids of the appointments that a change in a batch has written, or an operation in it."""
    location = entry.get("response", {}).get("location", "")
    yield location.rpartition("/Appointment/")[2].partition("/")[0]
    for item in _resources(entry.get("resource", {})):
        yield item["id"]


def _entry(
    entry: Json, asked: Collection[str], context: Context, transaction: ReadTransaction
) -> Json:
    resource = entry.get("resource", {})
    if resource.get("resourceType") == "Bundle":
        shown = [_entry(item, asked, context, transaction) for item in resource.get("entry", ())]
        return entry | {"resource": resource | {"entry": shown}} if shown else entry
    location = entry.get("response", {}).get("location", "")
    if location:
        identity = _identity(location.removeprefix(context.base_url + "/"))
    else:
        identity = (resource.get("resourceType", ""), resource.get("id", ""))
    if not (
        identity[1] in asked if identity[0] == "Appointment" else location and identity[0] == "Slot"
    ):
        return entry
    version = transaction.current(*identity)
    if version is None or version.deleted:
        return entry
    changed = dict(entry)
    if resource:
        changed["resource"] = orjson.Fragment(version.body)
    if location:
        changed["response"] = entry["response"] | {
            "location": f"{context.base_url}/{written(version).location}",
            "etag": write_etag(version.version_id),
            "lastModified": write_instant(version.last_updated),
        }
    return changed


def _identity(location: str) -> Identity:
    resource_type, logical_id = location.split("/")[:2]
    return resource_type, logical_id
