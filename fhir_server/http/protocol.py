"""uvicorn's HTTP protocol with bounds: on a head's size and time, and on what follows after an early answer.

An answer that is whole goes out in one packet, where uvicorn writes its head and its body one after the other.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from fhir_server.http.exchange import WHOLE_BODY
from fhir_server.interactions.outcome import outcome
from fhir_server.spec.errors import Issue

HEAD_SECONDS = 10.0
HEAD_BYTES = 131_072
# A body that was refused is read and thrown away, so that its sender gets to see the answer; but not for ever.
DRAIN_SECONDS = 10.0
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")


class WholeAnswers(RequestResponseCycle):
    """Holds the head of an answer back until there is something of its body."""

    held: Any = None

    async def send(self, message: Any) -> None:
        """Send what the application says; what is not a whole answer as uvicorn does."""
        if not self.response_started:
            self.held = message
            self.response_started = True
            return
        head, self.held = self.held, None
        if head is None:
            await super().send(message)
            return
        packet = None if message.get("more_body") else self._packet(head, message)
        if packet is None or self.disconnected or self.flow.write_paused:
            self.response_started = False
            await super().send(head)
            await super().send(message)
            return
        self.transport.write(packet)
        self.response_complete = True
        self.message_event.set()
        if not self.keep_alive:
            self.transport.close()
        self.on_response()

    def _packet(self, head: Any, message: Any) -> bytes | None:
        """The whole answer; None when uvicorn has to look at its headers or to say where it ends."""
        headers = [*self.default_headers, *head["headers"]]
        names = [name for name, _ in headers]
        bounded = b"content-length" in names or head["status"] in (204, 304)
        if (
            not bounded
            or b"connection" in names
            or _CONTROL.search(b"".join([value for _, value in headers]))
        ):
            return None
        parts = [STATUS_LINE[head["status"]]]
        for name, value in headers:
            parts += (name, b": ", value, b"\r\n")
        if not self.keep_alive:
            parts.append(b"connection: close\r\n")
        body = b"" if self.scope["method"] == "HEAD" else message.get("body", b"")
        parts += (b"\r\n", body)
        return b"".join(parts)


class BoundedHttpToolsProtocol(HttpToolsProtocol):
    """Closes a connection whose head is too slow (slowloris) or too large, or whose refused body does not end."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None
        self._in_body = False
        self._drain_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn does
        """Give the first head its time."""
        super().connection_made(transport)
        self._head_timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._stop_timer()
        self._stop_draining()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Refuse a head that is too large."""
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and self.headers is not None:
                super().data_received(data)
                if self._in_head:
                    self.send_400_response("The head of the request is too large")
                return
        super().data_received(data)
        # Most heads come as one: only one that has not is timed.
        if self._in_head and self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_SECONDS, self._late)

    def on_message_begin(self) -> None:
        """A new head begins."""
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is whole; the body has a time of its own."""
        self._in_head = False
        self._in_body = True
        self._stop_timer()
        super().on_headers_complete()
        # Its task has been made, but has not begun.
        self.cycle.__class__ = WholeAnswers

    def on_message_complete(self) -> None:
        """The body is whole; if nobody has begun to read it, as most come as one, nobody has to wait for it."""
        self._in_body = False
        scope: Any = self.cycle.scope
        scope[WHOLE_BODY] = self.cycle.body
        self._stop_draining()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """An answer before the end of the body: give the rest some time to pass."""
        super().on_response_complete()
        if self._in_body and not self.transport.is_closing():
            self._drain_timer = self.loop.call_later(DRAIN_SECONDS, self.transport.close)

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP gets an OperationOutcome too."""
        body = orjson.dumps(outcome([Issue("error", "structure", msg)]))
        head = (
            b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/fhir+json;charset=utf-8\r\n"
            b"connection: close\r\ncontent-length: " + str(len(body)).encode() + b"\r\n\r\n"
        )
        self.transport.write(head + body)
        self.transport.close()

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _stop_draining(self) -> None:
        if self._drain_timer is not None:
            self._drain_timer.cancel()
            self._drain_timer = None

    def _late(self) -> None:
        self._head_timer = None
        if self._in_head and not self.transport.is_closing():
            self.transport.close()
