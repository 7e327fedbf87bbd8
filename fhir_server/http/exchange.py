"""One HTTP exchange over ASGI: what came in, read within limits, and the answer going out.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, MutableMapping
from itertools import count
from typing import Any

from fhir_server.spec import errors

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAXIMUM_HEADERS = 200
MAXIMUM_HEADER_BYTES = 32_768
MAXIMUM_QUERY = 65_536
_BODILESS = (204, 304)
_REQUEST_ID = re.compile(r"[A-Za-z0-9\-._]{1,64}")


_PROCESS = secrets.token_hex(8)
_NUMBERS = count(1)


def _request_id() -> str:
    """Unique among all processes: this one's name and a number."""
    return f"{_PROCESS}-{next(_NUMBERS)}"


class Exchange:
    """The request's parts, decoded once, and the response headers that every answer carries."""

    __slots__ = ("headers", "method", "path", "query", "receive", "request_id", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, prefix: int) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        raw: bytes = scope.get("raw_path") or scope["path"].encode()
        self.path = raw.decode("latin-1").partition("?")[0][prefix:].removeprefix("/")
        self.query: bytes = scope["query_string"]
        self.headers: dict[bytes, bytes] = {}
        for name, value in scope["headers"]:
            known = self.headers.get(name)
            self.headers[name] = value if known is None else known + b", " + value
        sent = self.header(b"x-request-id")
        self.request_id = sent if sent and _REQUEST_ID.fullmatch(sent) else _request_id()

    def header(self, name: bytes) -> str | None:
        """A header's value, or None."""
        value = self.headers.get(name)
        return None if value is None else value.decode("latin-1")

    def check_limits(self) -> None:
        """FhirError 400, 414 or 431 for a head that no client needs to send."""
        listed = self.scope["headers"]
        if len(listed) > MAXIMUM_HEADERS:
            raise _refused(
                431, f"There are {len(listed)} headers; at most {MAXIMUM_HEADERS} are read"
            )
        if sum(len(name) + len(value) for name, value in listed) > MAXIMUM_HEADER_BYTES:
            raise _refused(431, f"The headers are longer than {MAXIMUM_HEADER_BYTES} bytes")
        if len(self.query) + len(self.path) > MAXIMUM_QUERY:
            raise _refused(
                414, f"The URL is longer than {MAXIMUM_QUERY} bytes; search by POST _search"
            )
        if b"host" not in self.headers:
            raise errors.required("The Host header is missing")

    async def body(self, limit: int, timeout: float) -> bytes:
        """The whole body; FhirError 413 beyond the limit, 408 when it takes too long."""
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:18]) > limit:
            raise errors.too_large(
                f"The body has {declared[:18]} bytes; at most {limit} are allowed"
            )
        message = await self.receive()
        chunk: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return self._within(chunk, limit)
        chunks, size = [chunk], len(chunk)
        try:
            async with asyncio.timeout(timeout):
                while message.get("more_body"):
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise errors.invalid("The connection closed before the body was whole")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise errors.too_large(f"The body is longer than {limit} bytes")
        except TimeoutError:
            raise _refused(
                408, f"The body took longer than {timeout:g} seconds to arrive"
            ) from None
        return b"".join(chunks)

    @staticmethod
    def _within(body: bytes, limit: int) -> bytes:
        if len(body) > limit:
            raise errors.too_large(f"The body is longer than {limit} bytes")
        return body

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send the response; HEAD gets the same head without the body."""
        if status not in _BODILESS:
            headers.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if self.method == "HEAD" else body
        await self.send({"type": "http.response.body", "body": shown})


def _refused(status: int, diagnostics: str) -> errors.FhirError:
    code = "timeout" if status == 408 else "too-long"
    return errors.FhirError(status, (errors.Issue("error", code, diagnostics),))
