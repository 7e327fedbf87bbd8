"""The FHIR endpoint: one ASGI application for every path below the base (https://hl7.org/fhir/R4/http.html)."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any, Protocol

from fhir_server.http import binary, formats, listing
from fhir_server.http.callers import Callers
from fhir_server.http.cors import Cors
from fhir_server.http.exchange import (
    Exchange,
    Receive,
    Scope,
    Send,
)
from fhir_server.http.formats import Answer
from fhir_server.http.head import CONDITIONAL, READING, UNCONDITIONAL, Heads, answer_of, for_error
from fhir_server.http.lanes import Lanes
from fhir_server.http.listing import writer_of
from fhir_server.http.metrics import observe
from fhir_server.http.preferences import Preferences, read_preferences
from fhir_server.http.render import render_error, render_result
from fhir_server.interactions import call as calls
from fhir_server.interactions.call import (
    Call,
    Conditions,
    Context,
    Parameters,
    PatchDocument,
    Request,
    Result,
)
from fhir_server.interactions.contention import told
from fhir_server.interactions.grammar import check_address, parse_call, parse_query
from fhir_server.interactions.listing import Listing
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError, Unreadable
from fhir_server.spec.json_format import parse
from fhir_server.spec.xml_format import parse_xml
from fhir_server.validation.issues import refused

LOG = logging.getLogger("fhir_server.http")
_PREFIX = len("/fhir")
_WITH_BODY = ("POST", "PUT", "PATCH")
_CHANGING = (*_WITH_BODY, "DELETE")
_WHOLE = Preferences()


class Afterwards(Protocol):
    """What else has to happen once a change is durable, before it is answered."""

    async def complete(self, call: Call, result: Result, context: Context) -> Result:
        """The answer then; raises FhirError."""


class Endpoint:
    """ASGI application of the FHIR base."""

    def __init__(
        self,
        lanes: Lanes,
        context: Context,
        *,
        maximum_body: int,
        maximum_bundle: int,
        body_timeout: float,
        maximum_in_flight: int,
        maximum_listing: int,
        cors: Cors,
        callers: Callers,
        afterwards: Afterwards | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.lanes = lanes
        self.contexts = {
            handling: replace(context, handling=handling) for handling in ("strict", "lenient")
        }
        self.maximum_body = maximum_body
        self.maximum_bundle = maximum_bundle
        self.body_timeout = body_timeout
        self.maximum_in_flight = maximum_in_flight
        self.maximum_listing = maximum_listing
        self.in_flight = 0
        self.cors = cors
        self.callers = callers
        self.afterwards = afterwards
        self.clock = clock
        self.heads = Heads(context.operations)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every refusal is an OperationOutcome, every fault a 500 without details."""
        started = self.clock()
        exchange = Exchange(scope, receive, send, _PREFIX)
        headers = exchange.request_ids()
        headers += self.cors.headers(exchange)
        if self.in_flight >= self.maximum_in_flight:
            refusal = errors.unavailable(
                "The server is busy; try again after the time in Retry-After"
            )
            status, told = render_error(refusal, *for_error(exchange), headers)
            await exchange.answer(status, headers, told)
            observe("overload", status, 0.0)
            return
        self.in_flight += 1
        name = "unknown"
        body: bytes | AsyncIterator[bytes]
        try:
            status, body, name = await self._respond(exchange, headers)
        except FhirError as refusal:
            name = getattr(refusal, "interaction", name)
            status, body = render_error(refusal, *for_error(exchange), headers)
        except asyncio.CancelledError:
            raise
        except Exception:
            LOG.exception("fault", extra={"request_id": exchange.request_id})
            status, body = render_error(_fault(exchange), *for_error(exchange), headers)
        finally:
            self.in_flight -= 1
        if isinstance(body, bytes):
            await exchange.answer(status, headers, body)
        else:
            await self._stream(exchange, status, headers, body)
        spent = self.clock() - started
        observe(name, status, spent)
        if LOG.isEnabledFor(logging.INFO):
            LOG.info(
                "request",
                extra={
                    "request_id": exchange.request_id,
                    "method": exchange.method,
                    "interaction": name,
                    "status": status,
                    "milliseconds": round(spent * 1000, 2),
                },
            )

    async def _stream(
        self,
        exchange: Exchange,
        status: int,
        headers: list[tuple[bytes, bytes]],
        chunks: AsyncIterator[bytes],
    ) -> None:
        """Send a list while it is made; it counts as in flight until its end."""
        self.in_flight += 1
        try:
            await exchange.stream(status, headers, chunks)
        except FhirError as refusal:
            told = {"request_id": exchange.request_id, "status": refusal.status}
            LOG.warning("list broken off", extra=told)
        except Exception:
            LOG.exception("fault", extra={"request_id": exchange.request_id})
        finally:
            self.in_flight -= 1

    async def _respond(
        self, exchange: Exchange, headers: list[tuple[bytes, bytes]]
    ) -> tuple[int, bytes | AsyncIterator[bytes], str]:
        exchange.check_limits()
        self.callers.count(exchange)
        if exchange.method == "OPTIONS":
            headers.append((b"allow", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"))
            return 204, b"", "options"
        query, answer, raw_binary, pretty, asked = self.heads.head(exchange)
        preferences = read_preferences(exchange.header(b"prefer"))
        call = asked or parse_call(await self._request(exchange, query))
        if answer.format == "other" and isinstance(call, calls.Operation):
            call = call._replace(media_type=answer.media_type)
        context = self.contexts[preferences.handling]
        if self.callers.identification is not None:
            context = self.callers.known(context, call, exchange)
        if exchange.method in _CHANGING:
            context = self.callers.context(context, call, exchange, preferences)
            if self.afterwards is not None:
                context = replace(context, afterwards=set())
        name = type(call.change if isinstance(call, calls.Attributed) else call).__name__
        if answer.is_list:
            if isinstance(call, calls.Search):
                return await self._list(call, answer, context, exchange, headers)
            if not isinstance(call, calls.Operation):
                answer = answer_of(exchange.media_types(), query)
        try:
            result = await self.lanes.run(
                call, context, with_body=preferences.representation == "representation"
            )
            if self.afterwards is not None and context.afterwards is not None:
                result = await self.afterwards.complete(call, result, context)
            if raw_binary and isinstance(call, calls.Read | calls.VersionRead):
                status, body = binary.render(result, exchange, headers)
            else:
                status, body = render_result(
                    result, answer, _shown(call, preferences), pretty, context, headers
                )
        except FhirError as fault:
            refusal = told(fault, call, context)
            refusal.interaction = name  # type: ignore[attr-defined] # for the metrics only
            raise refusal from None
        return status, body, name

    async def _list(
        self,
        call: calls.Search,
        answer: Answer,
        context: Context,
        exchange: Exchange,
        headers: list[tuple[bytes, bytes]],
    ) -> tuple[int, bytes | AsyncIterator[bytes], str]:
        """A search as NDJSON or CSV: refused now if at all, told to its end afterwards."""
        found = await self.lanes.look(
            lambda transaction: Listing(call, context, self.maximum_listing, transaction)
        )
        writer = writer_of(answer, found)
        begun = await listing.page(found, writer, self.lanes)
        headers += listing.headings(answer, found)
        if found.done:
            return 200, begun, "Search"
        if exchange.method == "HEAD":
            return 200, listing.nothing(), "Search"
        return 200, listing.whole(begun, found, writer, self.lanes), "Search"

    async def _request(self, exchange: Exchange, query: Parameters) -> Request:
        method = exchange.method
        if method not in (*READING, *_WITH_BODY, "DELETE"):
            raise errors.method_not_allowed(
                f"{method[:16]} is not a method of the RESTful API",
                "GET, HEAD, POST, PUT, PATCH, DELETE",
            )
        conditions = UNCONDITIONAL
        if not CONDITIONAL.isdisjoint(exchange.headers):
            conditions = Conditions(
                exchange.header(b"if-match"),
                exchange.header(b"if-none-match"),
                exchange.header(b"if-modified-since"),
                exchange.header_in_utf_8(b"if-none-exist"),
            )
        request = Request(method, exchange.path, query, conditions)
        if method in READING:
            return request
        try:
            if method == "DELETE":
                return await self._without_body(request, exchange)
            return await self._with_body(request, exchange)
        except FhirError:
            # What is wrong with the address comes before what is wrong with the body.
            check_address(request)
            raise

    async def _without_body(self, request: Request, exchange: Exchange) -> Request:
        if await exchange.has_body(self.body_timeout):
            raise errors.invalid("A DELETE has no body; say in the URL what to delete")
        return request._replace(provenance=_provenance(exchange))

    async def _with_body(self, request: Request, exchange: Exchange) -> Request:
        limit = self.maximum_body if exchange.path.strip("/") else self.maximum_bundle
        body = await exchange.body(limit, self.body_timeout)
        if (
            b"content-encoding" in exchange.headers
            and exchange.header(b"content-encoding") != "identity"
        ):
            raise errors.unsupported_media_type(
                "Content-Encoding is not offered; send the body as it is"
            )
        if request.method == "POST" and exchange.path.rstrip("/").endswith("_search"):
            return request._replace(query=request.query + _form(exchange, body))
        try:
            content = _content(exchange, body)
        except Unreadable as refusal:
            raise await self._explained(request, refusal) from None
        return request._replace(body=content, provenance=_provenance(exchange))

    async def _explained(self, request: Request, refusal: Unreadable) -> FhirError:
        """The refusal of a resource with all that is wrong with it, where so much of it could be read."""
        read = refusal.remainder
        if request.method == "PATCH" or not (isinstance(read, dict) and "resourceType" in read):
            return refusal
        validator = self.contexts["strict"].profiles.validator
        loop = asyncio.get_running_loop()
        issues = await loop.run_in_executor(
            self.lanes.threads, validator.explain_unreadable, refusal
        )
        return replace(refusal, issues=tuple(filter(refused, issues)))


def _form(exchange: Exchange, body: bytes) -> Parameters:
    media_type = (exchange.header(b"content-type") or "").partition(";")[0].strip().lower()
    if media_type != formats.FORM and (body or media_type):
        raise errors.unsupported_media_type(f"A search is posted as {formats.FORM}")
    try:
        return parse_query(body.decode("utf-8"))
    except UnicodeDecodeError:
        raise errors.invalid("The form is not UTF-8") from None


def _content(exchange: Exchange, body: bytes) -> Any:
    """The parsed body: a JSON value, a resource from XML, a patch, or a Binary made from raw bytes."""
    content_type = exchange.header(b"content-type")
    if exchange.method == "PATCH":
        language = formats.patch_language(content_type)
        if language == "json-patch":
            return PatchDocument("json-patch", parse(body))
        if language == "xml-patch":
            return PatchDocument("xml-patch", body)
    if binary.is_raw(exchange, content_type):
        return binary.wrap(exchange, body, content_type or "")
    if not body and exchange.path.rpartition("/")[2].startswith("$"):
        return None
    if formats.is_ndjson(content_type) and exchange.path.rpartition("/")[2].startswith("$"):
        return _collection(body)
    kind = formats.body_format(content_type)
    return parse_xml(body) if kind == "xml" else parse(body)


def _provenance(exchange: Exchange) -> dict[str, Any] | None:
    """The resource in X-Provenance, which is JSON whatever the format of the body is."""
    sent = exchange.header_in_utf_8(b"x-provenance")
    if sent is None:
        return None
    try:
        provenance = parse(sent.encode())
    except FhirError as refusal:
        told = refusal.issues[0].diagnostics.replace("The body", "X-Provenance")
        raise errors.malformed(told, "Provenance") from None
    if not isinstance(provenance, dict) or provenance.get("resourceType") != "Provenance":
        raise errors.malformed("X-Provenance must be a Provenance in JSON", "Provenance")
    return provenance


def _collection(body: bytes) -> Any:
    """NDJSON as a Bundle with a resource from each line (https://github.com/ndjson/ndjson-spec)."""
    entries = [{"resource": parse(line)} for line in body.splitlines() if line.strip()]
    bundle: dict[str, Any] = {"resourceType": "Bundle", "type": "collection"}
    return bundle | {"entry": entries} if entries else bundle


def _shown(call: calls.Call, preferences: Preferences) -> Preferences:
    """Prefer: return is about changes of one resource only."""
    return preferences if isinstance(call, calls.WriteCall) else _WHOLE


def _fault(exchange: Exchange) -> FhirError:
    told = f"The server failed; tell its operator the request id {exchange.request_id}"
    return FhirError(500, (errors.Issue("fatal", "exception", told),))
