"""Who sends a request, and under which key it may be sent again, as far as its head tells.

A client is what its header says, or the organisation or patient that a gateway tells; the core sees only Context.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

import orjson

from fhir_server.http.exchange import Exchange
from fhir_server.http.identification import Identification
from fhir_server.http.preferences import Preferences
from fhir_server.http.rates import Rates
from fhir_server.interactions.call import Attributed, Call, Capabilities, Context, RetryKey
from fhir_server.interactions.contention import concerns
from fhir_server.spec import errors

ANONYMOUS = "anonymous"
_LONGEST_KEY = 255


class Callers:
    """Puts the caller into the context of a request.

    identification: how a gateway tells who asks; None where everybody has every right. rates: how much each client
    may ask; None: as much as it wants.
    """

    def __init__(
        self,
        client_header: str,
        identification: Identification | None = None,
        rates: Rates | None = None,
    ) -> None:
        self.client_header = client_header.lower().encode()
        self.identification = identification
        self.rates = rates

    def count(self, exchange: Exchange) -> None:
        """Count a request of whom the gateway or the client's header names, else of its address; FhirError 429."""
        if self.rates is None:
            return
        named = [self.client_header]
        if self.identification is not None:
            named = [*self.identification.naming, *named]
        told = next((exchange.headers[name] for name in named if exchange.headers.get(name)), None)
        address = exchange.scope.get("client") or ("",)
        self.rates.check(told or str(address[0]).encode())

    def known(self, context: Context, call: Call, exchange: Exchange) -> Context:
        """The context with the caller; FhirError 403 when the gateway does not tell one that is known here."""
        if isinstance(call, Capabilities):
            return context  # what the server can do may be known to anybody
        assert self.identification is not None
        return replace(context, caller=self.identification.caller(exchange))

    def context(
        self, context: Context, call: Call, exchange: Exchange, preferences: Preferences
    ) -> Context:
        """The context of a change, with the client, its key and whether it asked for leniency.

        The same one for most requests.
        """
        told = exchange.headers.get(self.client_header)
        if context.caller is not None:
            # Identifiers of organisations and of patients may be the same.
            organisation, patient = context.caller.organisation, context.caller.patient
            if organisation or patient:
                told = f"{organisation}\n{patient}".encode()
        lenient = preferences.handling_stated and preferences.handling == "lenient"
        retry = _retry_key(call, context, exchange)
        if told is None and not lenient and retry is None:
            return context
        return replace(context, client=_client(told), lenient=lenient, retry=retry)


def _client(told: bytes | None) -> str:
    """A short name for what the header says: it may be long, or name a person."""
    if not told:
        return ANONYMOUS
    return hashlib.blake2b(told, digest_size=16).hexdigest()


def _retry_key(call: Call, context: Context, exchange: Exchange) -> RetryKey | None:
    """Idempotency-Key with any change; X-Request-Id with a change that the rules are about."""
    key = exchange.header(b"idempotency-key")
    if key is not None:
        if not key.strip() or len(key) > _LONGEST_KEY or not key.isprintable():
            raise errors.invalid(
                f"Idempotency-Key must have 1 to {_LONGEST_KEY} printable characters"
            )
        return RetryKey(f"key {key.strip()}", _digest(call, exchange))
    request_id = exchange.header(b"x-request-id")
    if request_id != exchange.request_id or not concerns(call, context.rules):
        return None
    return RetryKey(f"request {request_id}", _digest(call, exchange))


def _digest(call: Call, exchange: Exchange) -> str:
    """Of everything that decides what the request does."""
    parts: Any = [exchange.method, exchange.path, exchange.query.decode("latin-1")]
    parts += [exchange.header(name) for name in (b"if-match", b"if-none-match", b"if-none-exist")]
    if isinstance(call, Attributed):
        parts.append(repr(call.provenance))
        call = call.change
    content = (
        getattr(call, "resource", None)
        or getattr(call, "bundle", None)
        or getattr(call, "body", None)
    )
    document = getattr(call, "document", None)
    if document is not None:
        content = document.content
    digest = hashlib.sha256(orjson.dumps(parts))
    digest.update(content if isinstance(content, bytes) else repr(content).encode())
    return digest.hexdigest()
