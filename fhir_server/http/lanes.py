"""Where a call runs: point reads on the event loop, searches in a few threads, writes in the store's lane."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import get_args

from fhir_server.interactions import call as calls
from fhir_server.interactions.call import Call, Context, Result
from fhir_server.interactions.perform import changes, execute, look, perform, prepare
from fhir_server.store.contract import Store

_POINT_READS = (calls.Read, calls.VersionRead, calls.Capabilities)
_SMALL_WRITES = get_args(calls.WriteCall)


class Lanes:
    """Runs calls for the asynchronous edge; the core itself is synchronous."""

    def __init__(self, store: Store, *, threads: int, inline_reads: bool) -> None:
        self.store = store
        self.inline_reads = inline_reads
        self.threads = ThreadPoolExecutor(threads, "search")

    async def run(self, call: Call, context: Context, *, with_body: bool) -> Result:
        """The result of a call; raises FhirError."""
        if isinstance(call, _POINT_READS) and self.inline_reads:
            # A point read takes less time than handing it to a thread.
            with self.store.read() as transaction:
                return look(call, context, transaction)
        if isinstance(call, _SMALL_WRITES) or (
            isinstance(call, calls.Operation) and changes(call, context)
        ):
            prepared = prepare(call, context)
            work = self.store.submit(partial(perform, prepared, context, with_body=with_body))
            return await asyncio.wrap_future(work)
        loop = asyncio.get_running_loop()
        work_here = partial(execute, call, context, self.store, with_body=with_body)
        return await loop.run_in_executor(self.threads, work_here)

    def close(self) -> None:
        """Let running calls end."""
        self.threads.shutdown(wait=True)
