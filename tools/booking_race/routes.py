"""Every way in which a client can book: what it sends, and the status that counts.

https://hl7.org/fhir/R4/http.html
"""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import orjson

from bench.client import JSON_BODY, Connection, Response, request_bytes

Json = dict[str, Any]
Headers = tuple[tuple[str, str], ...]
PATCH_BODY = (("Content-Type", "application/json-patch+json"),)
BOOKED = b'[{"op":"replace","path":"/status","value":"booked"}]'


@dataclass(frozen=True, slots=True)
class Contender:
    """One client of a round: its connection, its name as an owner, and the proposal it may change."""

    connection: Connection
    owner: str
    slot: Json
    proposal: str

    @property
    def headers(self) -> Headers:
        """Who it is."""
        return (*JSON_BODY, ("NHSD-End-User-Organisation", self.owner))

    async def send(self, method: str, path: str, body: Any, headers: Headers = ()) -> Response:
        """One exchange."""
        content = body if isinstance(body, bytes) else orjson.dumps(body)
        named = headers or self.headers
        return await self.connection.send(request_bytes(method, f"/fhir{path}", content, named))

    def appointment(self, status: str = "booked") -> Json:
        """What it wants to book."""
        return appointment(self.slot, status)


def appointment(slot: Json, status: str) -> Json:
    """An appointment in that slot, for a patient that nobody knows."""
    return {
        "resourceType": "Appointment",
        "status": status,
        "start": slot["start"],
        "end": slot["end"],
        "slot": [{"reference": f"Slot/{slot['id']}"}],
        "participant": [{"actor": {"display": "Somebody"}, "status": "accepted"}],
    }


def _bundle(kind: str, *entries: tuple[str, str, Json, Json]) -> Json:
    return {
        "resourceType": "Bundle",
        "type": kind,
        "entry": [
            {"resource": resource, "request": {"method": method, "url": url} | more}
            for method, url, resource, more in entries
        ],
    }


def _parameters(**resources: Json) -> Json:
    listed = [
        {"name": name.replace("_", "-"), "resource": value} for name, value in resources.items()
    ]
    return {"resourceType": "Parameters", "parameter": listed}


async def post(me: Contender) -> int:
    return (await me.send("POST", "/Appointment", me.appointment())).status


async def put_a_new_id(me: Contender) -> int:
    logical_id = str(uuid.uuid4())
    resource = me.appointment() | {"id": logical_id}
    return (await me.send("PUT", f"/Appointment/{logical_id}", resource)).status


async def put_the_same_id(me: Contender) -> int:
    logical_id = f"same-{me.slot['id']}"
    headers = (*me.headers, ("If-None-Match", "*"))
    resource = me.appointment() | {"id": logical_id}
    return (await me.send("PUT", f"/Appointment/{logical_id}", resource, headers)).status


async def patch(me: Contender) -> int:
    headers = (*PATCH_BODY, me.headers[-1])
    return (await me.send("PATCH", f"/Appointment/{me.proposal}", BOOKED, headers)).status


async def patch_in_transaction(me: Contender) -> int:
    binary = {
        "resourceType": "Binary",
        "contentType": PATCH_BODY[0][1],
        "data": base64.b64encode(BOOKED).decode(),
    }
    bundle = _bundle("transaction", ("PATCH", f"Appointment/{me.proposal}", binary, {}))
    return (await me.send("POST", "", bundle)).status


async def conditional_create(me: Contender) -> int:
    headers = (*me.headers, ("If-None-Exist", f"identifier=race|{uuid.uuid4()}"))
    return (await me.send("POST", "/Appointment", me.appointment(), headers)).status


async def conditional_update(me: Contender) -> int:
    path = f"/Appointment?identifier=race%7C{uuid.uuid4()}"
    return (await me.send("PUT", path, me.appointment())).status


async def transaction(me: Contender) -> int:
    busy = me.slot | {"status": "busy"}
    bundle = _bundle(
        "transaction",
        ("POST", "Appointment", me.appointment(), {}),
        ("PUT", f"Slot/{me.slot['id']}", busy, {"ifMatch": 'W/"1"'}),
    )
    return (await me.send("POST", "", bundle)).status


async def batch(me: Contender) -> int:
    answer = await me.send(
        "POST", "", _bundle("batch", ("POST", "Appointment", me.appointment(), {}))
    )
    if answer.status != 200:
        return answer.status
    return int(orjson.loads(answer.body)["entry"][0]["response"]["status"][:3])


async def book(me: Contender) -> int:
    body = _parameters(appointment_resource=me.appointment())
    return (await me.send("POST", "/Appointment/$book", body)).status


async def hold_then_book(me: Contender) -> int:
    body = _parameters(appointment_resource=me.appointment("proposed"))
    answer = await me.send("POST", "/Appointment/$hold", body)
    if answer.status != 200:
        return answer.status
    held = orjson.loads(answer.body)["entry"][0]["resource"]["id"]
    return (await me.send("POST", f"/Appointment/{held}/$book", b"")).status


async def slot_first(me: Contender) -> int:
    """The habit of two steps: mark the slot as busy, then book it."""
    await me.send("PUT", f"/Slot/{me.slot['id']}", me.slot | {"status": "busy"})
    return (await me.send("POST", "/Appointment", me.appointment())).status


Route = Callable[[Contender], Awaitable[int]]
ROUTES: dict[str, Route] = {
    "POST": post,
    "PUT new ids": put_a_new_id,
    "PUT same id": put_the_same_id,
    "PATCH": patch,
    "PATCH in transaction": patch_in_transaction,
    "conditional create": conditional_create,
    "conditional update": conditional_update,
    "transaction": transaction,
    "batch": batch,
    "$book": book,
    "$hold, $book": hold_then_book,
    "PUT Slot, POST": slot_first,
}
MIXED = "mixed"
MARKING = "PUT Slot, POST"


def route_of(name: str, chance: random.Random) -> Route:
    """The route of that name, or any."""
    return chance.choice(list(ROUTES.values())) if name == MIXED else ROUTES[name]
