"""Asks the PAS about what was booked while the client waits, and goes on asking until it has answered.

Nothing of it holds a transaction or a thread while the PAS thinks. What is waited for is found in the store, so that no
end of a process loses it. docs/pas.md, https://hl7.org/fhir/R4/appointment.html#statuses
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

from fhir_server.booking import names, queries, statuses
from fhir_server.interactions.call import Batch, Call, Context, Operation, Result
from fhir_server.interactions.operation import offered
from fhir_server.interactions.rules import Rules
from fhir_server.pas import answers, turns
from fhir_server.pas.asking import Answer, Asking
from fhir_server.pas.settling import settle
from fhir_server.pas.turns import Later, Turn
from fhir_server.search.expression import Position, Query, Token
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse_stored
from fhir_server.store.contract import Hit, ReadTransaction, Store, Transaction

T = TypeVar("T")
LOG = logging.getLogger("fhir_server.pas")
_STEP_SECONDS = 0.5
_LOOK_SECONDS = 0.2
# What is left of a turn, after the PAS has had its time, for writing its answer down.
_MARGIN_SECONDS = 2.0
_PAGE = 100
_REMINDED_AT_ONCE = 8


@dataclass
class Gateway:
    """One process's part of it.

    rules: those of the server, but asking no PAS. most: how many clients may wait at once; others are told at once that
    the PAS has not answered. running: what is being asked about; resting: id -> when it may be asked about again.
    """

    asking: Asking
    store: Store
    context: Context
    rules: Rules
    threads: Executor
    most: int
    clock: Callable[[], float] = time.monotonic
    waiting: int = 0
    running: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    resting: dict[str, float] = field(default_factory=dict)
    after: Position | None = None

    def __post_init__(self) -> None:
        self._settling = replace(self.context, rules=self.rules)

    async def complete(self, call: Call, result: Result, context: Context) -> Result:
        """The answer to a change, once the PAS has answered about what was booked by it.

        Raises FhirError 409, 502 or 504 when not all of it is booked; what the change has stored stays.
        """
        noted = context.afterwards or answers.waiting(result)
        if not noted:
            return result
        items = sorted(logical_id for _, logical_id in noted)
        told = await asyncio.gather(*map(self._answer, items))
        found = {item: answer for item, answer in zip(items, told, strict=True) if answer}
        failed = {item: answer for item, answer in found.items() if answer != "confirmed"}
        if failed and not isinstance(call, Batch):
            raise _shaped(answers.refusal(failed, context), call, context)
        shown = await self._look(partial(answers.as_it_is, result, call, found, context))
        if failed and isinstance(call, Batch):
            return answers.of_batch(shown, call, failed, context)
        return shown

    async def _answer(self, logical_id: str) -> Answer | None:
        """What the PAS says about an appointment; None: there is no such appointment."""
        if self.waiting >= self.most:
            return "silent"
        self.waiting += 1
        try:
            return await self._ask(logical_id)
        except FhirError as refusal:
            # It is stored, and asked about again later.
            LOG.warning("an answer of the PAS was not stored", extra={"status": refusal.status})
            return "silent"
        finally:
            self.waiting -= 1

    async def _ask(self, logical_id: str) -> Answer | None:
        until = self.clock() + self.asking.settings.timeout
        while True:
            turn = await self._turn(logical_id, waited_for=True)
            if turn is None:
                return await self._look(partial(_outcome, logical_id))
            if isinstance(turn, Turn):
                answer = await self._tell(turn)
                if not statuses.is_live(parse_stored(turn.version.body)):
                    return "refused"  # somebody has cancelled it meanwhile
                if answer is not None:
                    return answer
            elif self.clock() >= until:
                return "silent"
            else:
                await asyncio.sleep(_LOOK_SECONDS)

    async def _turn(self, logical_id: str, *, waited_for: bool) -> Turn | Later | None:
        seconds = self.asking.settings.timeout + _MARGIN_SECONDS

        def take(transaction: Transaction) -> Turn | Later | None:
            return turns.take(logical_id, seconds, transaction, waited_for=waited_for)

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self.threads, self.store.write, take)

    async def _tell(self, turn: Turn) -> Answer | None:
        """What the PAS has answered, written down; None when the appointment is another by now."""
        answer = await self.asking.tell(turn.version, self.context)
        work = partial(settle, turn, answer, self.store, self._settling)
        settled = await asyncio.get_running_loop().run_in_executor(self.threads, work)
        return answer if settled or answer in ("silent", "failed") else None

    async def _look(self, work: Callable[[ReadTransaction], T]) -> T:
        def run() -> T:
            with self.store.read() as transaction:
                return work(transaction)

        return await asyncio.get_running_loop().run_in_executor(self.threads, run)

    async def run(self) -> None:
        """Go on asking about what the PAS has not answered, as long as the server lives."""
        try:
            while True:
                await asyncio.sleep(_STEP_SECONDS)
                try:
                    await self._step()
                except FhirError:
                    continue  # the database is away or busy
                except Exception:
                    LOG.exception("asking the PAS again failed")
        finally:
            running = list(self.running.values())
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
            await self.asking.close()

    async def _step(self) -> None:
        """Begin to ask about some of what waits, a page further each time."""
        hits = await self._look(self._page)
        self.after = hits[-1].position if len(hits) == _PAGE else None
        now = self.clock()
        self.resting = {item: until for item, until in self.resting.items() if until > now}
        for hit in hits:
            item = hit.version.logical_id
            if len(self.running) >= _REMINDED_AT_ONCE:
                return
            if item not in self.running and item not in self.resting:
                task = asyncio.create_task(self._remind(item))
                self.running[item] = task

    def _page(self, transaction: ReadTransaction) -> list[Hit]:
        tag = (Token(names.CONFIRMATION, names.AWAITING),)
        where = queries.having("Appointment", "_tag", tag)
        return transaction.search(Query(("Appointment",), where, limit=_PAGE, after=self.after))

    async def _remind(self, logical_id: str) -> None:
        try:
            turn = await self._turn(logical_id, waited_for=False)
            if isinstance(turn, Turn):
                await self._tell(turn)
            elif turn is not None:
                self.resting[logical_id] = self.clock() + turn.seconds
        except FhirError as refusal:
            LOG.warning("an answer of the PAS was not stored", extra={"status": refusal.status})
        except Exception:
            LOG.exception("asking the PAS again failed")
        finally:
            del self.running[logical_id]


def _outcome(logical_id: str, transaction: ReadTransaction) -> Answer | None:
    """What somebody else has written down as the PAS's answer."""
    version = transaction.current("Appointment", logical_id)
    if version is None or version.deleted:
        return None
    return "confirmed" if statuses.is_live(parse_stored(version.body)) else "refused"


def _shaped(refusal: FhirError, call: Call, context: Context) -> FhirError:
    """As the operation shapes its own refusals."""
    if refusal.status == 409 and isinstance(call, Operation):
        shape = getattr(offered(call, context), "refused", None)
        return shape(refusal, context) if shape else refusal
    return refusal
