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


def converse(conversation: Conversation) -> None:
    """Have a conversation with a real server of that application."""

    async def run() -> None:
        port = free_port()
        configuration = uvicorn.Config(
            refuse,
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
