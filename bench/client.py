"""A lean HTTP/1.1 client, so that the load generator costs less than what it measures."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import cast

HEAD_END = b"\r\n\r\n"
JSON_BODY = (("Content-Type", "application/fhir+json"),)


class BrokenExchange(ConnectionError):
    """The connection ended, or the answer was not one that this client reads; what was asked may have happened."""


@dataclass(frozen=True, slots=True)
class Response:
    """An answer: its status, its head as sent (lower case) and its body."""

    status: int
    head: bytes
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """A header's value by its lower case name."""
        start = self.head.find(b"\r\n" + name + b":")
        if start < 0:
            return None
        start += len(name) + 3
        end = self.head.find(b"\r\n", start)
        return self.head[start : end if end >= 0 else None].strip()


def request_bytes(
    method: str, path: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()
) -> bytes:
    """A whole request as it goes over the wire; path includes the query."""
    lines = [f"{method} {path} HTTP/1.1", "Host: localhost", "Accept: application/fhir+json"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method in ("POST", "PUT", "PATCH"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + HEAD_END + body


class Connection(asyncio.Protocol):
    """One keep-alive connection that carries one exchange at a time."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.received = bytearray()
        self.expected = -1
        self.body_start = 0
        self.waiter: asyncio.Future[Response] | None = None

    @classmethod
    async def open(cls, port: int, host: str = "127.0.0.1") -> Connection:
        """Connect; raises OSError when nobody listens."""
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(cls, host, port)
        return connection

    async def send(self, request: bytes) -> Response:
        """The answer to one request; raises BrokenExchange when there is none."""
        if self.transport is None or self.transport.is_closing():
            raise BrokenExchange("The connection is closed")
        self.waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return await self.waiter

    def close(self) -> None:
        """Close it; an exchange under way breaks."""
        if self.transport is not None:
            self.transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do all of it without being subclasses.
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self.expected < 0:
            end = self.received.find(HEAD_END)
            if end < 0:
                return
            self.body_start = end + len(HEAD_END)
            length = _content_length(bytes(self.received[:end]).lower())
            if length is None:
                self._break("The answer has no Content-Length")
                return
            self.expected = self.body_start + length
        if len(self.received) >= self.expected:
            whole = bytes(self.received[: self.expected])
            del self.received[: self.expected]
            self.expected = -1
            head = whole[: self.body_start - len(HEAD_END)].lower()
            self._answer(Response(int(whole[9:12]), head, whole[self.body_start :]))

    def connection_lost(self, exc: Exception | None) -> None:
        self._break(f"The connection was lost: {exc}")

    def _answer(self, response: Response) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(response)

    def _break(self, reason: str) -> None:
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(BrokenExchange(reason))
        self.close()


def _content_length(head: bytes) -> int | None:
    if head[9:12] in (b"204", b"304"):
        return 0
    start = head.find(b"\r\ncontent-length:")
    if start < 0:
        return None
    end = head.find(b"\r\n", start + 2)
    return int(head[start + 17 : end if end >= 0 else None])
