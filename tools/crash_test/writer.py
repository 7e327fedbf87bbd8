"""A client that writes until the server dies (https://hl7.org/fhir/R4/http.html#transaction)."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Awaitable, Callable
from typing import Any

import orjson

from bench.client import JSON_BODY, BrokenExchange, Connection, request_bytes
from tools.crash_test.ledger import Creation, Ledger

Json = dict[str, Any]
MARK = "https://crash.example.org/mark"
PARTS = ("ServiceRequest", "Task", "DocumentReference", "Communication")
SUBJECT = {"reference": "Patient/crash"}


def referral(logical_id: str | None, mark: str, revision: int) -> Json:
    """A small ServiceRequest that carries its mark and its revision."""
    made: Json = {"resourceType": "ServiceRequest"}
    if logical_id is not None:
        made["id"] = logical_id
    return made | {
        "identifier": [{"system": MARK, "value": mark}],
        "status": "active",
        "intent": "order",
        "subject": SUBJECT,
        "note": [{"text": f"revision {revision}"}],
    }


def bundle(mark: str) -> Json:
    """A transaction that creates one resource of each of four types with the same mark."""
    marked = {"identifier": [{"system": MARK, "value": mark}]}
    content = [{"attachment": {"title": mark}}]
    bodies: tuple[Json, ...] = (
        {"status": "active", "intent": "order", "subject": SUBJECT},
        {"status": "requested", "intent": "order"},
        {"status": "current", "content": content},
        {"status": "completed"},
    )
    entries = [
        {
            "resource": {"resourceType": kind} | marked | body,
            "request": {"method": "POST", "url": kind},
        }
        for kind, body in zip(PARTS, bodies, strict=True)
    ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


async def act_until_killed(port: int, act: Callable[[Connection], Awaitable[None]]) -> None:
    """Act again and again on a connection, until it breaks."""
    with contextlib.suppress(BrokenExchange, OSError):
        connection = await Connection.open(port)
        with contextlib.closing(connection):
            while True:
                await act(connection)


class Writer:
    """One client: creates by POST and PUT, updates of its own resources, and transactions."""

    def __init__(self, number: int, seed: int, ledger: Ledger) -> None:
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        self.ledger = ledger
        self.sent = 0
        # Of every resource the version that the server must be at, while that is certain.
        self.certain: dict[str, int] = {}

    def mark(self) -> str:
        """A value that no other write has."""
        self.sent += 1
        return f"w{self.number}-{self.sent}"

    async def write(self, port: int) -> None:
        """Write until the connection breaks."""
        await act_until_killed(port, self._one)

    async def _one(self, connection: Connection) -> None:
        drawn = self.random.random()
        if drawn < 0.2:
            await self.post(connection)
        elif drawn < 0.4:
            await self.transact(connection)
        elif drawn < 0.6 or not self.certain:
            await self.put(connection, f"ServiceRequest/{self.mark()}", 0)
        else:
            identity = self.random.choice(list(self.certain))
            await self.put(connection, identity, self.certain[identity])

    async def put(self, connection: Connection, identity: str, version: int) -> None:
        """Write the version after that one; version 0: create it under an id that is known even without an answer."""
        logical_id = identity.partition("/")[2]
        body = orjson.dumps(referral(logical_id, logical_id, version + 1))
        headers = (*JSON_BODY, ("If-Match", f'W/"{version}"')) if version else JSON_BODY
        self.ledger.tried[identity] = version + 1
        self.ledger.counts["puts"] += 1
        self.certain.pop(identity, None)
        response = await connection.send(request_bytes("PUT", f"/fhir/{identity}", body, headers))
        if response.status in (200, 201):
            told = response.header(b"etag")
            if told != b'w/"%d"' % (version + 1):
                self.ledger.fault(f"{identity}: version {version + 1} was answered with {told!r}")
            self.ledger.acknowledged[identity] = version + 1
            self.ledger.counts["puts acknowledged"] += 1
            self.certain[identity] = version + 1
        else:
            self.refused(identity, version, response.status, response.body)

    def refused(self, identity: str, version: int, status: int, body: bytes) -> None:
        # A busy server may say 503; nothing else is expected, for nobody else writes this resource.
        self.ledger.counts[f"puts refused {status}"] += 1
        if status != 503:
            self.ledger.fault(f"{identity}: {status} {_shown(body)}")
        self.ledger.tried[identity] = version
        if version:
            self.certain[identity] = version

    async def post(self, connection: Connection) -> None:
        """Create under an id of the server's."""
        mark = self.mark()
        await self._create(connection, "/ServiceRequest", mark, referral(None, mark, 1), PARTS[:1])

    async def transact(self, connection: Connection) -> None:
        """Create four resources in a transaction."""
        mark = self.mark()
        await self._create(connection, "", mark, bundle(mark), PARTS)

    async def _create(
        self, connection: Connection, path: str, mark: str, body: Json, kinds: tuple[str, ...]
    ) -> None:
        creation = self.ledger.creations[mark] = Creation(kinds)
        name = "transactions" if len(kinds) > 1 else "creates"
        self.ledger.counts[name] += 1
        wire = request_bytes("POST", "/fhir" + path, orjson.dumps(body), JSON_BODY)
        response = await connection.send(wire)
        if response.status in (200, 201):
            creation.state = "acknowledged"
            self.ledger.counts[f"{name} acknowledged"] += 1
        else:
            creation.state = "refused"
            self.ledger.counts[f"{name} refused {response.status}"] += 1
            if response.status != 503:
                self.ledger.fault(f"{name} {mark}: {response.status} {_shown(response.body)}")


def _shown(body: bytes) -> str:
    return body[:300].decode(errors="replace")
