"""Cross-origin requests from browsers (https://hl7.org/fhir/R4/http.html#general)."""

from __future__ import annotations

from fhir_server.http.exchange import Exchange

_ALLOWED = (
    "Accept, Authorization, Content-Type, If-Match, If-None-Exist, If-None-Match, If-Modified-Since, Origin, Prefer,"
    " X-Correlation-Id, X-Provenance, X-Request-Id"
)
_EXPOSED = "Content-Location, ETag, Last-Modified, Location, X-Correlation-Id, X-Request-Id"


class Cors:
    """Which origins may call; credentials are never allowed with any origin."""

    def __init__(self, origins: str) -> None:
        self.any = origins.strip() == "*"
        self.origins = frozenset(origins.split())

    def headers(self, exchange: Exchange) -> list[tuple[bytes, bytes]]:
        """The Access-Control headers of an answer, none for a caller that is no browser or may not call."""
        origin = exchange.headers.get(b"origin")
        if origin is None:
            return []
        if not self.any and origin.decode("latin-1") not in self.origins:
            return []
        found = [
            (b"access-control-allow-origin", b"*" if self.any else origin),
            (b"access-control-expose-headers", _EXPOSED.encode()),
        ]
        if exchange.method == "OPTIONS":
            found += [
                (b"access-control-allow-methods", b"GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"),
                (b"access-control-allow-headers", _ALLOWED.encode()),
                (b"access-control-max-age", b"600"),
            ]
        return found
