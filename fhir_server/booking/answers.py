"""What booking's operations answer: a searchset Bundle, whether they succeed or not (IHE ITI Scheduling).

https://hl7.org/fhir/R4/bundle.html#searchset
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

import orjson

from fhir_server.interactions.call import Context, Result
from fhir_server.interactions.outcome import outcome
from fhir_server.spec.errors import FhirError, Issue
from fhir_server.spec.json_format import serialise

Json = dict[str, Any]


def searchset(
    entries: Iterable[str],
    context: Context,
    *,
    total: int | None = None,
    links: Iterable[Json] = (),
    issues: Iterable[Issue] = (),
    headers: Mapping[str, str] | None = None,
) -> Result:
    """200 with a searchset of entries, and an outcome when there is something to tell."""
    shown = list(entries)
    bundle: Json = {
        "resourceType": "Bundle",
        "id": context.new_id(),
        "type": "searchset",
        "total": len(shown) if total is None else total,
    }
    told = list(issues)
    if told:
        shown.append(serialise(_outcome_entry(told, context)).decode())
    listed = list(links)
    if listed:
        bundle["link"] = listed
    if shown:
        bundle["entry"] = orjson.Fragment(f"[{','.join(shown)}]")
    return Result(200, serialise(bundle), headers=headers or {})


def around(context: Context) -> tuple[str, str]:
    """What stands before the id and after the resource in the entry of an Appointment, as JSON."""
    return f'{{"fullUrl":"{context.base_url}/Appointment/', ',"search":{"mode":"match"}}'


def _outcome_entry(issues: Iterable[Issue], context: Context) -> Json:
    return {
        "fullUrl": f"urn:uuid:{context.new_id()}",
        "resource": outcome(issues),
        "search": {"mode": "outcome"},
    }


def appointment(result: Result, context: Context, headers: Mapping[str, str]) -> Result:
    """The answer about one appointment that was written."""
    assert result.body is not None
    assert result.location is not None
    logical_id = result.location.split("/")[1]
    begin, end = around(context)
    entry = f'{begin}{logical_id}","resource":{result.body.decode()}{end}'
    return searchset([entry], context, issues=result.issues, headers=headers)


def in_bundle(work: Callable[[], Result], context: Context) -> Result:
    """Do the work; when a slot or its state refuses it, the refusal is a Bundle that holds only the outcome.

    The status stays that of the refusal, and nothing is stored; what cannot be understood is refused as ever.
    """
    try:
        return work()
    except FhirError as refusal:
        if refusal.status in (404, 409, 422):
            raise refused(refusal, context) from None
        raise


def refused(refusal: FhirError, context: Context) -> FhirError:
    """The refusal as a Bundle that holds only the outcome."""
    issues = tuple(replace(item, severity="fatal") for item in refusal.issues)
    bundle = {
        "resourceType": "Bundle",
        "id": context.new_id(),
        "type": "searchset",
        "total": 0,
        "entry": [_outcome_entry(issues, context)],
    }
    return FhirError(refusal.status, issues, refusal.headers, body=serialise(bundle))
