"""Acts on referrals without the wire, on a store of any kind: each prepares what it is about, then is one call."""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from referral_desk import CONVERSION, WORKFLOW, Desk, concept

from fhir_server.booking import checking as booking_checking
from fhir_server.interactions.call import Conditions, Request
from fhir_server.interactions.caller import Caller
from fhir_server.interactions.grammar import parse_call
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.perform import execute
from fhir_server.publishing import publish
from fhir_server.referral import checking as referral_checking
from fhir_server.referral.permissions import ReferralPermissions
from fhir_server.server import context_of, store_of
from fhir_server.settings import Settings
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse

Json = dict[str, Any]


class Answer:
    """What Desk reads off an answer."""

    def __init__(self, status_code: int, body: Any, headers: Mapping[str, str]) -> None:
        self.status_code = status_code
        self.body = body
        self.headers = headers
        self.text = str(body)

    def json(self) -> Any:
        return self.body


class Direct:
    """A client that asks a store without a server between them."""

    def __init__(self, database: str) -> None:
        settings = Settings(database=database)
        self.store = store_of(settings)
        publish(self.store, context_of(settings, self.store))
        self.context = context_of(settings, self.store)

    def ask(self, method: str, path: str, body: Any = None, headers: Json | None = None) -> Answer:
        path, _, query = path.partition("?")
        pairs = tuple(tuple(item.split("=", 1)) for item in query.split("&") if item)
        lenient = (headers or {}).get("Prefer") == "handling=lenient"
        context = replace(self.context, lenient=lenient)
        try:
            call = parse_call(Request(method, path, pairs, Conditions(), copy.deepcopy(body)))
            result = execute(call, context, self.store)
        except FhirError as refusal:
            told = parse(refusal.body) if refusal.body else outcome(refusal.issues)
            return Answer(refusal.status, told, refusal.headers)
        return Answer(result.status, parse(result.body) if result.body else None, result.headers)

    def asking(self, role: str, **headers: str) -> Direct:
        """The same store, asked by somebody whom a gateway tells by those headers (- is _)."""
        made = copy.copy(self)
        known, standing = Settings().known_roles[role]
        caller = Caller(
            known,
            headers.get("NHSD_End_User_Organisation_ODS", ""),
            headers.get("NHSD_Patient", ""),
            standing,
            headers.get("NHSD_eRS_On_Behalf_Of_User_ID", ""),
        )
        made.context = replace(self.context, caller=caller, permissions=ReferralPermissions(60))
        return made

    def put(self, path: str, *, json: Json, headers: Json | None = None) -> Answer:
        return self.ask("PUT", path, json, headers)

    def post(self, path: str, *, json: Json, headers: Json | None = None) -> Answer:
        return self.ask("POST", path, json, headers)

    def delete(self, path: str, params: Json | None = None) -> Answer:
        return self.ask("DELETE", _with(path, params))

    def get(self, path: str, params: Json | None = None) -> Answer:
        return self.ask("GET", _with(path, params))

    def everything(self) -> list[Any]:
        """All current resources and all claims."""
        found: list[Any] = []
        after = 0
        while keys := self.store.keys(after=after, limit=500):
            with self.store.read() as transaction:
                versions = transaction.by_key(keys).values()
                found += [(item.resource_type, item.logical_id, item.body) for item in versions]
            after = keys[-1]
        with self.store.read() as transaction:
            found += transaction.claims.everything(("", -1), 10_000)
        return found

    def faults(self) -> list[str]:
        """What the checks of booking and of referrals find."""
        checks = (booking_checking.faults, referral_checking.faults)
        return list(itertools.chain(*(check(self.store, self.context) for check in checks)))


def _with(path: str, params: Json | None) -> str:
    query = "&".join(f"{name}={value}" for name, value in (params or {}).items())
    return f"{path}?{query}" if query else path


Act = Callable[[], Any]


def shortlist(desk: Desk) -> Act:
    referral, other = desk.referral(desk.service()), desk.service()
    performer = [{"reference": f"HealthcareService/{other['id']}"}]
    return lambda: desk.put(referral | {"performer": performer})


def book(desk: Desk) -> Act:
    service = desk.service()
    appointment = desk.appointment(desk.referral(service), desk.slot(service))
    return lambda: desk.post(appointment)


def book_deferred(desk: Desk) -> Act:
    service = desk.service()
    referral = desk.referral(service)
    assert desk.operation(referral, "defer", reason="BOOKING_ATTEMPT_PROBLEM").status_code == 201
    appointment = desk.appointment(referral, desk.slot(service))
    return lambda: desk.post(appointment)


def defer(desk: Desk) -> Act:
    service = desk.service()
    reason = concept(WORKFLOW, "NO_SLOTS_AT_SERVICE")
    task = desk.task(desk.referral(service), "APPOINTMENT_DEFERRAL", service, reasonCode=reason)
    return lambda: desk.post(task)


def triage(desk: Desk) -> Act:
    referral = desk.referral(desk.service("REVIEW"))
    return lambda: desk.operation(referral, "send-for-triage")


def _in_triage(desk: Desk) -> Json:
    referral = desk.referral(desk.service())
    assert desk.operation(referral, "send-for-triage").status_code == 201
    return referral


def accept(desk: Desk) -> Act:
    send = {"outcome": "ACCEPT", "comment": "Yes", "priority": "urgent"}
    referral = _in_triage(desk)
    return lambda: desk.operation(referral, "record-outcome", **send)


def return_with_advice(desk: Desk) -> Act:
    send = {"outcome": "RETURN_WITH_ADVICE", "comment": "Diet first"}
    referral = _in_triage(desk)
    return lambda: desk.operation(referral, "record-outcome", **send)


def refer_on(desk: Desk) -> Act:
    referral, other = _in_triage(desk), desk.service()
    send = {"outcome": "REFER_OR_BOOK_NOW", "comment": "Theirs", "service": other["id"]}
    return lambda: desk.operation(referral, "record-outcome", **send)


def _booked(desk: Desk) -> tuple[Json, Json]:
    service = desk.service()
    referral, slot = desk.referral(service), desk.slot(service)
    desk.made(desk.appointment(referral, slot))
    return referral, slot


def reject(desk: Desk) -> Act:
    referral, _ = _booked(desk)
    send = {"outcome": "REJECT", "reason": "SERVICE_INAPPROPRIATE"}
    return lambda: desk.operation(referral, "record-outcome", **send)


def cancel(desk: Desk) -> Act:
    referral, _ = _booked(desk)
    return lambda: desk.operation(referral, "cancel", reason="PATIENT_DIED")


def convert(desk: Desk) -> Act:
    told = [{"url": CONVERSION, "valueCode": "AUTHORISED_TO_CONVERT"}]
    request = desk.made(desk.advice_to(desk.service(), extension=told))
    return lambda: desk.operation(request, "convert-advice", guidance="We shall see them")


def displace(desk: Desk) -> Act:
    _, slot = _booked(desk)
    body = {"resourceType": "Parameters",
            "parameter": [{"name": "start", "valueDateTime": slot["start"]},
                          {"name": "end", "valueDateTime": slot["end"]}]}  # fmt: skip
    path = f"{slot['schedule']['reference']}/$cancel-clinic"
    return lambda: desk.client.post(path, json=body)


ACTS = (
    shortlist, book, book_deferred, defer, triage, accept, return_with_advice, refer_on, reject,
    cancel, convert, displace,
)  # fmt: skip
