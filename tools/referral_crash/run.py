"""One run: act, kill -9, start again, look at every referral, send what was not answered again, go on."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from bench.client import JSON_BODY, Connection, request_bytes
from tools.crash_test.ledger import Ledger
from tools.crash_test.run import Plan, check_store, start, write_until_killed
from tools.crash_test.writer import act_until_killed
from tools.referral_crash.journeys import JOURNEYS, Referral, Request, background
from tools.referral_crash.picture import Picture, picture
from tools.serving import ServerProcess

Pictures = dict[str, list[Picture]]
_READERS = 4


@dataclass(slots=True)
class Case:
    """A referral on its journey. done: acts that were acknowledged; open: whether the next one was sent already."""

    journey: str
    referral: Referral
    done: int = 0
    open: bool = False

    @property
    def over(self) -> bool:
        """Whether every act is done."""
        return self.done == len(JOURNEYS[self.journey])

    async def act(self, connection: Connection) -> tuple[int, bytes]:
        """Send the next act under its key; the status and the body of the answer."""
        wanted = JOURNEYS[self.journey][self.done](self.referral)
        self.open = True
        status, body = await _send(connection, wanted, f"{self.referral.logical_id}-{self.done}")
        if status in (200, 201):
            self.done, self.open = self.done + 1, False
        return status, body


async def _send(connection: Connection, wanted: Request, key: str) -> tuple[int, bytes]:
    headers = (*JSON_BODY, ("Idempotency-Key", key))
    path = f"/fhir/{wanted.path}".rstrip("/")
    wire = request_bytes(wanted.method, path, orjson.dumps(wanted.body), headers)
    answer = await connection.send(wire)
    return answer.status, answer.body


class Clerk:
    """One client; what the server did not answer before it died, it sends again first."""

    def __init__(self, number: int, seed: int, ledger: Ledger) -> None:
        self.number = number
        self.random = random.Random(f"{seed}/{number}")
        self.ledger = ledger
        self.cases: list[Case] = []

    async def write(self, port: int) -> None:
        """Act until the connection breaks."""
        await act_until_killed(port, self._one)

    async def _one(self, connection: Connection) -> None:
        if not self.cases or self.cases[-1].over:
            number = len(self.cases)
            named = Referral(f"c{self.number}-{number}", self.number * 5000 + number + 100)
            self.cases.append(Case(self.random.choice(list(JOURNEYS)), named))
        case = self.cases[-1]
        self.ledger.counts["acts sent again" if case.open else "acts sent"] += 1
        name, number = case.journey, case.done
        status, body = await case.act(connection)
        if status in (200, 201):
            self.ledger.counts["acts acknowledged"] += 1
        else:
            # Nobody else writes about this referral, so that nothing but a busy server refuses.
            self.ledger.counts[f"acts refused {status}"] += 1
            if status != 503:
                told = body[:300].decode(errors="replace")
                self.ledger.fault(f"{name}, act {number}: {status} {told}")


async def learn(port: int) -> Pictures:
    """What each journey looks like before and after each act, when nothing goes wrong."""
    connection = await Connection.open(port)
    with contextlib.closing(connection):
        status, body = await _send(connection, background(), "background")
        assert status == 200, body
        found: Pictures = {}
        for number, name in enumerate(JOURNEYS):
            case = Case(name, Referral(f"model-{number}", number))
            found[name] = [await picture(connection, case.referral.logical_id)]
            while not case.over:
                status, body = await case.act(connection)
                assert status in (200, 201), (name, case.done, body)
                found[name].append(await picture(connection, case.referral.logical_id))
                assert found[name][-1] != found[name][-2], (name, case.done, "changes nothing")
    return found


class Inspector:
    """Compares every referral with the picture of its journey."""

    def __init__(self, pictures: Pictures, clerks: Sequence[Clerk], ledger: Ledger) -> None:
        self.pictures = pictures
        self.clerks = clerks
        self.ledger = ledger
        self.settled: set[str] = set()

    async def inspect(self, port: int, *, everything: bool = False) -> None:
        """Look at those that were not over at the last look, or at all."""
        queue = iter(
            [
                case
                for clerk in self.clerks
                for case in clerk.cases
                if everything or case.referral.logical_id not in self.settled
            ]
        )
        async with asyncio.TaskGroup() as group:
            for _ in range(_READERS):
                group.create_task(self._run(port, queue))

    async def _run(self, port: int, queue: Iterator[Case]) -> None:
        connection = await Connection.open(port)
        with contextlib.closing(connection):
            for case in queue:
                self._compare(case, await picture(connection, case.referral.logical_id))

    def _compare(self, case: Case, seen: Picture) -> None:
        known = self.pictures[case.journey]
        if case.open and seen == known[case.done + 1]:
            self.ledger.counts["acts that happened without an answer"] += 1
        elif seen != known[case.done]:
            after = f"{case.journey}, after {case.done} acts" + (" and one unknown" * case.open)
            self.ledger.fault(f"{after}: {case.referral.logical_id} is {seen}")
        elif case.open:
            self.ledger.counts["acts that did not happen"] += 1
        if case.over:
            self.settled.add(case.referral.logical_id)


def run(plan: Plan) -> Ledger:
    """Kill and look so many times."""
    ledger = Ledger()
    clerks = [Clerk(number, plan.seed, ledger) for number in range(plan.writers)]
    chance = random.Random(plan.seed)
    server = ServerProcess(plan.database, workers=plan.workers)
    try:
        start(server)
        inspector = Inspector(asyncio.run(learn(server.port)), clerks, ledger)
        for _ in range(plan.kills):
            asyncio.run(write_until_killed(server, clerks, chance.uniform(0.2, plan.longest)))
            ledger.counts["kills"] += 1
            start(server)
            asyncio.run(inspector.inspect(server.port))
        asyncio.run(inspector.inspect(server.port, everything=True))
        ledger.counts["referrals"] = sum(len(clerk.cases) for clerk in clerks)
    finally:
        server.stop()
    check_store(plan.database, ledger)
    return ledger
