"""What the HTTP protocol does before and after the FHIR endpoint: bounds in time (RFC 7230 6.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
import uvicorn

from fhir_server.http import protocol
from tools.serving import free_port

Conversation = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def refuse(scope, receive, send):
    """An application that answers 413 at once, whatever is still to come."""
    headers = [(b"content-length", b"0")]
    await send({"type": "http.response.start", "status": 413, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


def converse(conversation: Conversation, application=refuse) -> None:
    """Have a conversation with a real server of that application."""

    async def run() -> None:
        port = free_port()
        configuration = uvicorn.Config(
            application,
            port=port,
            http=protocol.BoundedHttpToolsProtocol,
            lifespan="off",
            log_config=None,
        )
        server = uvicorn.Server(configuration)
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.005)
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            async with asyncio.timeout(10):
                await conversation(reader, writer)
            writer.close()
        finally:
            server.should_exit = True
            await serving

    asyncio.run(run())


@pytest.mark.rule(17, "http#Status-Codes")
def test_a_refused_body_that_does_not_end_closes_the_connection(monkeypatch):
    monkeypatch.setattr(protocol, "DRAIN_SECONDS", 0.2)

    async def conversation(reader, writer):
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b" 413 " in await reader.readline()
        while True:
            writer.write(b"5\r\nabcde\r\n")
            try:
                await writer.drain()
            except ConnectionError:
                return
            await asyncio.sleep(0.01)

    converse(conversation)


@pytest.mark.rule(17, "http#Status-Codes")
def test_a_head_that_does_not_end_closes_the_connection(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)

    async def conversation(reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: ")
        assert await reader.read() == b""

    converse(conversation)


@pytest.mark.rule(17, "http#Status-Codes")
def test_a_connection_that_says_nothing_is_closed(monkeypatch):
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.2)

    async def conversation(reader, writer):
        assert await reader.read() == b""

    converse(conversation)


def answering(*headers: tuple[bytes, bytes], chunks: tuple[bytes, ...] = (b"whole",)):
    """An application that answers 200 with those headers and chunks."""

    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": list(headers)})
        for place, chunk in enumerate(chunks, 1):
            more = place < len(chunks)
            await send({"type": "http.response.body", "body": chunk, "more_body": more})

    return application


LENGTH = (b"content-length", b"5")


@pytest.fixture
def packets(monkeypatch):
    """What the server writes, each time that it does."""
    written = []
    made = protocol.BoundedHttpToolsProtocol.connection_made

    class Transport:
        def __init__(self, transport):
            self.transport = transport

        def __getattr__(self, name):
            return getattr(self.transport, name)

        def write(self, data):
            written.append(bytes(data))
            self.transport.write(data)

    monkeypatch.setattr(
        protocol.BoundedHttpToolsProtocol,
        "connection_made",
        lambda self, transport: made(self, Transport(transport)),
    )
    return written


async def ask(
    reader, writer, head: bytes = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
):
    writer.write(head)
    return await reader.read()


def test_a_whole_answer_is_one_packet(packets):
    async def conversation(reader, writer):
        answer = await ask(reader, writer)
        assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert answer.endswith(b"\r\n\r\nwhole")
        assert packets == [answer]

    converse(conversation, answering(LENGTH))


def test_a_list_goes_out_chunk_by_chunk(packets):
    async def conversation(reader, writer):
        answer = await ask(reader, writer)
        assert answer.endswith(b"\r\n\r\n3\r\none\r\n3\r\ntwo\r\n0\r\n\r\n")
        assert len(packets) > 2

    converse(conversation, answering(chunks=(b"one", b"two")))


def test_answers_to_requests_that_come_together_keep_their_order():
    async def conversation(reader, writer):
        first = b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
        answer = await ask(
            reader, writer, first + first.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
        )
        assert answer.count(b"HTTP/1.1 200 OK") == 2
        assert answer.count(b"connection: close") == 1

    converse(conversation, answering(LENGTH))


def test_a_head_request_gets_the_head_alone():
    async def conversation(reader, writer):
        answer = await ask(reader, writer, b"HEAD / HTTP/1.0\r\n\r\n")
        assert b"content-length: 5" in answer
        assert answer.endswith(b"\r\n\r\n")

    converse(conversation, answering(LENGTH))


def test_a_header_with_a_line_end_is_not_sent():
    async def conversation(reader, writer):
        assert b"injected" not in await ask(reader, writer)

    converse(conversation, answering(LENGTH, (b"etag", b"1\r\ninjected: 1")))


def test_a_head_without_a_body_that_fails_closes_the_connection():
    async def application(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [LENGTH]})
        raise ValueError

    async def conversation(reader, writer):
        assert await ask(reader, writer) == b""

    converse(conversation, application)
