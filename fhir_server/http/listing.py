"""A search as a list without a Bundle: NDJSON, a resource a line, or CSV, a row a match; whole, in bounded memory.

The answer is sent while the search goes on. When that fails, the connection is closed before the answer's end, which
every client of HTTP/1.1 notices: there is no list that is shorter than it should be and looks whole.
https://hl7.org/fhir/R4/nd-json.html, https://www.rfc-editor.org/rfc/rfc4180
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from typing import Any, Protocol

from fhir_server.http.columns import columns, row
from fhir_server.http.formats import Answer
from fhir_server.http.lanes import Lanes
from fhir_server.interactions.listing import Listing, Page
from fhir_server.interactions.outcome import outcome
from fhir_server.interactions.search import shaped
from fhir_server.spec import errors
from fhir_server.spec.errors import FhirError
from fhir_server.spec.json_format import parse, parse_stored, serialise

Json = dict[str, Any]
Headers = list[tuple[bytes, bytes]]
_CSV = "text/csv"


class Writer(Protocol):
    """Writes a list."""

    def page(self, page: Page) -> bytes:
        """The lines of a page; those of the first have the heading before them."""

    def failed(self, refusal: FhirError) -> bytes:
        """What is said before the connection is closed."""


class NdjsonWriter:
    """Matches and included resources, each once."""

    def __init__(self, listing: Listing) -> None:
        self._wanted = listing.asked.wanted
        self._told: set[tuple[int, int]] = set()
        self._repeats = bool(self._wanted.includes or self._wanted.revincludes)

    def page(self, page: Page) -> bytes:
        """A line for each resource that was not told yet."""
        listed = page.all
        if self._repeats:
            # An include may bring another version of what is there already.
            fresh = {(item.key, hash(item.body)): item for item in listed}
            listed = [item for place, item in fresh.items() if place not in self._told]
            self._told.update(fresh)
        return b"".join([shaped(item.body, self._wanted) + b"\n" for item in listed])

    def failed(self, refusal: FhirError) -> bytes:
        """An OperationOutcome."""
        return serialise(outcome(refusal.issues)) + b"\n"


class CsvWriter:
    """A heading and a row for each match; what is included is there to be looked up by columns."""

    def __init__(self, listing: Listing) -> None:
        wanted = listing.asked.wanted
        if len(listing.asked.types) != 1:
            raise errors.invalid(
                "A table is of one resource type; search one type, or ask for NDJSON"
            )
        if wanted.summary not in (None, "false"):
            raise errors.invalid("A table has columns and no summary; choose them by _elements")
        self._columns = columns(listing.asked.types[0], wanted.elements)
        self._begun = False

    def page(self, page: Page) -> bytes:
        """The rows."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\r\n")
        if not self._begun:
            self._begun = True
            writer.writerow([item.name for item in self._columns])
        beside = {f"{item.resource_type}/{item.logical_id}": item.body for item in page.all}

        def resolve(reference: str) -> Json | None:
            body = beside.get(reference.partition("/_history/")[0])
            return None if body is None else parse(body)

        for item in page.matches:
            writer.writerow(row(parse_stored(item.body), self._columns, resolve))
        return text.getvalue().encode()

    def failed(self, refusal: FhirError) -> bytes:
        """Nothing: it would look like a row."""
        del refusal
        return b""


def writer_of(answer: Answer, listing: Listing) -> Writer:
    """The writer of a format; FhirError 400 when it cannot tell what is asked for."""
    return CsvWriter(listing) if answer.media_type == _CSV else NdjsonWriter(listing)


def headings(answer: Answer, listing: Listing) -> Headers:
    """The response headers; what the search did not understand is told there."""
    heading = ";header=present" if answer.media_type == _CSV else ""
    found = [
        (b"content-type", f"{answer.media_type};charset=utf-8{heading}".encode()),
        (b"cache-control", b"no-store"),
        (b"vary", b"Accept, Prefer, Origin"),
        (b"x-content-type-options", b"nosniff"),
    ]
    for issue in listing.asked.wanted.warnings:
        told = f'299 - "{issue.diagnostics}"'.replace("\n", " ").replace("\r", " ")
        found.append((b"warning", told.encode("latin-1", "replace")))
    return found


async def page(listing: Listing, writer: Writer, lanes: Lanes) -> bytes:
    """The beginning of the list; FhirError as of any search."""
    return await lanes.look(lambda transaction: writer.page(listing.page(transaction)))


async def whole(
    begun: bytes, listing: Listing, writer: Writer, lanes: Lanes
) -> AsyncIterator[bytes]:
    """The beginning and what follows, a page at a time. Raises FhirError where it is broken off."""
    yield begun
    try:
        while not listing.done:
            yield await page(listing, writer, lanes)
    except FhirError as refusal:
        yield writer.failed(refusal)
        raise


async def nothing() -> AsyncIterator[bytes]:
    """The body of an answer to HEAD, whose length nobody knows."""
    return
    yield b""
