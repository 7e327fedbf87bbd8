"""What the benchmark asks of the server, and what each answer must hold."""

from __future__ import annotations

import random
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any
from urllib.parse import quote

import orjson

from bench.client import JSON_BODY, request_bytes
from bench.measure import Request, Script, Workload
from bench.region import Region

Json = dict[str, Any]


def referral_of_two_kilobytes(like: Json, number: int) -> Json:
    """A ServiceRequest to create: new identifier, and notes that bring it to about 2 kB."""
    made = {name: value for name, value in like.items() if name != "id"}
    made["identifier"] = [{"system": "https://fhir.nhs.uk/Id/UBRN", "value": f"9{number:011}"}]
    history = "Seen twice in surgery, examination and blood results are in the letter. "
    made["note"] = [{"time": like["authoredOn"], "text": history * 10}]
    return made


def bare() -> Workload:
    """The yardstick: what an answer of 2 kB costs when nothing is done for it."""
    wanted = Request(request_bytes("GET", "/"), 200, (b"ServiceRequest",))
    return Workload("bare ASGI answer", lambda _: _any_of([wanted], random.Random(0)))


def _any_of(requests: Sequence[Request], chance: random.Random) -> Script:
    while True:
        yield chance.choice(requests)


def read(region: Region) -> Workload:
    """GET [base]/ServiceRequest/[id] of any referral."""
    requests = [
        _get(f"ServiceRequest/{item['id']}", f'"id":"{item["id"]}"') for item in region.referrals
    ]
    return Workload("read", lambda client: _any_of(requests, random.Random(client)))


def _get(path_and_query: str, *needles: str) -> Request:
    wire = request_bytes("GET", "/fhir/" + quote(path_and_query, safe="?=&/:._"))
    return Request(wire, 200, tuple(needle.encode() for needle in needles))


def search_by_patient(region: Region) -> Workload:
    """GET [base]/ServiceRequest?patient=..., a few matches each."""
    requests = [
        _get(f"ServiceRequest?patient={patient}", f'"subject":{{"reference":"{patient}"')
        for patient in region.patients
    ]
    return Workload("search by patient", lambda client: _any_of(requests, random.Random(client)))


def slot_search(region: Region) -> Workload:
    """The free slots of a service in a week, soonest first, with their schedules."""
    requests = []
    for service, day in region.free_days:
        within = f"start=ge{day}&start=lt{day + timedelta(days=7)}"
        query = f"schedule.actor={service}&status=free&{within}&_sort=start&_include=Slot:schedule"
        # The soonest of them lies on the first day, and its schedule comes with it.
        needles = (f'"start":"{day}T', '"mode":"include"')
        requests.append(_get(f"Slot?{query}", *needles))
    return Workload(
        "slot search, _include", lambda client: _any_of(requests, random.Random(client))
    )


def create(region: Region, *, ruled: bool) -> Workload:
    """POST [base]/ServiceRequest of 2 kB; ruled: a referral with its UBRN, which has a life-cycle, else an order."""
    numbers = count(1)

    def script(client: int) -> Script:
        chance = random.Random(client)
        for number in numbers:
            resource = referral_of_two_kilobytes(chance.choice(region.referrals), number)
            if not ruled:
                _make_an_order(resource)
            body = orjson.dumps(resource)
            wire = request_bytes("POST", "/fhir/ServiceRequest", body, JSON_BODY)
            yield Request(wire, 201, (f'"9{number:011}"'.encode(),))

    return Workload("create a referral" if ruled else "create", script)


def _make_an_order(referral: Json) -> None:
    """Without the identifier that makes it a referral, which has a life-cycle with rules."""
    referral["identifier"][0]["system"] = "https://example.org/orders"


def update(region: Region, clients: int, versions: dict[str, int]) -> Workload:
    """PUT of a Patient with If-Match that changes one element; every client has patients of its own."""
    changes = [{"gender": code} for code in ("female", "male", "other", "unknown")]
    return _updating("update, If-Match", region.people, changes, clients, versions)


def update_referral(region: Region, clients: int, versions: dict[str, int]) -> Workload:
    """The same of an active referral, under the rules of its life-cycle."""
    active = [item for item in region.referrals if item["status"] == "active"]
    changes = [{"priority": code} for code in ("routine", "urgent", "asap", "stat")]
    return _updating("update a referral", active, changes, clients, versions)


def _updating(
    name: str,
    resources: Sequence[Json],
    changes: Sequence[Json],
    clients: int,
    versions: dict[str, int],
) -> Workload:
    """versions: those that the resources have now, by id."""

    def script(client: int) -> Script:
        chance = random.Random(client)
        owned = resources[client::clients]
        while True:
            resource = chance.choice(owned)
            logical_id = resource["id"]
            version = versions[logical_id]
            changed = resource | changes[version % len(changes)]
            wire = request_bytes(
                "PUT",
                f"/fhir/{resource['resourceType']}/{logical_id}",
                orjson.dumps(changed),
                (*JSON_BODY, ("If-Match", f'W/"{version}"')),
            )
            if (yield Request(wire, 200, (f'"versionId":"{version + 1}"'.encode(),))):
                versions[logical_id] += 1

    return Workload(name, script)


def transaction(region: Region, *, ruled: bool) -> Workload:
    """A transaction of four creates that refer to one another: a whole referral, or an order that has no rules."""
    numbers = count(1)
    created = (b"/ServiceRequest/", b"/Task/", b"/DocumentReference/", b"/Communication/")

    def script(client: int) -> Script:
        chance = random.Random(client)
        for number in numbers:
            bundle = referral_bundle(chance.choice(region.referrals), f"8{number:011}")
            if not ruled:
                _make_an_order(bundle["entry"][0]["resource"])
            wire = request_bytes("POST", "/fhir", orjson.dumps(bundle), JSON_BODY)
            yield Request(wire, 200, (b'"transaction-response"', *created))

    return Workload("transaction of 4, a referral" if ruled else "transaction of 4", script)


def referral_bundle(like: Json, ubrn: str) -> Json:
    """A transaction that creates ServiceRequest, Task, DocumentReference and Communication."""
    request = {name: value for name, value in like.items() if name != "id"}
    request["identifier"] = [{"system": "https://fhir.nhs.uk/Id/UBRN", "value": ubrn}]
    focus = {"reference": "urn:uuid:7b0e4d5c-8f6e-4d27-9f6e-000000000001"}
    subject, sent = like["subject"], like["authoredOn"]
    entries = (
        request,
        {
            "resourceType": "Task",
            "status": "requested",
            "intent": "order",
            "code": {"text": "Review"},
            "focus": focus,
            "for": subject,
            "authoredOn": sent,
            "owner": like["performer"][0],
        },
        {
            "resourceType": "DocumentReference",
            "status": "current",
            "subject": subject,
            "date": sent,
            "content": [{"attachment": {"contentType": "text/plain", "data": "RGVhciBhbGw="}}],
            "context": {"related": [focus]},
        },
        {
            "resourceType": "Communication",
            "status": "completed",
            "subject": subject,
            "basedOn": [focus],
            "sent": sent,
            "payload": [{"contentString": "The referral was sent"}],
        },
    )
    return {
        "resourceType": "Bundle",
        "type": "transaction",
        "entry": [
            {
                "fullUrl": f"urn:uuid:7b0e4d5c-8f6e-4d27-9f6e-{place:012}",
                "resource": resource,
                "request": {"method": "POST", "url": resource["resourceType"]},
            }
            for place, resource in enumerate(entries, 1)
        ],
    }


def workloads(region: Region, clients: int, versions: dict[str, int]) -> tuple[Workload, ...]:
    """Every workload, readers first: they are measured on the data set as it was loaded."""
    return (
        read(region),
        search_by_patient(region),
        slot_search(region),
        create(region, ruled=False),
        update(region, clients, versions),
        transaction(region, ruled=False),
        create(region, ruled=True),
        update_referral(region, clients, versions),
        transaction(region, ruled=True),
    )
