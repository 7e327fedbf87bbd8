"""Where a call runs: short reads on the event loop, long ones in a few threads, writes in the store's lane."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar, get_args

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Call, Context, Result
from fhir_server.interactions.operation import is_brief
from fhir_server.interactions.perform import changes, execute, look, perform, prepare
from fhir_server.store.contract import OverBudget, ReadTransaction, Soon, Store
from fhir_server.store.promise import Promise

T = TypeVar("T")

_WRITES = get_args(calls.WriteCall)
_READS = get_args(calls.ReadCall)
_SMALL_BUNDLE = 20
# A read that takes longer than this on the event loop is given up and done again in a thread.
_INLINE_SECONDS = 0.003


class Arrivals:
    """Brings what the store's threads have done to the event loop, which is woken once for all that is there.

    A group commit ends many works at a time: waking the loop for each, as asyncio.wrap_future does, costs more than
    the rest of the way.
    """

    def __init__(self) -> None:
        self._arrived: deque[tuple[Promise[Result], asyncio.Future[Result]]] = deque()
        self._called = False

    async def of(self, done: Promise[Result]) -> Result:
        """The result; a work that has not begun is taken back when the caller goes away."""
        loop = asyncio.get_running_loop()
        awaited: asyncio.Future[Result] = loop.create_future()

        def arrive(done: Promise[Result]) -> None:
            self._arrived.append((done, awaited))
            # Looked at after the append, as _deliver forgets it before it looks: nothing is left lying.
            if not self._called:
                self._called = True
                loop.call_soon_threadsafe(self._deliver)

        done.then(arrive)
        try:
            return await awaited
        except asyncio.CancelledError:
            done.cancel()
            raise

    def _deliver(self) -> None:
        self._called = False
        while self._arrived:
            done, awaited = self._arrived.popleft()
            if awaited.done():  # its caller has gone away
                continue
            error = done.exception()
            if error is None:
                awaited.set_result(done.result())
            else:
                awaited.set_exception(error)


class Lanes:
    """Runs calls for the asynchronous edge; the core itself is synchronous."""

    def __init__(self, store: Store, *, threads: int, inline_reads: bool) -> None:
        self.store = store
        self.inline_reads = inline_reads
        self.threads = ThreadPoolExecutor(threads, "lane")
        self.arrivals = Arrivals()

    async def run(self, call: Call, context: Context, *, with_body: bool) -> Result:
        """The result of a call; raises FhirError."""
        if isinstance(call, calls.Capabilities):
            return execute(call, context, self.store)
        if self.inline_reads and _is_read(call, context):
            # Most reads take less time than handing them to a thread.
            try:
                with self.store.read(_INLINE_SECONDS) as transaction:
                    return look(call, context, transaction)
            except OverBudget:
                pass
        elif isinstance(call, (*_WRITES, calls.Transaction)) or (
            isinstance(call, calls.Operation) and changes(call, context)
        ):
            return await self._write(call, context, with_body=with_body)
        work = partial(execute, call, context, self.store, with_body=with_body)
        return await asyncio.get_running_loop().run_in_executor(self.threads, work)

    async def look(self, work: Callable[[ReadTransaction], T]) -> T:
        """What work makes of a view of the store, on a thread."""

        def run() -> T:
            with self.store.read() as transaction:
                return work(transaction)

        return await asyncio.get_running_loop().run_in_executor(self.threads, run)

    async def _write(self, call: Call, context: Context, *, with_body: bool) -> Result:
        """Prepare here (a large Bundle in a thread), then wait for the store without holding a thread."""
        loop = asyncio.get_running_loop()
        entries = call.bundle.get("entry") if isinstance(call, calls.Transaction) else None
        soon: Soon | None = None
        if isinstance(entries, list) and len(entries) > _SMALL_BUNDLE:
            prepared = await loop.run_in_executor(self.threads, prepare, call, context)
        else:
            prepared = prepare(call, context)
            if not isinstance(call, calls.Operation) or is_brief(call, context):
                soon = partial(_after_answers, loop)
        work = partial(perform, prepared, context, with_body=with_body)
        return await self.arrivals.of(self.store.submit(work, soon))

    def close(self) -> None:
        """Let running calls end."""
        self.threads.shutdown(wait=True)


def _after_answers(loop: asyncio.AbstractEventLoop, turn: Callable[[], None]) -> None:
    """Have a turn of the writer run when what has arrived is answered: those clients may want to be part of it."""
    loop.call_soon_threadsafe(lambda: loop.call_soon(turn))


def _is_read(call: Call, context: Context) -> bool:
    return isinstance(call, _READS) or (
        isinstance(call, calls.Operation) and not changes(call, context) and is_brief(call, context)
    )
