"""One HTTP exchange over ASGI: what came in, read within limits, and the answer going out.

https://hl7.org/fhir/R4/http.html#general
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, MutableMapping
from itertools import count
from typing import Any, NamedTuple

from fhir_server.spec import errors

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

MAXIMUM_HEADERS = 200
MAXIMUM_HEADER_BYTES = 32_768
MAXIMUM_URL = 60_000  # the HTTP parser reads 65,535
_BODILESS = (204, 304)
# Where the protocol leaves a body that has come with its head.
WHOLE_BODY = "fhir_server.body"
# A second one would be another request: which of the two was meant cannot be told (RFC 7230 3.2.2).
_ONCE = frozenset({
    b"authorization", b"content-length", b"content-type", b"host", b"if-modified-since", b"if-none-exist",
    b"x-provenance",
})  # fmt: skip
_ECHOED = re.compile(rb"[ -~]{1,256}")
_REQUEST_ID = re.compile(r"[A-Za-z0-9\-._]{1,64}")


_PROCESS = secrets.token_hex(8)
_NUMBERS = count(1)


def _request_id() -> str:
    """Unique among all processes: this one's name and a number."""
    return f"{_PROCESS}-{next(_NUMBERS)}"


class MediaTypes(NamedTuple):
    """Accept and Content-Type, as they were sent."""

    accept: str | None
    content_type: str | None


class Exchange:
    """The request's parts, decoded once, and the response headers that every answer carries."""

    __slots__ = ("headers", "method", "path", "query", "receive", "request_id", "scope", "send")

    def __init__(self, scope: Scope, receive: Receive, send: Send, prefix: int) -> None:
        self.scope = scope
        self.receive = receive
        self.send = send
        self.method: str = scope["method"]
        raw: bytes = scope["raw_path"]
        self.path = raw.decode("latin-1")[prefix:].removeprefix("/")
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

    def header_in_utf_8(self, name: bytes) -> str | None:
        """A header's value that is a query, or None; FhirError 400 when it is not UTF-8."""
        value = self.headers.get(name)
        return None if value is None else _utf_8(value, name.decode("latin-1").title())

    def media_types(self) -> MediaTypes:
        """What the client sends and takes."""
        return MediaTypes(self.header(b"accept"), self.header(b"content-type"))

    def request_ids(self) -> list[tuple[bytes, bytes]]:
        """The response headers that name this exchange; a caller's id that is not taken over comes back as well.

        https://hl7.org/fhir/R4/http.html#custom
        """
        named = [(b"x-request-id", self.request_id.encode())]
        sent = self.headers.get(b"x-request-id")
        if sent and sent != named[0][1] and _ECHOED.fullmatch(sent):
            named.append((b"x-correlation-id", sent))
        return named

    def check_limits(self) -> None:
        """FhirError 400, 414 or 431 for a head that no client needs to send."""
        listed = self.scope["headers"]
        if len(listed) > MAXIMUM_HEADERS:
            raise _refused(
                431, f"There are {len(listed)} headers; at most {MAXIMUM_HEADERS} are read"
            )
        if sum([len(name) + len(value) for name, value in listed]) > MAXIMUM_HEADER_BYTES:
            raise _refused(431, f"The headers are longer than {MAXIMUM_HEADER_BYTES} bytes")
        if len(self.query) + len(self.path) > MAXIMUM_URL:
            raise _refused(
                414, f"The URL is longer than {MAXIMUM_URL} bytes; search by POST _search"
            )
        if len(self.headers) < len(listed):
            self._check_repeated()
        if b"host" not in self.headers and self.scope["http_version"] != "1.0":
            raise errors.required("The Host header is missing")

    def _check_repeated(self) -> None:
        seen: set[bytes] = set()
        for name, _ in self.scope["headers"]:
            if name in _ONCE and name in seen:
                raise errors.invalid(f"The header {name.decode('latin-1')} is there twice")
            seen.add(name)

    async def body(self, limit: int, timeout: float) -> bytes:
        """The whole body; FhirError 413 beyond the limit, 408 when it takes too long."""
        declared = self.header(b"content-length")
        if declared is not None and declared.isdigit() and int(declared[:18]) > limit:
            raise errors.too_large(
                f"The body has {declared[:18]} bytes; at most {limit} are allowed"
            )
        whole = self.scope.get(WHOLE_BODY)
        if whole is not None:
            if len(whole) > limit:
                raise _longer(limit)
            return bytes(whole)
        chunks: list[bytes] = []
        size = 0
        more = True
        try:
            async with asyncio.timeout(timeout):
                while more:
                    message = await self.receive()
                    if message["type"] == "http.disconnect":
                        raise errors.invalid("The connection closed before the body was whole")
                    chunks.append(message.get("body", b""))
                    size += len(chunks[-1])
                    if size > limit:
                        raise _longer(limit)
                    more = message.get("more_body", False)
        except TimeoutError:
            raise _refused(
                408,
                f"The body took longer than {timeout:g} seconds to arrive",
                {"Connection": "close"},
            ) from None
        return b"".join(chunks)

    async def has_body(self, timeout: float) -> bool:
        """Whether anything was sent after the head."""
        if (
            self.header(b"content-length") in (None, "0")
            and b"transfer-encoding" not in self.headers
        ):
            return False
        return bool(await self.body(MAXIMUM_HEADER_BYTES, timeout))

    async def answer(self, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send the response; HEAD gets the same head without the body."""
        if status not in _BODILESS:
            headers.append((b"content-length", str(len(body)).encode()))
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        shown = b"" if self.method == "HEAD" else body
        await self.send({"type": "http.response.body", "body": shown})

    async def stream(
        self, status: int, headers: list[tuple[bytes, bytes]], chunks: AsyncIterator[bytes]
    ) -> bool:
        """Send the response as it is made; False when the client went away before its end.

        When chunks raises, what was sent has no end, and the protocol closes the connection.
        """
        await self.send({"type": "http.response.start", "status": status, "headers": headers})
        gone = asyncio.create_task(self._gone())
        try:
            async for chunk in chunks:
                if gone.done():
                    return False
                if chunk:
                    await self.send(
                        {"type": "http.response.body", "body": chunk, "more_body": True}
                    )
        finally:
            gone.cancel()
        await self.send({"type": "http.response.body", "body": b""})
        return True

    async def _gone(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass


def _longer(limit: int) -> errors.FhirError:
    return errors.too_large(f"The body is longer than {limit} bytes")


def query_text(query: bytes) -> str:
    """The query as it was sent, still percent-encoded; FhirError 400 when it is not UTF-8."""
    return _utf_8(query, "The query")


def _utf_8(value: bytes, name: str) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise errors.invalid(f"{name} is not UTF-8; percent-encode it") from None


def _refused(
    status: int, diagnostics: str, headers: Mapping[str, str] | None = None
) -> errors.FhirError:
    code = "timeout" if status == 408 else "too-long"
    return errors.FhirError(status, (errors.Issue("error", code, diagnostics),), headers or {})
