"""An operation that says that it is brief runs where a read or a write of that length does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from fhir_server.http.lanes import Lanes
from fhir_server.interactions.call import Context, Operation, Policy, Result
from fhir_server.interactions.operation import Level, Operations
from fhir_server.store.contract import ReadTransaction, Store
from fhir_server.store.promise import Promise


@dataclass(frozen=True)
class Offered:
    code: str
    affects_state: bool
    brief: bool
    definition: str = ""
    levels: frozenset[Level] = frozenset({"system"})
    resource_types: frozenset[str] = frozenset()

    def answer(self, call: Operation, context: Context, transaction: ReadTransaction) -> Result:
        del call, context, transaction
        return Result(200)


@dataclass
class Recording:
    """A store that tells how it was used."""

    used: list[str] = field(default_factory=list)

    @contextmanager
    def read(self, budget: float | None = None) -> Iterator[None]:
        self.used.append("read in a thread" if budget is None else "read on the loop")
        yield None

    def submit(self, work: Any, soon: Any = None) -> Promise[Result]:
        del work
        self.used.append("written by the thread" if soon is None else "written on the loop")
        done: Promise[Result] = Promise()
        done.set_result(Result(200))
        return done

    def write(self, work: Any) -> Result:
        return self.submit(work).result()


@pytest.mark.parametrize(
    ("affects_state", "brief", "used"),
    [
        (False, True, "read on the loop"),
        (False, False, "read in a thread"),
        (True, True, "written on the loop"),
        (True, False, "written by the thread"),
    ],
)
def test_brief_operations_run_on_the_loop(affects_state: bool, brief: bool, used: str) -> None:
    store = Recording()
    offered = Offered("act", affects_state, brief)
    context = Context(Policy(), lambda: 0, lambda: "x", operations=Operations((offered,)))
    lanes = Lanes(cast("Store", store), threads=1, inline_reads=True)
    call = Operation("act", "POST", None, None, (), None)
    try:
        result = asyncio.run(lanes.run(call, context, with_body=True))
    finally:
        lanes.close()
    assert result.status == 200
    assert store.used == [used]
