"""A document for people as plain values, whatever it is rendered as: sections of facts, paragraphs and tables.

Texts are what resources hold: every renderer escapes them. https://hl7.org/fhir/R4/documents.html
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fhir_server.interactions.call import Context

Json = dict[str, Any]
# No text of a document is longer, and what was cut says so.
LONGEST = 20_000


@dataclass(frozen=True, slots=True)
class Facts:
    """Labels and what they are of."""

    rows: tuple[tuple[str, str], ...]
    kind: str = "facts"


@dataclass(frozen=True, slots=True)
class Paragraphs:
    """Text; an item may hold line breaks."""

    items: tuple[str, ...]
    kind: str = "paragraphs"


@dataclass(frozen=True, slots=True)
class Table:
    """A table with a heading for each column."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    kind: str = "table"


Block = Facts | Paragraphs | Table


@dataclass(frozen=True, slots=True)
class Section:
    """A titled part. targets: (type, id) of the resources that it tells of."""

    title: str
    blocks: tuple[Block, ...]
    targets: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Paper:
    """A whole document. type: a CodeableConcept; written: microseconds since 1970."""

    name: str
    title: str
    type: Json
    sections: tuple[Section, ...]
    written: int
    context: Context


def clean(text: object) -> str:
    """A text without what no page shows, cut where it is very long."""
    if not isinstance(text, str):
        return ""
    if not text.isprintable():
        text = "".join(item for item in text if item.isprintable() or item == "\n")
    kept = text.strip()
    if len(kept) > LONGEST:
        return kept[:LONGEST] + " ... (cut here; the resource holds the rest)"
    return kept


def facts(*rows: tuple[str, object]) -> Facts:
    """Facts, without those that are empty."""
    cleaned = ((label, clean(value)) for label, value in rows)
    return Facts(tuple((label, value) for label, value in cleaned if value))


def paragraphs(items: Iterable[object]) -> Paragraphs:
    """Paragraphs, without empty ones."""
    return Paragraphs(tuple(text for item in items if (text := clean(item))))


def table(headings: tuple[str, ...], rows: Iterable[Iterable[object]]) -> Table:
    """A table with clean cells."""
    return Table(headings, tuple(tuple(clean(cell) for cell in row) for row in rows))


def filled(block: Block) -> bool:
    """Whether there is anything in it."""
    return bool(block.items if isinstance(block, Paragraphs) else block.rows)


def section(title: str, *blocks: Block, targets: Iterable[Json | None] = ()) -> Section:
    """A section of what is not empty, about those resources."""
    named = tuple((item["resourceType"], item["id"]) for item in targets if item is not None)
    return Section(title, tuple(item for item in blocks if filled(item)), named)
