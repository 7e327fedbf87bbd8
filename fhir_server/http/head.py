"""What the head of a request asks for: the call of a read, and the format of the answer.

https://hl7.org/fhir/R4/http.html#mime-type
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from fhir_server.http import binary, formats
from fhir_server.http.exchange import Exchange, MediaTypes, query_text
from fhir_server.http.formats import Answer
from fhir_server.interactions.call import Call, Conditions, Parameters, Request
from fhir_server.interactions.grammar import parse_call, parse_query
from fhir_server.interactions.operation import Operations
from fhir_server.interactions.operation import media_types as media_types_of
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError

READING = ("GET", "HEAD")
CONDITIONAL = frozenset({b"if-match", b"if-none-match", b"if-modified-since", b"if-none-exist"})
UNCONDITIONAL = Conditions()
_LONGEST_REMEMBERED = 512


class Head(NamedTuple):
    """What the head of a request asks for; raw: a Binary's content; call: of one that has nothing but a head."""

    query: Parameters
    answer: Answer
    raw: bool
    pretty: bool
    call: Call | None


class Heads:
    """Reads heads, and remembers those of searches, as the same come again and again."""

    def __init__(self, operations: Operations) -> None:
        self.operations = operations
        self._remembered = lru_cache(maxsize=2048)(self._read)

    def head(self, exchange: Exchange) -> Head:
        """Of this request; FhirError 400 and 406 for what cannot be read or answered, 404 and 405 for a read."""
        method, path, query = exchange.method, exchange.path, exchange.query
        reads = method in READING and CONDITIONAL.isdisjoint(exchange.headers)
        again = reads and query and len(query) + len(path) <= _LONGEST_REMEMBERED
        read = self._remembered if again else self._read
        return read(method, path, query, exchange.media_types(), reads)

    def _read(
        self, method: str, path: str, sent: bytes, media_types: MediaTypes, reads: bool
    ) -> Head:
        """What a request asks for; reads: that is all of it, so that it is a call already."""
        query = parse_query(query_text(sent)) if sent else ()
        raw = binary.wants_raw(method, path, query, media_types.accept)
        answer = formats.JSON if raw else answer_of(media_types, query, self._others(path))
        pretty = _pretty(query)
        call = parse_call(Request(method, path, query, UNCONDITIONAL)) if reads else None
        return Head(query, answer, raw, pretty, call)

    def _others(self, path: str) -> tuple[str, ...]:
        """The media types beside FHIR's in which the operation that is named answers; without one, those of lists."""
        _, mark, code = path.rstrip("/").rpartition("/$")
        return media_types_of(code, self.operations) if mark else formats.LISTS


def answer_of(media_types: MediaTypes, query: Parameters, others: tuple[str, ...] = ()) -> Answer:
    """How to answer; FhirError 400 when the media types contradict each other, 406 when none of them is offered."""
    formats_asked = [value for name, value in query if name == "_format" and value]
    asked = formats_asked[0] if formats_asked else None
    accept, content_type = media_types
    if accept is not None and content_type is not None:
        formats.check_versions(accept, content_type)
    return formats.negotiate(accept, asked, others)


def for_error(exchange: Exchange) -> tuple[Answer, bool]:
    """The format for an error, and whether it is pretty: what was asked for if it can be had, else JSON."""
    try:
        query = parse_query(query_text(exchange.query))
        return answer_of(exchange.media_types(), query), _pretty(query)
    except FhirError:
        return formats.JSON, False


def _pretty(query: Parameters) -> bool:
    for name, value in query:
        if name == "_pretty":
            if value not in ("true", "false", ""):
                raise errors.invalid(f"_pretty is '{value[:64]}'; use true or false")
            return value == "true"
    return False
