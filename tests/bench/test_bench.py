"""The benchmark measures good answers only, and counts the others."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from bench.client import BrokenExchange, Connection, request_bytes
from bench.measure import Measurement, Request, Round, Script, Workload, measure
from bench.report import Facts, report

Answer = Callable[[bytes], list[bytes]]


@asynccontextmanager
async def server(answer: Answer, *, close_after: bool = False) -> AsyncIterator[int]:
    """A port where every request gets the chunks that answer gives for it."""
    writers: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        with suppress(ConnectionError):
            while head := await reader.read(65536):
                for chunk in answer(head):
                    writer.write(chunk)
                    await writer.drain()
                    await asyncio.sleep(0)
                if close_after:
                    break
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        for writer in writers:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


def http(body: bytes, status: bytes = b"200 OK", head: bytes = b'ETag: W/"3"\r\n') -> bytes:
    return b"HTTP/1.1 " + status + b"\r\n" + head + b"Content-Length: %d\r\n\r\n" % len(body) + body


def ask(answer: Answer, request: bytes = request_bytes("GET", "/")) -> object:
    async def once() -> object:
        async with server(answer) as port:
            connection = await Connection.open(port)
            try:
                return await connection.send(request)
            finally:
                connection.close()

    return asyncio.run(once())


@pytest.mark.parametrize("size", [1, 7, 40, 10_000])
def test_an_answer_is_read_however_it_is_cut(size: int) -> None:
    whole = http(b"x" * 300)
    response = ask(lambda _: [whole[at : at + size] for at in range(0, len(whole), size)])
    assert (response.status, response.body) == (200, b"x" * 300)
    assert response.header(b"etag") == b'w/"3"'
    assert response.header(b"location") is None


def test_204_has_no_body() -> None:
    assert ask(lambda _: [b"HTTP/1.1 204 No Content\r\n\r\n"]).status == 204


def test_an_answer_without_length_breaks_the_exchange() -> None:
    with pytest.raises(BrokenExchange, match="Content-Length"):
        ask(lambda _: [b"HTTP/1.1 200 OK\r\n\r\n"])


def test_the_end_of_the_connection_breaks_the_exchange() -> None:
    async def cut() -> None:
        part = b"HTTP/1.1 200 OK\r\nContent-Len"
        async with server(lambda _: [part], close_after=True) as port:
            connection = await Connection.open(port)
            for _ in range(2):
                with pytest.raises(BrokenExchange):
                    await connection.send(request_bytes("GET", "/"))

    asyncio.run(cut())


def measured(answer: Answer, request: Request) -> Measurement:
    def script(_: int) -> Script:
        while True:
            yield request

    async def run() -> Measurement:
        async with server(answer) as port:
            workload = Workload("w", script)
            return await measure(
                port, workload, seconds=0.05, concurrency=2, rounds=2, usage=lambda: (0.0, 0.0)
            )

    return asyncio.run(run())


WANTED = Request(request_bytes("GET", "/"), 200, (b"searchset", b"include"))


def test_good_answers_are_timed() -> None:
    result = measured(lambda _: [http(b"searchset include")], WANTED)
    assert result.errors == 0
    assert len(result.rounds) == 2
    assert all(item.rate > 10 for item in result.rounds)
    assert 0 < result.percentile(0.5) <= result.percentile(0.99)


@pytest.mark.parametrize(
    "answer", [http(b"searchset include", b"500 Oh"), http(b"searchset"), http(b"")]
)
def test_another_status_or_content_is_an_error_and_not_a_figure(answer: bytes) -> None:
    result = measured(lambda _: [answer], WANTED)
    assert result.errors > 0
    assert all(item.latencies == () for item in result.rounds)
    assert result.first_error


def test_a_script_is_told_whether_it_was_answered_well() -> None:
    told: list[bool] = []

    def script(_: int) -> Script:
        while True:
            told.append((yield WANTED))

    async def run() -> None:
        answers = iter([http(b"searchset include"), http(b"searchset")] * 100_000)
        async with server(lambda _: [next(answers)]) as port:
            await measure(
                port,
                Workload("w", script),
                seconds=0.05,
                concurrency=1,
                rounds=1,
                usage=lambda: (0.0, 0.0),
            )

    asyncio.run(run())
    assert told[:4] == [True, False, True, False]


def test_percentiles_are_of_all_rounds_together() -> None:
    rounds = tuple(
        Round(1.0, tuple(n / 1000 for n in part), 0, "", 0.5, 0.0)
        for part in (range(1, 51), range(51, 101))
    )
    result = Measurement("w", rounds)
    assert [result.percentile(share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
    assert result.median(lambda item: item.rate) == 50
    assert result.rounds[0].server_cost == 10_000


def test_the_report_tells_errors() -> None:
    good = Round(1.0, (0.001, 0.002), 0, "", 0.0002, 0.0001)
    bad = Round(1.0, (), 3, "500 no", 0.0, 0.0)
    facts = Facts("sqlite", 1, 32, 1, 3.0, 100, 1000, 4000, 2.0, 0.5, 10**8, 2 * 10**8)
    table = report(facts, Measurement("bare", (good,)), [Measurement("read", (bad,))])
    assert "- read: 500 no" in table
    assert "| 50 resources/s |" in table
    assert "40 bytes (4.0 x its JSON)" in table
